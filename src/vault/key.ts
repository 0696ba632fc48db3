import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  hkdfSync,
  type KeyObject,
  randomBytes,
  type ScryptOptions,
  scrypt,
  timingSafeEqual,
} from "node:crypto";
import { promisify } from "node:util";
import { bech32 } from "@scure/base";
import type { Identity, Recipient, Stanza } from "age-encryption";
import { keepBackup } from "../base/files.ts";
import type { HeldLock } from "../base/lock.ts";
import { Secret } from "../base/secret.ts";
import type { Clock } from "../base/time.ts";
import { ZephError } from "../errors.ts";
import { readSecretFile, replaceFile } from "./files.ts";

/** The vault's key pair: an X25519 identity (`AGE-SECRET-KEY-1…`) and its public half (`age1…`). */
export interface KeyPair {
  readonly identity: Secret;
  readonly recipient: string;
}

/** The first key of the file, the only one that Zeph takes, and what else there is. */
export interface KeyFile extends KeyPair {
  /** All keys of the file, the first one included: each may open a vault. */
  readonly pairs: readonly KeyPair[];
  /** The whole text, comments included. */
  readonly text: Secret;
  /** Was the file itself encrypted with a passphrase? */
  readonly passphraseProtected: boolean;
  /** What the `# public key:` comment claims. People copy it from there, so it should be true. */
  readonly statedRecipient: string | undefined;
}

/** Asks for the passphrase; `undefined` when nobody can be asked. Called only for a protected key file. */
export type AskPassphrase = () => Promise<Secret | undefined>;

/** Makes a new key pair. */
export async function generateKeyPair(): Promise<KeyPair> {
  const { generateX25519Identity } = await import("age-encryption");
  const identity = await generateX25519Identity();
  return { identity: new Secret(identity), recipient: recipientOf(identity) };
}

/** The key file as text that Zeph, `age` and {@link readKeyFile} take. */
export function formatKeyFile(keyPair: KeyPair): string {
  return `# public key: ${keyPair.recipient}\n${keyPair.identity.reveal()}\n`;
}

/**
 * The text of a key file encrypted with a passphrase, as `age -p -a` makes it. Zeph cannot open this form, `age` can.
 *
 * @param workFactor base-2 logarithm of scrypt's cost, default 18; lower is for tests only
 */
export async function protectKeyFile(text: Secret, passphrase: Secret, workFactor?: number): Promise<string> {
  if (passphrase.reveal() === "") throw new ZephError("missing_input", { detail: "the passphrase is empty" });
  const { armor, Encrypter } = await import("age-encryption");
  const encrypter = new Encrypter();
  encrypter.addRecipient(passphraseRecipient(passphrase, workFactor));
  return armor.encode(await encrypter.encrypt(text.reveal()));
}

/**
 * Reads a key file: plain or passphrase-protected (armoured or binary), as made by zeph, Zeph or `age-keygen`.
 * Throws `vault_locked` when the passphrase is needed and not given, `vault_wrong_passphrase`, or `vault_unreadable`
 * with the kind of key that was found instead.
 */
export async function readKeyFile(bytes: Uint8Array, askPassphrase?: AskPassphrase): Promise<KeyFile> {
  if (!looksLikeAgeFile(bytes)) return parseKeyText(new TextDecoder().decode(bytes), { passphraseProtected: false });
  const file = inspectAgeFile(bytes);
  if (file === undefined) throw unreadable("is an age file, but damaged");
  if (!file.recipientTypes.includes("scrypt")) throw unreadable("is encrypted, but not with a passphrase");
  const passphrase = await askPassphrase?.();
  if (passphrase === undefined) throw new ZephError("vault_locked");
  return parseKeyText(await decryptText(file.binary, passphrase), { passphraseProtected: true });
}

async function decryptText(binary: Uint8Array, passphrase: Secret): Promise<string> {
  const { Decrypter } = await import("age-encryption");
  const decrypter = new Decrypter();
  decrypter.addIdentity(passphraseIdentity(passphrase));
  try {
    return await decrypter.decrypt(binary, "text");
  } catch (error) {
    if (ZephError.is(error)) throw error;
    throw unreadable("is encrypted with this passphrase, but damaged");
  }
}

