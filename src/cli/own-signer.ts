import type { GonkaProvider } from "../config/provider.ts";
import type { Setup } from "../provider/setup.ts";
import type { RequestSigner } from "../signer/request-signer.ts";

/** A signer with the configured key. Throws `secret_missing`, `invalid_private_key` and what the vault throws. */
export async function openOwnSigner(setup: Setup, config: GonkaProvider): Promise<RequestSigner> {
  const { secret } = await setup.privateKey(config);
  const { RequestSigner } = await import("../signer/request-signer.ts");
  return RequestSigner.fromHex(secret.reveal(), { prefix: config.chainPrefix });
}
