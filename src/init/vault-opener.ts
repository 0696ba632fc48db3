import { ZephError } from "../errors/zeph-error.ts";
import type { Secret } from "../internal/secret.ts";
import { Vault } from "../vault/index.ts";
import type { InitWorld } from "./init-world.ts";

/** Opens the vault more than once and asks for its passphrase only until it was right. */
export interface VaultOpener {
  open(): Promise<Vault>;
  /** The passphrase that opened it, for those who open it themselves. */
  passphrase(): Promise<Secret | undefined>;
}

const TRIES = 3;

export function vaultOpener(
  world: Pick<InitWorld, "vaultPaths" | "askPassphrase" | "clock" | "interactive">,
): VaultOpener {
  let proven: Secret | undefined;
  return {
    async open() {
      for (let attempt = 1; ; attempt += 1) {
        let given: Secret | undefined;
        const passphrase = async () => {
          given = proven ?? (await world.askPassphrase());
          return given;
        };
        try {
          const vault = await Vault.open({ paths: world.vaultPaths, clock: world.clock, passphrase });
          proven = given;
          return vault;
        } catch (error) {
          const mayTryAgain = ZephError.is(error) && error.code === "vault_wrong_passphrase" && world.interactive;
          if (!mayTryAgain || attempt === TRIES) throw error;
        }
      }
    },
    passphrase: async () => proven ?? world.askPassphrase(),
  };
}