/** Comments and blank lines are skipped; the first other line is the identity, as in Zeph. Further ones may be there. */
async function parseKeyText(text: string, origin: Pick<KeyFile, "passphraseProtected">): Promise<KeyFile> {
  const lines = text.replace(/^\uFEFF/, "").split(/\r?\n/);
  const [identity, ...others] = lines.map((line) => line.trim()).filter((line) => line !== "" && !line.startsWith("#"));
  if (identity === undefined) throw unreadable("holds no key");
  if (!identity.startsWith("AGE-SECRET-KEY-1")) throw unreadable(`holds ${nameKind(identity)}`);
  const statedRecipient = /^#\s*public key:\s*(age1\S+)/m.exec(text)?.[1];
  const first = { identity: new Secret(identity), recipient: await toRecipient(identity) };
  const pairs: KeyPair[] = [first];
  for (const other of others) {
    const recipient = await toRecipient(other).catch(() => undefined);
    if (recipient !== undefined) pairs.push({ identity: new Secret(other), recipient });
  }
  return { ...origin, ...first, pairs, text: new Secret(text), statedRecipient };
}

async function toRecipient(identity: string): Promise<string> {
  try {
    if (isX25519Identity(identity)) return recipientOf(identity);
    const { identityToRecipient } = await import("age-encryption");
    return await identityToRecipient(identity);
  } catch {
    // The decoder's message repeats the identity, so neither it nor a cause may travel further.
    throw unreadable("holds an age key with a typing fault: its checksum does not fit");
  }
}

const OTHER_KINDS: readonly (readonly [start: RegExp, name: string])[] = [
  [/^AGE-SECRET-KEY-PQ-1/i, "a post-quantum age key"],
  [/^AGE-PLUGIN-/i, "a key of an age plugin"],
  [/^-----BEGIN OPENSSH PRIVATE KEY/, "an OpenSSH private key"],
  [/^-----BEGIN [A-Z ]*PRIVATE KEY/, "a PEM private key"],
  [/^(?:ssh-|ecdsa-)/, "an SSH public key"],
  [/^age1/i, "the public half of an age key only"],
  [/^AGE-SECRET-KEY-1/i, "an age key in lower case; it must be upper case"],
];

function nameKind(line: string): string {
  return OTHER_KINDS.find(([start]) => start.test(line))?.[1] ?? "something that is not an age key";
}

function unreadable(fault: string): ZephError {
  return new ZephError("vault_unreadable", {
    detail: `the key file ${fault}`,
    hint: "The vault needs an age X25519 key, a line AGE-SECRET-KEY-1…: put it back from a copy, or begin anew with `zeph vault init --force` (backups are kept).",
  });
}

interface RewriteKeyFileOptions {
  readonly path: string;
  readonly clock: Clock;
  readonly lock: HeldLock;
  readonly scryptWorkFactor?: number;
}

/**
 * Writes the same key anew, under a passphrase or without one, keeping the previous file as a backup. The new form is
 * opened before it takes the place of the old one: a key that cannot be read would lose every secret.
 */
export async function rewriteKeyFile(
  current: KeyFile,
  passphrase: Secret | undefined,
  { path, clock, lock, scryptWorkFactor }: RewriteKeyFileOptions,
): Promise<{ readonly keyFile: KeyFile; readonly backupPath: string | undefined }> {
  const text =
    passphrase === undefined ? current.text.reveal() : await protectKeyFile(current.text, passphrase, scryptWorkFactor);
  const bytes = new TextEncoder().encode(text);
  const keyFile = await readKeyFile(bytes, async () => passphrase);
  const identities = (file: KeyFile) => file.pairs.map(({ identity }) => identity.reveal()).join();
  if (identities(keyFile) !== identities(current))
    throw new ZephError("internal", { detail: "the key file would not hold the same key; it was left as it is" });
  const backup = (target: string) => keepBackup(target, { clock });
  const backupPath = await replaceFile(path, bytes, { clock, lock, backup });
  const written = await readSecretFile(path);
  if (written === undefined || Buffer.compare(written, bytes) !== 0) {
    throw new ZephError("vault_unreadable", {
      detail: `${path} does not hold what was just written to it`,
      hint: `Check the disk; the key file as it was before is ${backupPath ?? "lost"}.`,
    });
  }
  return { keyFile, backupPath };
}

/** Base-2 logarithm of scrypt's cost. The `age` tool writes 18 as well: about one second and 256 MiB. */
const DEFAULT_WORK_FACTOR = 18;

/** Larger ones in a foreign file could take all memory; 20 takes 1 GiB. */
const MAX_WORK_FACTOR = 20;

const SALT_LABEL = "age-encryption.org/v1/scrypt";
const SALT_BYTES = 16;
const TAG_BYTES = 16;

