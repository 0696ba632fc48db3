import { type JsonObject, optional, readList, readObject, readText, unreadable } from "../json/read-value.ts";
import { type Bytes, sha256, toHex } from "./bytes.ts";
import { merkleRoot } from "./merkle-root.ts";
import { bytesField, integerField, message, messageField } from "./protobuf-writer.ts";
import { readBase64, readHashedNumber } from "./read-encoded.ts";

export interface Validator {
  /** Ed25519, 32 bytes. */
  readonly publicKey: Bytes;
  /** First 20 bytes of SHA-256 of the key. Derived, never read: the two shapes write it differently. */
  readonly address: Bytes;
  readonly votingPower: bigint;
}

const ED25519_KEY_BYTES = 32;

/**
 * Reads validators: a list, one answer of `/chain-rpc/validators` with or without its envelope, or a list of such
 * answers (pages). Returned in the order of the chain: by power, then by address.
 */
export function readValidators(value: unknown): readonly Validator[] {
  const pages = Array.isArray(value) && value.some(isPage) ? value : [value];
  return pages.flatMap((page) => readList(listOf(page), "validators", readValidator)).sort(inChainOrder);
}

function isPage(value: unknown): boolean {
  return typeof value === "object" && value !== null && ("validators" in value || "result" in value);
}

function listOf(page: unknown): unknown {
  if (!isPage(page)) return page;
  const envelope = readObject(page, "validators");
  return (optional(envelope.result, "result", readObject) ?? envelope).validators;
}

function readValidator(value: unknown, place: string): Validator {
  const validator = readObject(value, place);
  const publicKey = readPublicKey(validator.pub_key, `${place}.pub_key`);
  return {
    publicKey,
    address: sha256(publicKey).subarray(0, 20),
    votingPower: optional(validator.voting_power, `${place}.voting_power`, readHashedNumber) ?? 0n,
  };
}

/** Plain base64 (dapi), `{"@type","key"}` (SDK) or `{"type","value"}` (RPC); Ed25519 only. */
function readPublicKey(value: unknown, place: string): Bytes {
  const wrapped: JsonObject = typeof value === "string" ? { key: value } : readObject(value, place);
  const type = optional(wrapped["@type"] ?? wrapped.type, `${place}.type`, readText);
  const isEd25519 = type === undefined || /ed25519/i.test(type);
  const publicKey = readBase64(wrapped.key ?? wrapped.value, place);
  if (!isEd25519 || publicKey.length !== ED25519_KEY_BYTES) throw unreadable(place, "is not an Ed25519 key");
  return publicKey;
}

function inChainOrder(a: Validator, b: Validator): number {
  if (a.votingPower !== b.votingPower) return a.votingPower > b.votingPower ? -1 : 1;
  return toHex(a.address) < toHex(b.address) ? -1 : 1;
}

/** Hash of a validator set, as headers carry it (cometbft/cometbft v0.38 types/validator.go, `Validator.Bytes`). */
export function validatorsHash(validators: readonly Validator[]): Bytes {
  return merkleRoot(
    validators.map(({ publicKey, votingPower }) =>
      message(messageField(1, bytesField(1, publicKey)), integerField(2, votingPower)),
    ),
  );
}
