import { ZephError } from "../errors/zeph-error.ts";
import { keepBackup, stageFile, unwritable } from "../internal/atomic-file.ts";
import { type Clock, systemClock } from "../internal/clock.ts";
import { scrub } from "../internal/redact.ts";
import { Secret } from "../internal/secret.ts";
import { backupOf, pruneBackups } from "./backups.ts";
import { openContents, resealContents, sealContents, type VaultContents } from "./contents.ts";
import { assertEntryName } from "./entry-name.ts";
import type { KeyFile } from "./key-file.ts";
import { type AskPassphrase, formatKeyFile, generateKeyPair, protectKeyFile, readKeyFile } from "./key-file.ts";
import { changePair } from "./pair-change.ts";
import type { VaultPaths } from "./paths.ts";
import { readSecretFile } from "./read-secret-file.ts";
import { rewriteKeyFile } from "./rewrite-key-file.ts";
import { assertNothingThere, makeVaultFolder, readVaultFiles, resolveLinks, withVaultLock } from "./vault-files.ts";

/** Beside the vault: a copy of what it holds now, and of the five states before. Those of replaced vaults stay for good. */
const BACKUPS_KEPT = 6;

export interface VaultOpenOptions {
  readonly paths: VaultPaths;
  /** Called once, and only when the key file is protected by a passphrase. */
  readonly passphrase?: AskPassphrase;
  /** Names the backups and bounds the wait for another process. Default: the system's. */
  readonly clock?: Clock;
}

export interface VaultInitOptions {
  readonly paths: VaultPaths;
  /** Protects the key file. Zeph cannot open it then; the `age` tool can. Default: none. */
  readonly passphrase?: Secret;
  /** Replace a vault that is there, keeping both its files as backups. Default false. */
  readonly force?: boolean;
  readonly clock?: Clock;
  /** Base-2 logarithm of scrypt's cost for the passphrase, default 18. Lower is for tests only. */
  readonly scryptWorkFactor?: number;
}

export interface VaultSetOptions {
  /** Replace values that are there. Default false: `vault_entry_exists`. */
  readonly replace?: boolean;
}

export interface VaultProtectOptions {
  /** Base-2 logarithm of scrypt's cost, default 18. Lower is for tests only. */
  readonly scryptWorkFactor?: number;
}

/** What a change left behind. */
export interface VaultChange {
  /** The file as it was before; absent when it was an empty vault. */
  readonly backupPath: string | undefined;
}

/**
 * An open age vault: names and secrets. It is a snapshot for reading; every change reads the file again under a lock,
 * replaces the file in one step and reads it back. Of every state but the empty one a copy is kept beside the vault, also
 * of the newest. Whoever else can open the vault still can after a change, and armour stays. Neither printing nor
 * `JSON.stringify` shows a value.
 *
 * @example
 * ```ts
 * const vault = await Vault.open({ paths: vaultPaths({ env, homeDir, platform }) });
 * await vault.set("ZEPH_SECRET_GITHUB", new Secret(token));
 * vault.get("ZEPH_SECRET_GITHUB")?.reveal();
 * ```
 */
export class Vault {
  readonly paths: VaultPaths;
  #keyFile: KeyFile;
  readonly #clock: Clock;
  #contents: VaultContents;

  private constructor(paths: VaultPaths, keyFile: KeyFile, contents: VaultContents, clock: Clock) {
    this.paths = paths;
    this.#keyFile = keyFile;
    this.#contents = contents;
    this.#clock = clock;
  }

  /** Opens what is there. Throws `vault_not_found`, `vault_locked`, `vault_wrong_passphrase` or `vault_unreadable`. */
  static async open({ paths, passphrase, clock = systemClock }: VaultOpenOptions): Promise<Vault> {
    const bytes = await readVaultFiles(paths);
    const keyFile = await readKeyFile(bytes.key, passphrase);
    return new Vault(paths, keyFile, await openContents(bytes.vault, keyFile), clock);
  }

  /**
   * Makes a new key pair and an empty vault. When either file is there already it throws `vault_exists` and touches
   * nothing; with `force` both are replaced and kept as backups. Throws `file_unwritable` and `vault_busy` too.
   */
  static async init({ paths, passphrase, clock = systemClock, ...options }: VaultInitOptions): Promise<Vault> {
    if (options.force !== true) await assertNothingThere(paths);
    const keyPair = await generateKeyPair();
    const vaultBytes = await sealContents(new Map(), keyPair.recipient);
    const plainText = formatKeyFile(keyPair);
    const keyText =
      passphrase === undefined
        ? plainText
        : await protectKeyFile(new Secret(plainText), passphrase, options.scryptWorkFactor);
    await makeVaultFolder(paths);
    return withVaultLock(paths, clock, async (lock) => {
      if (options.force !== true) await assertNothingThere(paths);
      await changePair(paths, { key: keyText, vault: vaultBytes, clock, lock });
      return Vault.open({ paths, clock, passphrase: async () => passphrase });
    });
  }

