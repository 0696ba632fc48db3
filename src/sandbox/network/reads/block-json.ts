import type { SealedBlock } from "../chain/block-store.ts";
import type { Commit } from "../proof/commit.ts";
import type { BlockId, Header } from "../proof/header.ts";
import { formatTimestamp } from "../proof/timestamp.ts";

/** How one kind of server spells blocks. */
export interface BlockStyle {
  readonly hash: (bytes: Buffer) => string;
  readonly number: (value: number) => number | string;
  readonly flag: (flag: number) => number | string;
  readonly parts: "parts" | "part_set_header";
  readonly version: unknown;
  /** Empty lists. */
  readonly empty: null | readonly unknown[];
}

const upperHex = (bytes: Buffer) => bytes.toString("hex").toUpperCase();

/** CometBFT's RPC: hex hashes, 64-bit numbers as text. */
export const cometStyle: BlockStyle = {
  hash: upperHex,
  number: String,
  flag: (flag) => flag,
  parts: "parts",
  version: { block: "11" },
  empty: [],
};

const FLAG_NAMES: readonly string[] = ["UNKNOWN", "ABSENT", "COMMIT", "NIL"];

/** The SDK's block, as v0.2.15 shows it: base64 hashes. */
export const sdkStyle: BlockStyle = {
  hash: (bytes) => bytes.toString("base64"),
  number: String,
  flag: (flag) => `BLOCK_ID_FLAG_${FLAG_NAMES[flag]}`,
  parts: "part_set_header",
  version: { block: "11", app: "0" },
  empty: [],
};

export function blockJson(block: SealedBlock, style: BlockStyle): unknown {
  return {
    header: headerJson(block.header, style),
    data: { txs: style.empty },
    evidence: { evidence: style.empty },
    last_commit: commitJson(block.lastCommit, style),
  };
}

export function headerJson(header: Header, style: BlockStyle): unknown {
  return {
    version: style.version,
    chain_id: header.chainId,
    height: style.number(header.height),
    time: formatTimestamp(header.time),
    last_block_id: blockIdJson(header.lastBlockId, style),
    last_commit_hash: style.hash(header.lastCommitHash),
    data_hash: style.hash(header.dataHash),
    validators_hash: style.hash(header.validatorsHash),
    next_validators_hash: style.hash(header.nextValidatorsHash),
    consensus_hash: style.hash(header.consensusHash),
    app_hash: style.hash(header.appHash),
    last_results_hash: style.hash(header.lastResultsHash),
    evidence_hash: style.hash(header.evidenceHash),
    proposer_address: style.hash(header.proposerAddress),
  };
}

export function commitJson(commit: Commit, style: BlockStyle): unknown {
  return {
    height: style.number(commit.height),
    round: commit.round,
    block_id: blockIdJson(commit.blockId, style),
    signatures: commit.signatures.map(({ flag, validatorAddress, time, signature }) => ({
      block_id_flag: style.flag(flag),
      validator_address: style.hash(validatorAddress),
      timestamp: formatTimestamp(time),
      signature: signature.length === 0 ? null : signature.toString("base64"),
    })),
  };
}

export function blockIdJson(id: BlockId, style: BlockStyle): unknown {
  return { hash: style.hash(id.hash), [style.parts]: { total: id.partsTotal, hash: style.hash(id.partsHash) } };
}
