import type { ResolvedSecret } from "../config/resolve-secret.ts";

/** Where a secret came from, in words; names only. */
export function secretSource({ source, name }: Pick<ResolvedSecret, "source" | "name">): string {
  if (source === "config") return "in the config file";
  return source === "vault" ? `${name} in the vault` : `variable ${name}`;
}
