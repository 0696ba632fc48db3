import { createDecipheriv, createHmac, createPrivateKey, createPublicKey, diffieHellman, hkdfSync } from "node:crypto";

const CHUNK_BYTES = 64 * 1024 + 16;

/**
 * A second age v1 decoder, written from the C2SP specification with node:crypto alone, so that files of ours are not
 * judged by the library that wrote them. One X25519 recipient, no armour; throws for anything else.
 */
export function decodeAge(file: Buffer, identity: string): string {
  const { share, wrappedKey, headerWithoutMac, mac, payload } = parse(file);
  const secretKey = decodeIdentity(identity);
  const publicKey = toPublicBytes(secretKey);
  const shared = diffieHellman({ privateKey: toPrivateKey(secretKey), publicKey: toPublicKey(share) });
  const wrappingKey = derive(shared, Buffer.concat([share, publicKey]), "age-encryption.org/v1/X25519");
  const fileKey = open(wrappingKey, Buffer.alloc(12), wrappedKey);
  const expectedMac = createHmac("sha256", derive(fileKey, Buffer.alloc(0), "header"))
    .update(headerWithoutMac)
    .digest();
  if (!expectedMac.equals(mac)) throw new Error("the header MAC does not fit");
  return openPayload(fileKey, payload).toString("utf8");
}

function parse(file: Buffer) {
  const pattern = /^age-encryption\.org\/v1\n-> X25519 (\S{43})\n(\S{43})\n--- (\S{43})\n/;
  const match = pattern.exec(file.subarray(0, 300).toString("latin1"));
  if (match === null) throw new Error("not age v1 with exactly one X25519 recipient");
  const [header, share = "", wrappedKey = "", mac = ""] = match;
  return {
    share: Buffer.from(share, "base64"),
    wrappedKey: Buffer.from(wrappedKey, "base64"),
    mac: Buffer.from(mac, "base64"),
    headerWithoutMac: header.slice(0, header.indexOf("---") + 3),
    payload: file.subarray(header.length),
  };
}

function openPayload(fileKey: Buffer, payload: Buffer): Buffer {
  const key = derive(fileKey, payload.subarray(0, 16), "payload");
  const chunks: Buffer[] = [];
  for (let offset = 16; offset < payload.length; offset += CHUNK_BYTES) {
    const nonce = Buffer.alloc(12);
    nonce.writeUInt32BE(chunks.length, 7);
    nonce[11] = offset + CHUNK_BYTES >= payload.length ? 1 : 0;
    chunks.push(open(key, nonce, payload.subarray(offset, offset + CHUNK_BYTES)));
  }
  return Buffer.concat(chunks);
}

function open(key: Buffer, nonce: Buffer, sealed: Buffer): Buffer {
  const decipher = createDecipheriv("chacha20-poly1305", key, nonce, { authTagLength: 16 });
  decipher.setAuthTag(sealed.subarray(-16));
  return Buffer.concat([decipher.update(sealed.subarray(0, -16)), decipher.final()]);
}

function derive(key: Buffer, salt: Buffer, label: string): Buffer {
  return Buffer.from(hkdfSync("sha256", key, salt, label, 32));
}

const PRIVATE_PREFIX = Buffer.from("302e020100300506032b656e04220420", "hex");
const PUBLIC_PREFIX = Buffer.from("302a300506032b656e032100", "hex");

function toPrivateKey(bytes: Buffer) {
  return createPrivateKey({ key: Buffer.concat([PRIVATE_PREFIX, bytes]), format: "der", type: "pkcs8" });
}

function toPublicKey(bytes: Buffer) {
  return createPublicKey({ key: Buffer.concat([PUBLIC_PREFIX, bytes]), format: "der", type: "spki" });
}

function toPublicBytes(secretKey: Buffer): Buffer {
  return createPublicKey(toPrivateKey(secretKey)).export({ format: "der", type: "spki" }).subarray(-32);
}

/** Bech32 without the checksum: a wrong identity opens nothing anyway. */
function decodeIdentity(identity: string): Buffer {
  const digits = identity.slice("AGE-SECRET-KEY-1".length, -6).toLowerCase();
  const bits = [...digits]
    .map((digit) => "qpzry9x8gf2tvdw0s3jn54khce6mua7l".indexOf(digit).toString(2).padStart(5, "0"))
    .join("");
  return Buffer.from((bits.match(/.{8}/g) ?? []).map((byte) => Number.parseInt(byte, 2)));
}
