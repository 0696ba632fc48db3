import { ZephError } from "../errors/zeph-error.ts";
import { Secret } from "../internal/secret.ts";
import { inspectAgeFile, looksLikeAgeFile } from "./age-file.ts";
import { isX25519Identity, recipientOf } from "./age-x25519.ts";
import { passphraseIdentity, passphraseRecipient } from "./passphrase.ts";

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
