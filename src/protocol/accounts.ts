import { decodeBase64 } from "./decode-base64.ts";
import {
  type JsonObject,
  optional,
  readAmount,
  readList,
  readObject,
  readText,
  unreadable,
} from "./json/read-value.ts";

/** 1 GNK = 10⁹ ngonka. */
export const NGONKA_PER_GNK = 1_000_000_000n;
export const DENOM = "ngonka";

const PUBLIC_KEY_BYTES = 33;

/** An account as far as a signed request cares. */
export interface Account {
  /** Compressed point, 33 bytes; `undefined` until the account has signed its first transaction. */
  readonly publicKey: Uint8Array | undefined;
  readonly balanceNgonka: bigint;
}

/** Reads `GET /v2/accounts/{address}` (v0.2.12 on) or `GET /v1/participants/{address}`. Throws `bad_response`. */
export function parseAccount(value: unknown): Account {
  const account = readObject(value, "account");
  const denom = optional(account.denom, "denom", readText) ?? DENOM;
  if (denom !== DENOM) throw unreadable("denom", `is not ${DENOM}`);
  return {
    publicKey: optional(account.pubkey, "pubkey", readPublicKey),
    balanceNgonka: optional(account.balance, "balance", readAmount) ?? 0n,
  };
}

/**
 * Reads the public key from the chain's `GET /cosmos/auth/v1beta1/accounts/{address}`; `undefined` where none is
 * published. Vesting and module accounts wrap the plain one. Throws `bad_response`.
 */
export function parseAccountPublicKey(value: unknown): Uint8Array | undefined {
  const account = plainAccount(readObject(readObject(value, "account response").account, "account"));
  const publicKey = optional(account.pub_key, "account.pub_key", readObject);
  if (publicKey === undefined) return undefined;
  const type = optional(publicKey["@type"], "account.pub_key.@type", readText);
  // Nodes check developers' signatures with secp256k1 keys only, so another kind is as good as none.
  if (type !== undefined && !type.endsWith(".secp256k1.PubKey")) return undefined;
  return optional(publicKey.key, "account.pub_key.key", readPublicKey);
}

function plainAccount(account: JsonObject): JsonObject {
  const wrapped = account.base_vesting_account ?? account.base_account;
  return wrapped === undefined ? account : plainAccount(readObject(wrapped, "account"));
}

/** Reads the ngonka of `GET /cosmos/bank/v1beta1/balances/{address}`; 0 where the list has none. Throws `bad_response`. */
export function parseBalance(value: unknown): bigint {
  const balances = readObject(value, "balances response").balances;
  return readList(balances, "balances", (item, place) => {
    const coin = readObject(item, place);
    return readText(coin.denom, `${place}.denom`) === DENOM ? readAmount(coin.amount, `${place}.amount`) : 0n;
  }).reduce((sum, amount) => sum + amount, 0n);
}

function readPublicKey(value: unknown, place: string): Uint8Array | undefined {
  const text = readText(value, place);
  if (text === "") return undefined;
  const decoded = decodeBase64(text);
  if (!decoded.ok || decoded.bytes.length !== PUBLIC_KEY_BYTES) {
    throw unreadable(place, "is not a compressed public key");
  }
  return decoded.bytes;
}

/** An amount for people: `formatGnk(1_500_000_000n)` is `1.5 GNK`. */
export function formatGnk(amountNgonka: bigint): string {
  const sign = amountNgonka < 0n ? "-" : "";
  const amount = amountNgonka < 0n ? -amountNgonka : amountNgonka;
  const fraction = (amount % NGONKA_PER_GNK).toString().padStart(9, "0").replace(/0+$/, "");
  return `${sign}${amount / NGONKA_PER_GNK}${fraction === "" ? "" : `.${fraction}`} GNK`;
}
