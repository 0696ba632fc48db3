import type { Secret } from "../internal/secret.ts";
import type { RequestSigner } from "../signer/request-signer.ts";

export interface OpenSignerOptions {
  /** Address prefix of the network. Default `gonka`. */
  readonly prefix?: string;
}

/**
 * A signer for a private key. The crypto is loaded here and not before, so that programs that use a broker never load
 * it (it needs Node; brokers work on edge runtimes too). Throws `invalid_private_key`, `invalid_prefix`.
 */
export async function openSigner(privateKey: string | Secret, options: OpenSignerOptions = {}): Promise<RequestSigner> {
  const { RequestSigner } = await import("../signer/request-signer.ts");
  return RequestSigner.fromHex(typeof privateKey === "string" ? privateKey : privateKey.reveal(), options);
}
