import { recognizeKey } from "../brokers/recognize-key.ts";
import { ZephError } from "../errors/zeph-error.ts";
import { Secret } from "../internal/secret.ts";
import { parsePrivateKey } from "../signer/private-key.ts";

/** What was pasted where a private key belongs. */
export type JudgedPrivateKey =
  /** The one form that Zeph reads: 64 lower-case hex digits. */
  | { readonly kind: "usable"; readonly key: Secret }
  | { readonly kind: "broker-key"; readonly key: Secret }
  /** In words that do not repeat it. */
  | { readonly kind: "refused"; readonly reason: string };

/** Reads a private key in any spelling: quotes or an assignment around it, `0x`, upper case, base64 of 32 bytes. */
export function judgePrivateKey(text: Secret): JudgedPrivateKey {
  const { kind, cleaned } = recognizeKey(text.reveal());
  if (kind === "broker-key" || kind === "management-key") return { kind: "broker-key", key: cleaned };
  try {
    return { kind: "usable", key: toStoredForm(cleaned) };
  } catch (error) {
    if (!ZephError.is(error)) throw error;
    const advice = kind === "mnemonic" ? ` ${error.hint}` : "";
    return { kind: "refused", reason: `This is not a private key: ${error.detail ?? error.summary}.${advice}` };
  }
}

function toStoredForm(text: Secret): Secret {
  const bytes = parsePrivateKey(text.reveal());
  try {
    return new Secret(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("hex"));
  } finally {
    bytes.fill(0);
  }
}