/** Every wrapping key is used once, so the age specification fixes the nonce to zero. */
const NONCE = new Uint8Array(12);

const deriveWithScrypt = promisify<Buffer, Buffer, number, ScryptOptions, Buffer>(scrypt);

/**
 * Encrypts to a passphrase, as `age -p` does. Node's scrypt works on another thread; age-encryption's own would stop
 * the event loop for seconds.
 */
export function passphraseRecipient(passphrase: Secret, workFactor: number = DEFAULT_WORK_FACTOR): Recipient {
  return {
    async wrapFileKey(fileKey) {
      const { Stanza } = await import("age-encryption");
      const salt = randomBytes(SALT_BYTES);
      const key = await deriveKey(passphrase, salt, workFactor);
      const cipher = createCipheriv("chacha20-poly1305", key, NONCE, { authTagLength: TAG_BYTES });
      const body = Buffer.concat([cipher.update(fileKey), cipher.final(), cipher.getAuthTag()]);
      const saltText = salt.toString("base64").replace(/=+$/, "");
      return [new Stanza(["scrypt", saltText, String(workFactor)], new Uint8Array(body))];
    },
  };
}

/** Decrypts with a passphrase. Throws `vault_wrong_passphrase`, or `vault_unreadable` for another kind of file. */
export function passphraseIdentity(passphrase: Secret): Identity {
  return {
    async unwrapFileKey(stanzas) {
      const { salt, workFactor, body } = parseScryptStanza(stanzas);
      const key = await deriveKey(passphrase, salt, workFactor);
      const decipher = createDecipheriv("chacha20-poly1305", key, NONCE, { authTagLength: TAG_BYTES });
      decipher.setAuthTag(body.subarray(-TAG_BYTES));
      const fileKey = decipher.update(body.subarray(0, -TAG_BYTES));
      try {
        decipher.final();
      } catch {
        // The tag does not fit: that is what a wrong passphrase looks like.
        throw new ZephError("vault_wrong_passphrase");
      }
      return new Uint8Array(fileKey);
    },
  };
}

function parseScryptStanza(stanzas: readonly Stanza[]): { salt: Buffer; workFactor: number; body: Uint8Array } {
  const [stanza] = stanzas;
  const [type, saltText = "", workFactorText = ""] = stanza?.args ?? [];
  if (stanza === undefined || stanzas.length !== 1 || type !== "scrypt") {
    throw new ZephError("vault_unreadable", { detail: "the key file is encrypted, but not with a passphrase" });
  }
  const salt = Buffer.from(saltText, "base64");
  const workFactor = Number(workFactorText);
  const damaged = salt.length !== SALT_BYTES || stanza.body.length !== 32 || !/^[1-9]\d?$/.test(workFactorText);
  if (damaged || workFactor > MAX_WORK_FACTOR) {
    const fault = damaged ? "is damaged" : `asks for scrypt work factor ${workFactor}, more than ${MAX_WORK_FACTOR}`;
    throw new ZephError("vault_unreadable", { detail: `the passphrase header of the key file ${fault}` });
  }
  return { salt, workFactor, body: stanza.body };
}

function deriveKey(passphrase: Secret, salt: Buffer, workFactor: number): Promise<Buffer> {
  const cost = 2 ** workFactor;
  const saltWithLabel = Buffer.concat([Buffer.from(SALT_LABEL), salt]);
  // Node refuses by default beyond 32 MiB; the algorithm takes 128 * r * cost bytes and a little.
  const options = { cost, blockSize: 8, parallelization: 1, maxmem: 129 * 8 * cost + 65_536 };
  return deriveWithScrypt(Buffer.from(passphrase.reveal()), saltWithLabel, 32, options);
}

const VERSION_LINE = "age-encryption.org/v1\n";
const ARMOR_LINE = "-----BEGIN AGE ENCRYPTED FILE-----";
const ARMOR_END = "-----END AGE ENCRYPTED FILE-----";

/** What can be seen of an age file without any key. */
export interface AgeFile {
  readonly armored: boolean;
  /** The file without armour. */
  readonly binary: Uint8Array;
  /** The kind of each recipient in the header, such as `X25519` or `scrypt`; without grease, which stands for nobody. */
  readonly recipientTypes: readonly string[];
  /** The header with its MAC: who can open the file. */
  readonly header: Uint8Array;
}

