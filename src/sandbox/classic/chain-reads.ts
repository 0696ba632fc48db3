import { type ParticipantsProof, participantsProof, type SealedBlock } from "../blocks.ts";
import type { ChainStandIn } from "../chain.ts";
import { encodeBech32 } from "../crypto.ts";
import {
  type ActiveParticipants,
  activeParticipantsKey,
  type BlockId,
  type Commit,
  formatTimestamp,
  type Header,
  type Participant,
  type SigningValidator,
} from "../proof.ts";
import { errorAnswer, type NetworkState, type NodeSetting, type StaticAnswer } from "./node.ts";

const hexHash = (bytes: Buffer) => bytes.toString("hex").toUpperCase();

/** CometBFT's RPC: hex hashes, 64-bit numbers as text. */
const cometStyle: BlockStyle = {
  hash: hexHash,
  number: String,
  flag: (flag) => flag,
  parts: "parts",
  version: { block: "11" },
  empty: [],
};

const DEFAULT_PER_PAGE = 30;
const MAX_PER_PAGE = 100;

/** CometBFT's RPC behind `/chain-rpc` (shared reference 2.1). */
export const chainRpcRoutes: readonly ReadRoute[] = [
  { pattern: /^\/chain-rpc\/status$/, answer: status },
  { pattern: /^\/chain-rpc\/block$/, answer: atHeight(block) },
  { pattern: /^\/chain-rpc\/commit$/, answer: atHeight(commit) },
  { pattern: /^\/chain-rpc\/validators$/, answer: atHeight(validators) },
  { pattern: /^\/chain-rpc\/abci_query$/, answer: query },
];

function atHeight(answer: (context: ReadContext, height: number) => StaticAnswer): ReadRoute["answer"] {
  return (context) => {
    const latest = context.setting.chain.blocks.latest().height;
    const asked = context.query.get("height");
    const height = asked === null ? latest : Number(asked.replaceAll('"', ""));
    if (!Number.isInteger(height) || height < 1) return rpcError("height must be greater than 0, but got 0");
    if (height <= latest) return answer(context, height);
    return rpcError(`height ${height} must be less than or equal to the current blockchain height ${latest}`);
  };
}

function status({ setting }: ReadContext): StaticAnswer {
  const { chain } = setting;
  const { header, id } = chain.store().at(chain.blocks.latest().height);
  return result({
    node_info: { network: chain.store().chainId, version: "0.38.21", moniker: setting.name },
    sync_info: {
      latest_block_hash: cometStyle.hash(id.hash),
      latest_app_hash: cometStyle.hash(header.appHash),
      latest_block_height: String(header.height),
      latest_block_time: formatTimestamp(header.time),
      catching_up: false,
    },
  });
}

function block({ setting }: ReadContext, height: number): StaticAnswer {
  const sealed = setting.chain.store().at(height);
  return result({ block_id: blockIdJson(sealed.id, cometStyle), block: blockJson(sealed, cometStyle) });
}

function commit({ setting }: ReadContext, height: number): StaticAnswer {
  const sealed = setting.chain.store().at(height);
  const signed = { header: headerJson(sealed.header, cometStyle), commit: commitJson(sealed.commit, cometStyle) };
  return result({ signed_header: signed, canonical: true });
}

function validators({ setting, query }: ReadContext, height: number): StaticAnswer {
  const all = setting.chain.store().validators;
  const page = Number(query.get("page") ?? 1);
  const perPage = Math.min(Number(query.get("per_page") ?? DEFAULT_PER_PAGE), MAX_PER_PAGE);
  const pages = Math.max(Math.ceil(all.length / perPage), 1);
  if (!(page >= 1 && page <= pages)) return rpcError(`page should be within [1, ${pages}] range, given ${page}`);
  const shown = all.slice((page - 1) * perPage, page * perPage);
  return result({
    block_height: String(height),
    validators: shown.map(({ address, publicKey, power }) => ({
      address: cometStyle.hash(address),
      pub_key: { type: "tendermint/PubKeyEd25519", value: publicKey.toString("base64") },
      voting_power: String(power),
      proposer_priority: "0",
    })),
    count: String(shown.length),
    total: String(all.length),
  });
}

/** Knows the one key a client may want: the participants of an epoch, with proof. */
function query({ setting, query }: ReadContext): StaticAnswer {
  const { chain } = setting;
  const asked = (query.get("data") ?? "").replaceAll('"', "").replace(/^0x/, "").toLowerCase();
  const epoch = chain.epochs.all().find(({ epochId }) => activeParticipantsKey(epochId).toString("hex") === asked);
  if (epoch === undefined) return result({ response: { code: 0, key: null, value: null, proofOps: null } });
  const { bytes, operations } = participantsProof(epoch, chain.tampering);
  return result({
    response: {
      code: 0,
      key: Buffer.from(asked, "hex").toString("base64"),
      value: bytes.toString("base64"),
      proofOps: {
        ops: operations.map(({ type, key, data }) => ({
          type,
          key: key.toString("base64"),
          data: data.toString("base64"),
        })),
      },
      height: String(epoch.createdAtBlockHeight),
    },
  });
}

function result(value: unknown): StaticAnswer {
  return json({ jsonrpc: "2.0", id: -1, result: value });
}

function rpcError(data: string): StaticAnswer {
  const error = { code: -32603, message: "Internal error", data };
  return { ...json({ jsonrpc: "2.0", id: -1, error }), status: 500 };
}

type Shape = NetworkState["shape"];

