import { fileURLToPath } from "node:url";
import { ZephError } from "../../errors/zeph-error.ts";
import { readRegularText } from "../../internal/regular-file.ts";
import { verifySignature } from "../../protocol/verify-signature.ts";
import type { Check } from "../check.ts";
import { passed } from "../results.ts";

/** One row of `vectors/signing.json`: published test keys, never to be funded. */
interface KnownAnswer {
  readonly id: string;
  readonly phase: number;
  readonly private_key_hex: string;
  readonly address_prefix: string;
  readonly expected_address: string;
  readonly expected_public_key_hex: string;
  readonly body_base64: string;
  readonly timestamp_ns: string;
  readonly transfer_address: string;
  readonly expected_signature_base64: string;
}

/** Enough to exercise padding, high s and all kinds of bodies, and over in a moment. */
const MOST_ANSWERS = 24;
const MAX_VECTORS_BYTES = 4 * 1024 * 1024;
const VECTORS = new URL("../../../vectors/signing.json", import.meta.url);

/**
 * Does this installation sign right? Offline: recomputes known answers that five independent implementations agree on,
 * and has OpenSSL verify each (`vectors/signing.json`).
 */
export function selfTestCheck(vectors: URL = VECTORS): Check {
  return {
    name: "gonka.selftest",
    async run() {
      const { RequestSigner } = await import("../../signer/request-signer.ts");
      const answers = await readAnswers(vectors);
      for (const answer of answers) {
        using signer = RequestSigner.fromHex(answer.private_key_hex, { prefix: answer.address_prefix });
        const body = Buffer.from(answer.body_base64, "base64");
        const { transfer_address: transferAddress, timestamp_ns: timestamp } = answer;
        const authorization = signer.sign({ body, timestampNanos: BigInt(timestamp), transferAddress });
        const publicKey = Buffer.from(answer.expected_public_key_hex, "hex");
        const isRight =
          signer.address === answer.expected_address &&
          authorization === answer.expected_signature_base64 &&
          verifySignature({ publicKey, body, timestamp, transferAddress, authorization }).valid;
        if (!isRight) throw new ZephError("internal", { detail: `the known answer ${answer.id} does not come out` });
      }
      return passed(`${answers.length} known answers come out, and OpenSSL accepts them`);
    },
  };
}

async function readAnswers(vectors: URL): Promise<readonly KnownAnswer[]> {
  const text = await readRegularText(fileURLToPath(vectors), { maxBytes: MAX_VECTORS_BYTES }).catch(() => undefined);
  if (text === undefined) {
    throw new ZephError("internal", {
      detail: "the known answers are missing from this installation",
      hint: "Install zeph again; its package holds vectors/signing.json.",
    });
  }
  const { signing } = JSON.parse(text) as { readonly signing: readonly KnownAnswer[] };
  // Rows without a real address test the arithmetic below address checks.
  return signing
    .filter(({ phase, transfer_address }) => phase === 3 && transfer_address.length > 38)
    .slice(0, MOST_ANSWERS);
}
