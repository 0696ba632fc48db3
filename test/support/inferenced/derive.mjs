import { createECDH, createHash, createHmac, pbkdf2Sync, randomBytes } from "node:crypto";
import { bech32 } from "@scure/base";
import { settings } from "./settings.mjs";

const ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
const HARDENED = 0x80000000;
/** m/44'/1200'/0'/0/0: gonka's coin type. */
const COIN_TYPE = 1200;

/** What the keyring stores for one key. */
export function keyRecord(name, privateKeyHex) {
  const publicKey = publicKeyOf(privateKeyHex);
  const hash = createHash("ripemd160").update(createHash("sha256").update(publicKey).digest()).digest();
  return {
    name,
    type: "local",
    address: bech32.encode(settings.prefix, bech32.toWords(hash)),
    pubkey: JSON.stringify({ "@type": "/cosmos.crypto.secp256k1.PubKey", key: publicKey.toString("base64") }),
    privateKeyHex,
  };
}

export function publicKeyOf(privateKeyHex) {
  const curve = createECDH("secp256k1");
  curve.setPrivateKey(Buffer.from(privateKeyHex, "hex"));
  return curve.getPublicKey(null, "compressed");
}

/** BIP 39 and BIP 32, as `keys add --recover` does. */
export function privateKeyOfWords(words, coinType = COIN_TYPE) {
  const seed = pbkdf2Sync(words.normalize("NFKD"), "mnemonic", 2048, 64, "sha512");
  let node = createHmac("sha512", "Bitcoin seed").update(seed).digest();
  for (const index of [44 + HARDENED, coinType + HARDENED, HARDENED, 0, 0]) node = child(node, index);
  return node.subarray(0, 32).toString("hex");
}

function child(node, index) {
  const key = node.subarray(0, 32);
  const number = Buffer.alloc(4);
  number.writeUInt32BE(index);
  const data = index >= HARDENED ? Buffer.concat([Buffer.alloc(1), key]) : publicKeyOf(key.toString("hex"));
  const next = createHmac("sha512", node.subarray(32)).update(data).update(number).digest();
  const sum = (toNumber(next.subarray(0, 32)) + toNumber(key)) % ORDER;
  return Buffer.concat([Buffer.from(sum.toString(16).padStart(64, "0"), "hex"), next.subarray(32)]);
}

function toNumber(bytes) {
  return BigInt(`0x${bytes.toString("hex")}`);
}

const WORDS = (
  "pyramid sweet dumb critic lamp various remove token talent drink announce tiny lab follow blind awful expire wasp " +
  "flavor very pair tell next cable icon concert service unusual wonder observe radar flock"
).split(" ");

/** 24 words. Their checksum is not that of BIP 39; deriving does not need it. */
export function newWords() {
  return [...randomBytes(24)].map((byte) => WORDS[byte % WORDS.length]).join(" ");
}
