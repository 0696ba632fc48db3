import { createCipheriv, hkdfSync, randomBytes } from "node:crypto";
import type { Identity } from "age-encryption";
import { keepBackup } from "../base/files.ts";
import { asObject } from "../base/json.ts";
import { Secret, scrub } from "../base/secret.ts";
import { type Clock, systemClock } from "../base/time.ts";
import { ZephError } from "../errors.ts";
import { assertEntryName } from "./entries.ts";
import {
  assertNothingThere,
  backupOf,
  changePair,
  makeVaultFolder,
  pruneBackups,
  readSecretFile,
  readVaultFiles,
  replaceFile,
  resolveLinks,
  type VaultPaths,
  withVaultLock,
} from "./files.ts";
import {
  type AgeFile,
  type AskPassphrase,
  formatKeyFile,
  generateKeyPair,
  inspectAgeFile,
  isX25519Identity,
  type KeyFile,
  type KeyPair,
  protectKeyFile,
  readKeyFile,
  readX25519File,
  rewriteKeyFile,
} from "./key.ts";

/** Beside the vault: a copy of what it holds now, and of the five states before. Those of replaced vaults stay for good. */
const BACKUPS_KEPT = 6;

export interface VaultOpenOptions {
  readonly paths: VaultPaths;
  /** Called once, and only when the key file is protected by a passphrase. */
  readonly passphrase?: AskPassphrase | undefined;
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
      const backupPath = await replaceFile(this.paths.vaultFile, await resealContents(bytes, contents, this.#keyFile), {
        clock: this.#clock,
        lock,
        // There is nothing to lose in an empty vault.
        backup: async (path) => (before.size === 0 ? undefined : backupOf(path, bytes, this.#clock)),
      });
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

/** The secrets of a vault by name, sorted. */
export type VaultContents = ReadonlyMap<string, Secret>;

/**
 * Encrypts the secrets: binary age v1 for exactly one X25519 recipient, plaintext one compact JSON object with sorted
 * names and string values. Zeph reads nothing else (bug-ops/zeph crates/zeph-vault/src/age.rs).
 */
export async function sealContents(contents: VaultContents, recipient: string): Promise<Uint8Array> {
  const { Encrypter } = await import("age-encryption");
  const encrypter = new Encrypter();
  encrypter.addRecipient(recipient);
  return encrypter.encrypt(toJson(contents));
}

/**
 * Encrypts new contents for everybody who can open the file as it is, in armour if that one is. For one recipient the
 * file is made anew as {@link sealContents} does. The public keys of several do not stand in the file, so nothing can be
 * encrypted to them again: the header stays, and with it the file key that each of them can unwrap, and the payload gets
 * a fresh nonce and so a fresh key (C2SP age specification, "Payload"). Throws as {@link openContents} does.
 */
async function resealContents(
  previous: Uint8Array,
  contents: VaultContents,
  { pairs }: Pick<KeyFile, "pairs">,
): Promise<Uint8Array> {
  const file = readable(previous);
  const opener = await openerOf(file, pairs);
  const sealed =
    file.recipientTypes.length > 1
      ? Buffer.concat([file.header, sealPayload(opener.fileKey, Buffer.from(toJson(contents)))])
      : await sealContents(contents, opener.recipient);
  opener.fileKey.fill(0);
  if (!file.armored) return sealed;
  const { armor } = await import("age-encryption");
  return new TextEncoder().encode(armor.encode(sealed));
}

/**
 * Decrypts the secrets with whichever of the keys fits; armoured files are read too. Throws `vault_unreadable`, saying
 * whether no key fits, the file is damaged, or which entry is no text. No value appears in any message.
 */
export async function openContents(bytes: Uint8Array, { pairs }: Pick<KeyFile, "pairs">): Promise<VaultContents> {
  const file = readable(bytes);
  return parseJson(await unlessDamaged(() => decryptText(file, pairs)));
}

async function decryptText({ binary }: AgeFile, pairs: readonly KeyPair[]): Promise<string> {
  const identities = pairs.map(({ identity }) => identity.reveal());
  const plainFile = readX25519File(binary);
  if (plainFile !== undefined) {
    const bytes = plainFile.open(identities.filter(isX25519Identity));
    if (bytes === undefined) throw unreadable(FOREIGN_KEY);
    return new TextDecoder().decode(bytes);
  }
  const { Decrypter } = await import("age-encryption");
  const decrypter = new Decrypter();
  for (const identity of identities) decrypter.addIdentity(identity);
  decrypter.addIdentity(noKeyFits);
  return decrypter.decrypt(binary, "text");
}

function readable(bytes: Uint8Array): AgeFile {
  const file = inspectAgeFile(bytes);
  if (file === undefined) throw unreadable("the vault file is not an age file, or its beginning is damaged");
  return file;
}

/** Which of the keys opens the file, and the file's own key. */
async function openerOf({ header }: AgeFile, pairs: readonly KeyPair[]) {
  const { Decrypter } = await import("age-encryption");
  for (const { identity, recipient } of pairs) {
    const decrypter = new Decrypter();
    decrypter.addIdentity(identity.reveal());
    decrypter.addIdentity(noKeyFits);
    try {
      return { fileKey: await unlessDamaged(() => decrypter.decryptHeader(header)), recipient };
    } catch (error) {
      if (!ZephError.is(error) || error.detail !== FOREIGN_KEY) throw error;
    }
  }
  throw unreadable(FOREIGN_KEY);
}

async function unlessDamaged<T>(decrypt: () => Promise<T>): Promise<T> {
  try {
    return await decrypt();
  } catch (error) {
    if (ZephError.is(error)) throw error;
    throw unreadable("the vault file is damaged: it was changed or cut after it was written");
  }
}

const CHUNK_BYTES = 64 * 1024;
const TAG_BYTES = 16;

/** Chunks of 64 KiB, each with a counter and a mark on the last one (C2SP age specification, "Payload"). */
function sealPayload(fileKey: Uint8Array, plaintext: Uint8Array): Uint8Array {
  const nonce = randomBytes(16);
  const key = Buffer.from(hkdfSync("sha256", fileKey, nonce, "payload", 32));
  const chunks: Uint8Array[] = [nonce];
  const count = Math.max(1, Math.ceil(plaintext.length / CHUNK_BYTES));
  for (let index = 0; index < count; index += 1) {
    const counter = Buffer.alloc(12);
    counter.writeUInt32BE(index, 7);
    counter[11] = index === count - 1 ? 1 : 0;
    const cipher = createCipheriv("chacha20-poly1305", key, counter, { authTagLength: TAG_BYTES });
    chunks.push(cipher.update(plaintext.subarray(index * CHUNK_BYTES, (index + 1) * CHUNK_BYTES)), cipher.final());
    chunks.push(cipher.getAuthTag());
  }
  return Buffer.concat(chunks);
}

const FOREIGN_KEY = "the vault file was encrypted for another key than the one in the key file";

/** Asked after the real identity has declined: tells a foreign key from a damaged file. */
const noKeyFits: Identity = {
  unwrapFileKey() {
    throw unreadable(FOREIGN_KEY);
  },
};

/** By hand, because an object would move names that look like numbers to the front and treat `__proto__` apart. */
function toJson(contents: VaultContents): string {
  const members = sortByName(contents).map(
    ([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value.reveal())}`,
  );
  return `{${members.join(",")}}`;
}

function parseJson(text: string): VaultContents {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // The parser's message quotes the text around the fault: secrets.
    throw unreadable("what the vault file decrypts to is not JSON");
  }
  const entries = asObject(value);
  if (entries === undefined)
    throw unreadable("what the vault file decrypts to is not a JSON object of names and values");
  return new Map(sortByName(Object.entries(entries).map(([name, entry]) => [name, toSecret(name, entry)])));
}

function toSecret(name: string, value: unknown): Secret {
  if (typeof value === "string") return new Secret(value);
  const kind = value === null ? "null" : Array.isArray(value) ? "a list" : `a JSON ${typeof value}`;
  throw unreadable(`the entry ${JSON.stringify(name)} is ${kind}, not text`);
}

function sortByName(entries: Iterable<readonly [string, Secret]>): (readonly [string, Secret])[] {
  return [...entries].sort(([a], [b]) => (a < b ? -1 : 1));
}

function unreadable(detail: string): ZephError {
  return new ZephError("vault_unreadable", { detail });
}
