import { createCipheriv, hkdfSync, randomBytes } from "node:crypto";
import type { Identity } from "age-encryption";
import { ZephError } from "../errors/zeph-error.ts";
import { Secret } from "../internal/secret.ts";
import { type AgeFile, inspectAgeFile } from "./age-file.ts";
import { isX25519Identity, readX25519File } from "./age-x25519.ts";
import type { KeyFile, KeyPair } from "./key-file.ts";

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
export async function resealContents(
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