/** Looks at a file; `undefined` when it is no age v1 file or its armour is damaged. */
export function inspectAgeFile(bytes: Uint8Array): AgeFile | undefined {
  const armored = isArmored(bytes);
  const binary = armored ? removeArmor(bytes) : bytes;
  if (binary === undefined || !toLatin1(binary.subarray(0, VERSION_LINE.length)).startsWith(VERSION_LINE)) return;
  const header = headerOf(binary);
  return { armored, binary, header, recipientTypes: recipientTypes(header) };
}

/** Is this meant to be an age file, intact or not? */
function looksLikeAgeFile(bytes: Uint8Array): boolean {
  return isArmored(bytes) || toLatin1(bytes.subarray(0, 14)) === VERSION_LINE.slice(0, 14);
}

function isArmored(bytes: Uint8Array): boolean {
  return toLatin1(bytes.subarray(0, 256)).trimStart().startsWith(ARMOR_LINE);
}

/** A strict form of PEM (C2SP age specification, "ASCII armor"): full lines of 64 but the last, canonical base64. */
function removeArmor(bytes: Uint8Array): Uint8Array | undefined {
  const lines = toLatin1(bytes).trim().replaceAll("\r\n", "\n").split("\n");
  if (lines.shift() !== ARMOR_LINE || lines.pop() !== ARMOR_END) return undefined;
  const last = lines.at(-1) ?? "";
  if (last.length === 0 || last.length > 64 || lines.slice(0, -1).some((line) => line.length !== 64)) return undefined;
  const text = lines.join("");
  const decoded = Buffer.from(text, "base64");
  return decoded.toString("base64") === text ? decoded : undefined;
}

/** The header is text, ended by the `---` line with the MAC (C2SP age specification). */
function headerOf(binary: Uint8Array): Uint8Array {
  const text = toLatin1(binary.subarray(0, 65_536));
  const end = text.indexOf("\n", text.indexOf("\n--- ") + 1);
  return binary.subarray(0, end === -1 ? 0 : end + 1);
}

/** One `-> TYPE …` line per recipient. Grease has a type that ends so, and is there to keep readers tolerant. */
function recipientTypes(header: Uint8Array): string[] {
  const lines = toLatin1(header).split("\n");
  return lines
    .filter((line) => line.startsWith("-> "))
    .map((line) => line.split(" ")[1] ?? "")
    .filter((type) => !type.endsWith("-grease"));
}

function toLatin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
}

/**
 * The one form nearly every vault has, read with node:crypto: binary age v1 for X25519 recipients (C2SP age
 * specification). `age-encryption` brings every curve along, the post-quantum ones too, and takes longer to load than most
 * commands take; it is loaded for whatever stands outside this form, and for writing.
 */
interface X25519File {
  /** The file's text, by the first identity that fits. `undefined`: none does. Throws when the file is damaged. */
  open(identities: readonly string[]): Buffer | undefined;
}

interface X25519Stanza {
  readonly share: Buffer;
  readonly wrappedKey: Buffer;
}

/** `undefined` for a file that has, or may have, anything else in its header than X25519 recipients. */
export function readX25519File(binary: Uint8Array): X25519File | undefined {
  const file = Buffer.from(binary.buffer, binary.byteOffset, binary.byteLength);
  const header = HEADER.exec(file.subarray(0, MAX_HEADER_BYTES).toString("latin1"));
  if (header === null) return undefined;
  const [text, recipients = "", macText = ""] = header;
  const stanzas = [...recipients.matchAll(STANZA)].map(([, share = "", key = ""]) => ({
    share: fromBase64(share),
    wrappedKey: fromBase64(key),
  }));
  const mac = fromBase64(macText);
  const sizes = stanzas.every(({ share, wrappedKey }) => share?.length === 32 && wrappedKey?.length === 32);
  if (!sizes || mac?.length !== 32) return undefined;
  const authenticated = text.slice(0, text.length - macText.length - 2);
  return {
    open(identities) {
      for (const identity of identities) {
        const fileKey = unwrap(stanzas as readonly X25519Stanza[], decodeIdentity(identity));
        if (fileKey === undefined) continue;
        const expected = createHmac("sha256", derive(fileKey, EMPTY, "header"))
          .update(authenticated)
          .digest();
        if (!timingSafeEqual(expected, mac)) throw new Error("the header was changed");
        const plain = openPayload(fileKey, file.subarray(text.length));
        fileKey.fill(0);
        return plain;
      }
      return undefined;
    },
  };
}

