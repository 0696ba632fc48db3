import {
  createDecipheriv,
  createHmac,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  hkdfSync,
  type KeyObject,
  timingSafeEqual,
} from "node:crypto";
import { bech32 } from "@scure/base";

/**
 * The one form nearly every vault has, read with node:crypto: binary age v1 for X25519 recipients (C2SP age
 * specification). `age-encryption` brings every curve along, the post-quantum ones too, and takes longer to load than most
 * commands take; it is loaded for whatever stands outside this form, and for writing.
 */
interface X25519File {
  /** The file's text, by the first identity that fits. `undefined`: none does. Throws when the file is damaged. */
  open(identities: readonly string[]): Buffer | undefined;
}

interface Stanza {
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
        const fileKey = unwrap(stanzas as readonly Stanza[], decodeIdentity(identity));
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
const TAG_BYTES = 16;
const NONCE_BYTES = 16;

/** `undefined` for what is no canonical base64 without padding: the specification wants such files refused. */
function fromBase64(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, "base64");
  return bytes.toString("base64").replace(/=+$/, "") === text ? bytes : undefined;
}

function unwrap(stanzas: readonly Stanza[], secretBytes: Buffer): Buffer | undefined {
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
