import { generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import {
  bytesField,
  integerField,
  message,
  messageField,
  sha256,
  textField,
  toHex,
  varint,
} from "../../src/wire/bytes.ts";
import { participantsKey } from "../../src/wire/ics23.ts";
import {
  headerHash,
  precommitSignBytes,
  readCommit,
  readHeader,
  readValidators,
  validatorsHash,
} from "../../src/wire/tendermint.ts";

import { type Json, loadParticipantsSample } from "./participants-sample.ts";

export interface Forgery {
  readonly storeKey?: Uint8Array;
  readonly storeName?: string;
  /** Bytes of the leaf in front of key and value hash. */
  readonly leafPrefix?: string;
  readonly createdAtBlockHeight?: bigint;
  /** What the attacker writes into the readable copy. */
  readonly twinUrl?: string;
}

export const ATTACKER_URL = "http://attacker.example:8000";
const ATTACKER_ADDRESS = "gonka1w508d6qejxtdg4y5r3zarvary0c5xw7k2gsyg6";
const EPOCH = 42n;

/**
 * What a hostile server can make without any key of the network: a list of its own, a proof that leads from it to an
 * app_hash of its own, a block with that app_hash, and votes of its own validator.
 */
export function forgeParticipants(forgery: Forgery = {}): { readonly response: Json; readonly commit: Json } {
  const response = loadParticipantsSample().restored;
  const participant = message(
    textField(1, ATTACKER_ADDRESS),
    integerField(3, 1n),
    textField(4, ATTACKER_URL),
    textField(5, "Qwen/x"),
  );
  const value = message(
    messageField(1, participant),
    integerField(5, forgery.createdAtBlockHeight ?? 123_456n),
    integerField(6, EPOCH),
  );
  const store = leafProof(forgery.storeKey ?? participantsKey(EPOCH), value, forgery.leafPrefix ?? "000202");
  const name = Buffer.from(forgery.storeName ?? "inference");
  const application = leafProof(name, store.root, "00");
  response.active_participants_bytes = toHex(value);
  response.active_participants.participants = [
    { index: ATTACKER_ADDRESS, weight: 1, inference_url: forgery.twinUrl ?? ATTACKER_URL, models: ["Qwen/x"] },
  ];
  response.proof_ops.ops = [
    { type: "ics23:iavl", key: base64(forgery.storeKey ?? participantsKey(EPOCH)), data: base64(store.data) },
    { type: "ics23:simple", key: base64(name), data: base64(application.data) },
  ];
  response.excluded_participants = [];
  response.block.header.app_hash = toHex(application.root).toUpperCase();
  return { response, commit: signForged(response) };
}

/** A proof of one leaf without inner nodes: the leaf is the root. */
function leafProof(key: Uint8Array, value: Uint8Array, prefixHex: string): { data: Uint8Array; root: Uint8Array } {
  const prefix = Buffer.from(prefixHex, "hex");
  const leaf = message(integerField(1, 1n), integerField(3, 1n), integerField(4, 1n), bytesField(5, prefix));
  const exist = message(bytesField(1, key), bytesField(2, value), messageField(3, leaf));
  const root = sha256(prefix, varint(BigInt(key.length)), key, varint(32n), sha256(value));
  return { data: messageField(1, exist), root };
}

function signForged(response: Json): Json {
  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  const raw = publicKey.export({ format: "der", type: "spki" }).subarray(-32);
  response.validators = [{ pub_key: base64(raw), voting_power: 1 }];
  const validators = readValidators(response.validators);
  response.block.header.validators_hash = toHex(validatorsHash(validators));
  return signHeader(response.block.header, privateKey, toHex(validators[0]!.address));
}

function signHeader(header: Json, privateKey: KeyObject, validatorAddress: string): Json {
  const commit: Json = {
    height: header.height,
    round: 0,
    block_id: { hash: toHex(headerHash(readHeader(header))), parts: { total: 1, hash: "ab".repeat(32) } },
    signatures: [{ block_id_flag: 2, validator_address: validatorAddress, timestamp: header.time, signature: "" }],
  };
  const parsed = readCommit(commit);
  const bytes = precommitSignBytes(parsed, parsed.signatures[0]!, header.chain_id);
  commit.signatures[0].signature = base64(sign(null, bytes, privateKey));
  return commit;
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("base64");
}