/** `/v1/epochs/…/participants`: the list, its proof, the header that proves the proof, and who signed. */
export function participantsResponse(
  chain: ChainStandIn,
  epoch: ActiveParticipants,
  shape: Shape,
  withExcluded: "with-excluded" | "before-0.2.5",
): unknown {
  const proof = participantsProof(epoch, chain.tampering);
  const store = chain.store();
  const isProven = chain.tampering !== "no-proof";
  return {
    active_participants: listJson(proof.listed, shape),
    addresses: store.validators.map(({ address }) => upperHex(address)),
    active_participants_bytes: proof.bytes.toString("hex"),
    proof_ops: isProven ? { ops: operationsJson(proof) } : null,
    validators: store.validators.map((validator) => validatorJson(validator, chain.prefix, shape)),
    block: isProven
      ? blockJson(store.at(epoch.createdAtBlockHeight + 1), shape === "restored" ? nodeStyle : sdkStyle)
      : null,
    ...(withExcluded === "with-excluded" ? { excluded_participants: excludedJson(chain) } : {}),
  };
}

function excludedJson(chain: ChainStandIn): readonly unknown[] {
  return chain.epochs.excluded.map(({ address, reason, atHeight }) => ({
    address,
    reason,
    exclusion_block_height: atHeight,
  }));
}

/** The node's own rendering: like CometBFT's, with plain numbers and null for what is empty. */
const nodeStyle = { ...cometStyle, number: Number, version: { block: 11 }, empty: null };

function listJson(list: ActiveParticipants, shape: Shape): unknown {
  const number = shape === "restored" ? Number : String;
  return {
    participants: list.participants.map((participant) => participantJson(participant, list.epochId, number)),
    epoch_group_id: number(list.epochGroupId),
    poc_start_block_height: number(list.pocStartBlockHeight),
    effective_block_height: number(list.effectiveBlockHeight),
    created_at_block_height: number(list.createdAtBlockHeight),
    epoch_id: number(list.epochId),
  };
}

function participantJson(one: Participant, epochId: number, number: (value: number) => unknown): unknown {
  const weight = number(one.weight);
  return {
    index: one.address,
    validator_key: one.validatorKey,
    weight,
    inference_url: one.inferenceUrl,
    models: one.models,
    seed: { participant: one.address, epoch_index: number(epochId), signature: one.seedSignature },
    ml_nodes: [{ ml_nodes: [{ node_id: one.mlNodeId, throughput: number(0), poc_weight: weight }] }],
    voting_powers: one.models.map((model) => ({ model_id: model, voting_power: weight })),
  };
}

function operationsJson(proof: ParticipantsProof): readonly unknown[] {
  return proof.operations.map(({ type, key, data }) => ({
    type,
    key: key.toString("base64"),
    data: data.toString("base64"),
  }));
}

function validatorJson(validator: SigningValidator, prefix: string, shape: Shape): unknown {
  const key = validator.publicKey.toString("base64");
  if (shape === "restored") {
    return { address: upperHex(validator.address), pub_key: key, voting_power: validator.power, proposer_priority: 0 };
  }
  return {
    address: encodeBech32(`${prefix}valcons`, validator.address),
    pub_key: { "@type": "/cosmos.crypto.ed25519.PubKey", key },
    voting_power: String(validator.power),
    proposer_priority: "0",
  };
}

function upperHex(bytes: Buffer): string {
  return bytes.toString("hex").toUpperCase();
}

/** How one kind of server spells blocks. */
interface BlockStyle {
  readonly hash: (bytes: Buffer) => string;
  readonly number: (value: number) => number | string;
  readonly flag: (flag: number) => number | string;
  readonly parts: "parts" | "part_set_header";
  readonly version: unknown;
  /** Empty lists. */
  readonly empty: null | readonly unknown[];
}

const FLAG_NAMES: readonly string[] = ["UNKNOWN", "ABSENT", "COMMIT", "NIL"];

/** The SDK's block, as v0.2.15 shows it: base64 hashes. */
const sdkStyle: BlockStyle = {
  hash: (bytes) => bytes.toString("base64"),
  number: String,
  flag: (flag) => `BLOCK_ID_FLAG_${FLAG_NAMES[flag]}`,
  parts: "part_set_header",
  version: { block: "11", app: "0" },
  empty: [],
};

function blockJson(block: SealedBlock, style: BlockStyle): unknown {
  return {
    header: headerJson(block.header, style),
    data: { txs: style.empty },
    evidence: { evidence: style.empty },
    last_commit: commitJson(block.lastCommit, style),
  };
}

function headerJson(header: Header, style: BlockStyle): unknown {
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

function commitJson(commit: Commit, style: BlockStyle): unknown {
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

function blockIdJson(id: BlockId, style: BlockStyle): unknown {
  return { hash: style.hash(id.hash), [style.parts]: { total: id.partsTotal, hash: style.hash(id.partsHash) } };
}

export interface ReadContext {
  readonly setting: NodeSetting;
  /** What the groups of the pattern matched, percent-decoded. */
  readonly parameters: readonly string[];
  readonly query: URLSearchParams;
}

export interface ReadRoute {
  readonly pattern: RegExp;
  readonly answer: (context: ReadContext) => StaticAnswer | Promise<StaticAnswer>;
}

/** A 200 with a JSON body, as Go's encoder ends it. */
export function json(value: unknown, headers?: Readonly<Record<string, string>>): StaticAnswer {
  const answer = { status: 200, contentType: "application/json", body: `${JSON.stringify(value)}\n` };
  return headers === undefined ? answer : { ...answer, headers };
}

export function notFound(text: string): StaticAnswer {
  return errorAnswer(404, text);
}
