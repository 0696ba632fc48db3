import { bindKey, originOf } from "../../config/key-origins.ts";
import { ZephError } from "../../errors/zeph-error.ts";
import { scrub } from "../../internal/redact.ts";
import { Secret } from "../../internal/secret.ts";
import { isLoopback } from "../../protocol/endpoint.ts";
import { assertEntryName } from "../../vault/entry-name.ts";
import { existingVaultFiles } from "../../vault/index.ts";
import type { RunCommand } from "../context.ts";
import { openVault, vaultPathsOf } from "../open-vault.ts";
import { writeResult } from "../write-result.ts";

export interface VaultBindFlags {
  readonly name: string;
  readonly origins: readonly string[];
}

/**
 * `zeph vault bind NAME ORIGIN…`: says where a key may be sent, in the place of what was said before. For a key in the
 * vault, and for one in a variable of that name. Throws `vault_entry_not_found`, `insecure_url`, `wrong_url`.
 */
export const runVaultBind: RunCommand<VaultBindFlags> = async (context, { name, origins: given }) => {
  assertEntryName(name);
  if (/PRIVATE_KEY$/.test(name)) {
    throw new ZephError("usage", { detail: "a private key signs and is sent to nobody, so it is bound to no address" });
  }
  const origins = [...new Set(given.map(originOf))];
  const open = origins.find((origin) => origin.startsWith("http:") && !isLoopback(origin));
  if (open !== undefined) throw new ZephError("insecure_url", { detail: open });
  const hasVault = (await existingVaultFiles(vaultPathsOf(context))).length > 0;
  const stored = hasVault ? (await openVault(context)).get(name) : undefined;
  const variable = (context.env[name] ?? "").trim();
  const keys = [...(stored === undefined ? [] : [stored]), ...(variable === "" ? [] : [new Secret(variable)])];
  if (keys.length === 0) {
    throw new ZephError("vault_entry_not_found", {
      detail: `${scrub(name)} is neither in the vault nor a variable that is set`,
    });
  }
  for (const secret of keys) await bindKey(context, { name, secret, origins });
  return writeResult(context, {
    data: { name, origins },
    notice: `${name} goes to ${origins.join(" and ")} from now on, and nowhere else.\n`,
  });
};
