// What a signed request is made of: one node, one signature, global fetch. `gonkaFetch` does this for every attempt.
import { RequestSigner } from "zeph/signer";

const signer = RequestSigner.fromHex(process.env.GONKA_PRIVATE_KEY ?? "");
const node = process.env.GONKA_SOURCE_URL ?? "http://127.0.0.1:8000";

// The signature names the node it is for. Nobody else can use it, and the node can use it once.
const identity = (await (await fetch(`${node}/v1/identity`)).json()) as { data: { address: string } };
const transferAddress = identity.data.address;

const models = (await (await fetch(`${node}/v1/models`)).json()) as { data: { id: string }[] };
const body = JSON.stringify({
  model: models.data[0]?.id,
  messages: [{ role: "user", content: "Say signed" }],
  max_tokens: 16,
});
const timestampNanos = BigInt(Date.now()) * 1_000_000n;

const answer = await fetch(`${node}/v1/chat/completions`, {
  method: "POST",
  headers: {
    "content-type": "application/json",
    // No scheme word: the header is the signature.
    authorization: signer.sign({ body, timestampNanos, transferAddress }),
    "x-requester-address": signer.address,
    "x-timestamp": timestampNanos.toString(),
  },
  body,
});
const { choices } = (await answer.json()) as { choices: { message: { content: string } }[] };
console.log(`${answer.status} ${choices[0]?.message.content}`);
