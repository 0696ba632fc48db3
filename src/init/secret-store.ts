import type { SecretNames } from "../config/secret-names.ts";
import { Secret } from "../internal/secret.ts";
import { Vault } from "../vault/index.ts";
import type { Facts } from "./facts.ts";
import type { InitWorld } from "./init-world.ts";
import type { VaultOpener } from "./vault-opener.ts";

/** A secret that is there already. */
export interface FoundSecret {
  readonly secret: Secret;
  /** Under which name. */
  readonly name: string;
  readonly source: "vault" | "environment";
}

/** What storing has changed. */
export interface KeptSecrets {
  readonly stored: readonly string[];
  /** Those of them that had another value. */
  readonly replaced: readonly string[];
  /** The vault as it was before, encrypted. */
  readonly backupPath: string | undefined;
}

/** Where set-up keeps secrets: in the vault, or nowhere under the `env` backend. */
export interface SecretStore {
  readonly backend: "age" | "env";
  /** What is stored or set under these names, the vault's first. */
  find(names: SecretNames): Promise<readonly FoundSecret[]>;
  /** What the vault has under exactly this name. */
  stored(name: string): Promise<Secret | undefined>;
  /** Stores at once and reads back, keeping a backup. Makes the vault when there is none. Under `env` it does nothing. */
  keep(entries: ReadonlyMap<string, Secret>): Promise<KeptSecrets>;
  /** Names stored so far by this run. */
  readonly kept: readonly string[];
  /** Names whose other value gave way in this run. */
  readonly replaced: readonly string[];
}

const NOTHING_KEPT: KeptSecrets = { stored: [], replaced: [], backupPath: undefined };

export function secretStore(
  world: InitWorld,
  { vault: facts }: Pick<Facts, "vault">,
  opener: VaultOpener,
): SecretStore {
  const kept: string[] = [];
  const replacedSoFar: string[] = [];
  let opened: Promise<Vault> | undefined;
  const usesVault = facts.backend === "age";
  // With one file of the two missing, opening says which; making a new vault beside it would lose the other.
  function existing(): Promise<Vault> | undefined {
    if (facts.files.length > 0) opened ??= opener.open();
    return opened;
  }
  function existingOrNew(): Promise<Vault> {
    opened = existing() ?? Vault.init({ paths: world.vaultPaths, clock: world.clock });
    return opened;
  }

  async function stored(name: string): Promise<Secret | undefined> {
    return usesVault ? (await existing())?.get(name) : undefined;
  }
  return {
    backend: facts.backend,
    kept,
    replaced: replacedSoFar,
    stored,
    async find(names) {
      const found: FoundSecret[] = [];
      for (const name of names.stored) {
        const secret = await stored(name);
        if (secret !== undefined) found.push({ secret, name, source: "vault" });
      }
      for (const name of [...names.stored, ...names.aliases]) {
        const value = (world.env[name] ?? "").trim();
        if (value !== "") found.push({ secret: new Secret(value), name, source: "environment" });
      }
      return found;
    },
    async keep(entries) {
      if (!usesVault) return NOTHING_KEPT;
      const vault = await existingOrNew();
      const changed = [...entries].filter(([name, value]) => vault.get(name)?.reveal() !== value.reveal());
      if (changed.length === 0) return NOTHING_KEPT;
      const names = changed.map(([name]) => name);
      const replaced = names.filter((name) => vault.get(name) !== undefined && !kept.includes(name));
      const { backupPath } = await vault.setAll(new Map(changed), { replace: true });
      kept.push(...names.filter((name) => !kept.includes(name)));
      replacedSoFar.push(...replaced);
      return { stored: names, replaced, backupPath };
    },
  };
}
