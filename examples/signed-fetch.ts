// Requests signed with your own key, over the nodes a source lists. For private and test networks, and the sandbox:
// the main network stopped taking signed requests on 2026-07-23, and zeph says so before it sends a prompt.
import { discoverEndpoints, endpointSource, gonkaFetch, listModels, RequestSigner } from "zeph";

const signer = RequestSigner.fromHex(process.env.GONKA_PRIVATE_KEY ?? "");
const sourceUrl = process.env.GONKA_SOURCE_URL ?? "http://127.0.0.1:8000";

const { endpoints, label, retired } = await discoverEndpoints({ sourceUrl });
console.log(`${endpoints.length} nodes, ${label}${retired ? ", signed requests are retired here" : ""}`);

const gonka = gonkaFetch({
  kind: "native",
  signer,
  // Asks the source when a node is first needed, and again when the list is old.
  discover: endpointSource({ discover: () => discoverEndpoints({ sourceUrl }) }),
  onEvent: (event) => {
    if (event.type === "attempt-started") console.log(`attempt ${event.attempt} at ${event.endpoint}`);
  },
});

const [model] = await listModels(gonka);
const answer = await gonka(`${gonka.baseURL}/chat/completions`, {
  method: "POST",
  headers: { "content-type": "application/json" },
  body: JSON.stringify({
    model: model?.id,
    messages: [{ role: "user", content: "Count to 5." }],
    // The network reserves money for this many tokens; without it for 5000.
    max_tokens: 64,
  }),
});
const { choices } = (await answer.json()) as { choices: { message: { content: string } }[] };
console.log(`${signer.address} got: ${choices[0]?.message.content}`);
