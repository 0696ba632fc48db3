import { Decrypter, Encrypter, type Identity } from "age-encryption";
import { ZephError } from "../errors/zeph-error.ts";
import { Secret } from "../internal/secret.ts";
import { inspectAgeFile } from "./age-file.ts";
import type { KeyPair } from "./key-file.ts";

/** The secrets of a vault by name, sorted. */
export type VaultContents = ReadonlyMap<string, Secret>;

/**
 * Encrypts the secrets: binary age v1 for exactly one X25519 recipient, plaintext one compact JSON object with sorted
 * names and string values. Zeph reads nothing else (bug-ops/zeph crates/zeph-vault/src/age.rs).
 */
export async function sealContents(contents: VaultContents, recipient: string): Promise<Uint8Array> {
  const encrypter = new Encrypter();
  encrypter.addRecipient(recipient);
  return encrypter.encrypt(toJson(contents));
}

/**
 * Decrypts the secrets; armoured files are read too. Throws `vault_unreadable`, saying whether the key does not fit,
 * the file is damaged, or which entry is no text. No value appears in any message.
 */
export async function openContents(bytes: Uint8Array, keyPair: KeyPair): Promise<VaultContents> {
  const file = inspectAgeFile(bytes);
  if (file === undefined) throw unreadable("the vault file is not an age file, or its beginning is damaged");
  const decrypter = new Decrypter();
  decrypter.addIdentity(keyPair.identity.reveal());
  decrypter.addIdentity(noKeyFits);
  let text: string;
  try {
    text = await decrypter.decrypt(file.binary, "text");
  } catch (error) {
    if (ZephError.is(error)) throw error;
    throw unreadable("the vault file is damaged: it was changed or cut after it was written");
  }
  return parseJson(text);
}

/** Asked after the real identity has declined: tells a foreign key from a damaged file. */
const noKeyFits: Identity = {
  unwrapFileKey() {
    throw unreadable("the vault file was encrypted for another key than the one in the key file");
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
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw unreadable("what the vault file decrypts to is not a JSON object of names and values");
  }
  return new Map(sortByName(Object.entries(value).map(([name, entry]) => [name, toSecret(name, entry)])));
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
