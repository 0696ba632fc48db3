import { ZephError } from "../errors/zeph-error.ts";
import { LOCAL_KEY_NAME, makeLocalKey } from "../gateway/local-key.ts";
import type { Secret } from "../internal/secret.ts";
import type { Setup } from "../provider/setup.ts";
import type { CliContext } from "./context.ts";
import { openVault } from "./open-vault.ts";

export interface LocalKey {
  readonly key: Secret;
  /** `stored`: it was there. `created`: made now and stored. `temporary`: made now, for this run only. */
  readonly state: "stored" | "created" | "temporary";
  /** Where a shell finds it again: in the vault, or in this variable. `nowhere` for one that is made for each run. */
  readonly place: "vault" | "nowhere" | { readonly variable: string };
}

/** The key of the local endpoint: from the vault or its variable; made, and stored where there is a vault, when missing. */
export async function localGatewayKey(context: CliContext, setup: Setup): Promise<LocalKey> {
  const names = { canonical: LOCAL_KEY_NAME, stored: [LOCAL_KEY_NAME], aliases: [] };
  const found = await setup.optionalSecret(names, "the local endpoint");
  if (found !== undefined) {
    const place = found.source === "vault" ? "vault" : { variable: found.name };
    return { key: found.secret, state: "stored", place };
  }
  const key = makeLocalKey();
  if (setup.vaultBackend.backend !== "age") return { key, state: "temporary", place: "nowhere" };
  try {
    const vault = await openVault(context);
    await vault.set(LOCAL_KEY_NAME, key);
    return { key, state: "created", place: "vault" };
  } catch (error) {
    if (!ZephError.is(error)) throw error;
    if (error.code === "vault_not_found") return { key, state: "temporary", place: "nowhere" };
    if (error.code !== "vault_entry_exists") throw error;
    // Another `zeph serve` was faster.
    const stored = (await openVault(context)).get(LOCAL_KEY_NAME);
    if (stored === undefined) throw error;
    return { key: stored, state: "stored", place: "vault" };
  }
}
