import { ZephError } from "../errors/zeph-error.ts";
import { Secret } from "../internal/secret.ts";
import type { RequestSigner } from "../signer/request-signer.ts";

export interface OpenSignerOptions {
  /** Address prefix of the network. Default `gonka`. */
  readonly prefix?: string;
}

/**
 * A signer for a private key. The crypto is loaded here and not before, so that programs that use a broker never load
 * it (it needs Node; brokers work on edge runtimes too). Throws `secret_missing`, `invalid_private_key`, `invalid_prefix`.
 */
export async function openSigner(
  privateKey: string | Secret | undefined,
  options: OpenSignerOptions = {},
): Promise<RequestSigner> {
  const keyHex = Secret.from(privateKey ?? "").reveal();
  // What is no text at all, as plain JavaScript may give, is refused by the signer.
  if (typeof keyHex === "string" && keyHex.trim() === "") {
    throw new ZephError("secret_missing", {
      detail: "no private key was given",
      hint: "Check the variable it is read from.",
    });
  }
  const { RequestSigner } = await import("../signer/request-signer.ts");
  return RequestSigner.fromHex(keyHex, options);
}