/** Whether this is an identity of that form; one with a typing fault is too, and does not decode. */
export function isX25519Identity(identity: string): boolean {
  return identity.startsWith("AGE-SECRET-KEY-1");
}

/** The public half of an identity. Throws, in words that may repeat the identity, when it does not decode. */
export function recipientOf(identity: string): string {
  return bech32.encodeFromBytes("age", publicBytes(privateKey(decodeIdentity(identity))));
}

const MAX_HEADER_BYTES = 65_536;
const HEADER = /^age-encryption\.org\/v1\n((?:-> X25519 [\w+/]{43}\n[\w+/]{43}\n)+)--- ([\w+/]{43})\n/;
const STANZA = /-> X25519 (\S+)\n(\S+)\n/g;
const EMPTY = Buffer.alloc(0);
const CHUNK_BYTES = 64 * 1024;
const NONCE_BYTES = 16;

/** `undefined` for what is no canonical base64 without padding: the specification wants such files refused. */
function fromBase64(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, "base64");
  return bytes.toString("base64").replace(/=+$/, "") === text ? bytes : undefined;
}

function unwrap(stanzas: readonly X25519Stanza[], secretBytes: Buffer): Buffer | undefined {
  const secret = privateKey(secretBytes);
  const own = publicBytes(secret);
  for (const { share, wrappedKey } of stanzas) {
    const shared = agree(secret, share);
    const key = derive(shared, Buffer.concat([share, own]), "age-encryption.org/v1/X25519");
    const fileKey = decrypt(key, Buffer.alloc(12), wrappedKey);
    if (fileKey !== undefined) return fileKey;
  }
  return undefined;
}

/** A share of low order gives a secret that everybody knows; OpenSSL refuses it, and so does the specification. */
function agree(secret: KeyObject, share: Buffer): Buffer {
  const publicKey = createPublicKey({ key: Buffer.concat([SPKI_PREFIX, share]), format: "der", type: "spki" });
  const shared = diffieHellman({ privateKey: secret, publicKey });
  if (shared.every((byte) => byte === 0)) throw new Error("the share of a recipient is of low order");
  return shared;
}

function openPayload(fileKey: Buffer, payload: Buffer): Buffer {
  if (payload.length < NONCE_BYTES + TAG_BYTES) throw new Error("the payload is cut");
  const key = derive(fileKey, payload.subarray(0, NONCE_BYTES), "payload");
  const chunks: Buffer[] = [];
  const step = CHUNK_BYTES + TAG_BYTES;
  for (let at = NONCE_BYTES; at < payload.length; at += step) {
    const isLast = at + step >= payload.length;
    const nonce = Buffer.alloc(12);
    nonce.writeUInt32BE(chunks.length, 7);
    nonce[11] = isLast ? 1 : 0;
    const chunk = decrypt(key, nonce, payload.subarray(at, at + step));
    if (chunk === undefined || (chunk.length === 0 && chunks.length > 0)) throw new Error("the payload was changed");
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function decrypt(key: Buffer, nonce: Buffer, sealed: Buffer): Buffer | undefined {
  if (sealed.length < TAG_BYTES) return undefined;
  const decipher = createDecipheriv("chacha20-poly1305", key, nonce, { authTagLength: TAG_BYTES });
  decipher.setAuthTag(sealed.subarray(-TAG_BYTES));
  const plain = decipher.update(sealed.subarray(0, -TAG_BYTES));
  try {
    decipher.final();
  } catch {
    // Another key, or other bytes than were sealed: whoever asked knows which.
    return undefined;
  }
  return plain;
}

function derive(key: Buffer, salt: Buffer, label: string): Buffer {
  return Buffer.from(hkdfSync("sha256", key, salt, label, 32));
}

// Keys

const PKCS8_PREFIX = Buffer.from("302e020100300506032b656e04220420", "hex");
const SPKI_PREFIX = Buffer.from("302a300506032b656e032100", "hex");

function privateKey(bytes: Buffer): KeyObject {
  return createPrivateKey({ key: Buffer.concat([PKCS8_PREFIX, bytes]), format: "der", type: "pkcs8" });
}

function publicBytes(secret: KeyObject): Buffer {
  return createPublicKey(secret).export({ format: "der", type: "spki" }).subarray(-32);
}

function decodeIdentity(identity: string): Buffer {
  const { prefix, bytes } = bech32.decodeToBytes(identity);
  if (prefix.toUpperCase() !== "AGE-SECRET-KEY-" || bytes.length !== 32) throw new Error("not an X25519 identity");
  return Buffer.from(bytes);
}