  /** Is the key file protected by a passphrase? */
  get passphraseProtected(): boolean {
    return this.#keyFile.passphraseProtected;
  }

  /** The names of all secrets, sorted. */
  names(): string[] {
    return [...this.#contents.keys()];
  }

  get(name: string): Secret | undefined {
    return this.#contents.get(name);
  }

  /**
   * Stores one secret. Throws `vault_entry_exists` unless `replace` is set, `usage` for an impossible name,
   * `vault_busy` and `file_unwritable`.
   */
  set(name: string, value: Secret, options: VaultSetOptions = {}): Promise<VaultChange> {
    return this.setAll(new Map([[name, value]]), options);
  }

  /** Stores several secrets in one change: all, or on any error none. Throws as {@link Vault.set} does. */
  async setAll(entries: ReadonlyMap<string, Secret>, options: VaultSetOptions = {}): Promise<VaultChange> {
    for (const name of entries.keys()) assertEntryName(name);
    return this.#change((contents) => {
      for (const [name, value] of entries) {
        if (contents.has(name) && options.replace !== true) throw new ZephError("vault_entry_exists", { detail: name });
        contents.set(name, value);
      }
    });
  }

  /** Removes one secret. Throws `vault_entry_not_found`, `vault_busy` and `file_unwritable`. */
  async remove(name: string): Promise<VaultChange> {
    return this.#change((contents) => {
      if (!contents.delete(name)) throw new ZephError("vault_entry_not_found", { detail: scrub(name) });
    });
  }

  /**
   * Puts the key file under this passphrase, or with `undefined` under none. The key itself, the vault and comments in
   * the key file stay as they are; the previous key file is kept as a backup. When that one has no passphrase it opens
   * the vault as before: delete it once the new passphrase has proven itself. Throws `missing_input` for an empty
   * passphrase, `vault_unreadable` when another process has replaced the key, `vault_busy` and `file_unwritable`.
   */
  async protect(passphrase: Secret | undefined, options: VaultProtectOptions = {}): Promise<VaultChange> {
    return withVaultLock(this.paths, this.#clock, async (lock) => {
      // A key that does not open the vault any more was replaced meanwhile: the new one must not be lost.
      await this.#load();
      const { keyFile, backupPath } = await rewriteKeyFile(this.#keyFile, passphrase, {
        path: this.paths.keyFile,
        clock: this.#clock,
        lock,
        ...options,
      });
      this.#keyFile = keyFile;
      return { backupPath };
    });
  }

  #change(edit: (contents: Map<string, Secret>) => void): Promise<VaultChange> {
    return withVaultLock(this.paths, this.#clock, async (lock) => {
      const bytes = (await readVaultFiles(this.paths)).vault;
      const before = await openContents(bytes, this.#keyFile);
      const contents = new Map(before);
      edit(contents);
      const target = await resolveLinks(this.paths.vaultFile);
      const staged = await stageFile(target, await resealContents(bytes, contents, this.#keyFile));
      let backupPath: string | undefined;
      try {
        // There is nothing to lose in an empty vault.
        backupPath = before.size === 0 ? undefined : await backupOf(target, bytes, this.#clock);
        await lock.assertHeld();
        await staged.commit();
      } catch (error) {
        await staged.discard();
        throw unwritable(this.paths.vaultFile, error);
      }
      this.#contents = await this.#readBack(contents, backupPath);
      // The change is made; on a full disk the next one keeps the copy.
      const copyPath = await keepBackup(target, { clock: this.#clock }).catch(() => undefined);
      // Those just made are spared by name: after the clock was set back they look like the oldest.
      const isExpendable = async (path: string) =>
        path !== backupPath && path !== copyPath && (await this.#canOpen(path));
      await pruneBackups(target, { keep: BACKUPS_KEPT, isExpendable });
      return { backupPath };
    });
  }

  async #load(): Promise<VaultContents> {
    return openContents((await readVaultFiles(this.paths)).vault, this.#keyFile);
  }

  async #readBack(written: VaultContents, backupPath: string | undefined): Promise<VaultContents> {
    const found = await this.#load();
    const sameValue = ([name, value]: readonly [string, Secret]) => found.get(name)?.reveal() === value.reveal();
    if (found.size === written.size && [...written].every(sameValue)) return found;
    throw new ZephError("vault_unreadable", {
      detail: `${this.paths.vaultFile} does not hold what was just written to it`,
      hint: `Check the disk; the vault as it was before ${backupPath === undefined ? "was empty" : `is ${backupPath}`}.`,
    });
  }

  /** A backup that this key does not open is of a vault that was replaced: nothing else may hold those secrets. */
  async #canOpen(backupPath: string): Promise<boolean> {
    const bytes = await readSecretFile(backupPath);
    if (bytes === undefined) return false;
    try {
      await openContents(bytes, this.#keyFile);
      return true;
    } catch (error) {
      if (ZephError.is(error) && error.code === "vault_unreadable") return false;
      throw error;
    }
  }
}
