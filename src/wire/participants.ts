import { type JsonObject, optional, readAmount, readList, readObject, readText } from "../base/json.ts";
import { ZephError } from "../errors.ts";
import { type Bytes, equalBytes, ProtobufMessage, readHash, readHexOrBase64, timeToMs, toHex } from "./bytes.ts";
import { DEFAULT_PREFIX, type Endpoint, normalizeBaseURL, parseAddress } from "./endpoint.ts";
import { applicationRoot, brokenProof, iavlSpec, inStep, parseProofOps, simpleSpec, storeRoot } from "./ics23.ts";
import { type CheckedHeader, checkBlock, checkSignatures, type Signatures, type SignedPower } from "./tendermint.ts";

/**
 * How far a list of participants can be believed:
 * - `verified`: it follows from a hash the user pinned;
 * - `self-consistent`: its proof holds, but the same server could have made up the whole chain;
 * - `unverified`: the source offered no proof.
 */
export type ProofLabel = "verified" | "self-consistent" | "unverified";

export interface VerifyParticipantsInput {
  /** `GET /v1/epochs/{N}/participants`, as parsed JSON, in either shape. */
  readonly response: unknown;
  /** `GET /chain-rpc/commit?height=H+1`, where H+1 is the height of `response.block`. */
  readonly commit?: unknown;
  /** All pages of `GET /chain-rpc/validators?height=H+1`. Default: the validators in the response, if they are all. */
  readonly validators?: unknown;
  /** Chain the list must come from; without it any chain will do. A list without a proof names no chain, and is refused. */
  readonly chainId?: string | undefined;
  /** Epoch the list was asked for; without it any epoch will do. */
  readonly epochId?: bigint;
  /** What the user knows from elsewhere. With it the result is `verified` or an error. */
  readonly trust?: Trust;
}

export interface VerifiedParticipants extends ActiveParticipants {
  readonly label: ProofLabel;
  /** Why the label is not a better one, and what else the user should know; plain sentences. */
  readonly reasons: readonly string[];
  /** From the proven bytes unless the label is `unverified`. */
  readonly participants: readonly Participant[];
  /** Stated by the source; no proof covers it. */
  readonly excluded: readonly ExcludedParticipant[];
  /** What was computed on the way; absent when the label is `unverified`. */
  readonly evidence?: ProofEvidence;
}

/** Hashes are lower-case hex. */
export interface ProofEvidence {
  readonly chainId: string;
  readonly headerHeight: bigint;
  /** Milliseconds since 1970. An old proof is a true one: compare it with the present. */
  readonly headerTimeMs: number;
  readonly storeRoot: string;
  readonly appHash: string;
  readonly headerHash: string;
  readonly validatorsHash: string;
  /** Present when the commit was checked. */
  readonly signed?: SignedPower;
}

/**
 * Reads the participants of an epoch and checks the proof that comes with them, step by step: the record's key and bytes,
 * the store, the application hash, the header of block H+1, its commit by more than 2/3 of the validators' power, and the
 * pinned hash. The participants are taken from the proven bytes, never from the readable copy beside them.
 * (gonka-ai/gonka at 8a35022b: `inference-chain/x/inference/types/key_activeparticipants.go`,
 * `inference-chain/proto/inference/inference/activeparticipants.proto`; ICS-23 specs as in cosmos/ics23; CometBFT 0.38.)
 * No request is made: `discoverEndpoints` reads all of this from a source and comes here.
 *
 * Throws `proof_invalid`, naming the step, as soon as anything that was offered does not hold, or when a hash is pinned
 * and the proof does not reach it; throws `bad_response` for an answer that is no list of participants.
 *
 * @example
 * ```ts
 * const read = async (path: string) => (await fetch(`https://node.example/${path}`)).json();
 * const response = await read("v1/epochs/current/participants");
 * const height = response.block.header.height;
 * const commit = await read(`chain-rpc/commit?height=${height}`);
 * const { label, reasons, participants } = verifyParticipants({ response, commit, trust: { validatorsHash } });
 * ```
 */
export function verifyParticipants(input: VerifyParticipantsInput): VerifiedParticipants {
  const root = readObject(input.response, "participants response");
  const ops = inStep("store", () => parseProofOps(root.proof_ops));
  if (ops === undefined || root.block === undefined || root.block === null) return withoutProof(input);

  const { bytes, active } = inStep("participants", () => readProvenBytes(root, input.epochId));
  const storeHash = inStep("store", () => storeRoot(ops[0], active.epochId, bytes, iavlSpec));
  const appHash = inStep("application", () => applicationRoot(ops[1], storeHash, simpleSpec));
  const checked = inStep("header", () => checkBlock(root.block, { appHash, chainId: input.chainId }));
  inStep("participants", () => checkHeight(active, checked));
  const signatures = inStep("commit", () =>
    checkSignatures(checked, { commit: input.commit, validators: input.validators, page: root.validators }),
  );
  const trusted = inStep("trust", () => checkTrust(input.trust, checked, signatures));
  return {
    ...active,
    label: trusted ? "verified" : "self-consistent",
    reasons: [
      ...(trusted ? [] : ["No hash is pinned, so the server that sent the list could have made up its proof as well."]),
      ...(trusted || signatures.missing === undefined ? [] : [signatures.missing]),
      ...twinRemark(root, active),
    ],
    excluded: parseExcluded(root),
    evidence: toEvidence(checked, storeHash, signatures.signed),
  };
}

function withoutProof({ response, trust, chainId }: VerifyParticipantsInput): VerifiedParticipants {
  if (isPinned(trust)) {
    inStep("trust", () => {
      throw brokenProof("a hash is pinned, but the source offers no proof that could lead to it");
    });
  }
  if (chainId !== undefined) {
    inStep("header", () => {
      throw brokenProof(
        `the list has to come from the chain ${chainId}, but the source offers no proof that names its chain`,
      );
    });
  }
  const { active, excluded } = parseParticipants(response);
  return { ...active, excluded, label: "unverified", reasons: ["The source offers no proof for its list."] };
}

function readProvenBytes(root: JsonObject, epochId: bigint | undefined): { bytes: Bytes; active: ActiveParticipants } {
  const bytes = readHexOrBase64(root.active_participants_bytes, "active_participants_bytes");
  const active = decodeParticipants(bytes);
  if (active.epochId < 1n) throw brokenProof("they are of no epoch");
  if (epochId !== undefined && active.epochId !== epochId) {
    throw brokenProof(`they are of epoch ${active.epochId}, not of epoch ${epochId}`);
  }
  return { bytes, active };
}

/** The record is written in block H and proven by the state that block H+1 carries. */
function checkHeight({ createdAtBlockHeight }: ActiveParticipants, { header }: CheckedHeader): void {
  if (createdAtBlockHeight === header.height - 1n) return;
  throw brokenProof(
    `they were recorded in block ${createdAtBlockHeight}, but the proof is about block ${header.height}`,
  );
}

/** Clients that read the other copy would see something else; the user should know about such a source. */
function twinRemark(root: JsonObject, active: ActiveParticipants): readonly string[] {
  return summary(readTwin(root)) === summary(active.participants)
    ? []
    : ["The readable copy of the list differs from the proven one. The proven one is used."];
}

function readTwin(root: JsonObject): readonly Participant[] | undefined {
  try {
    return parseParticipants(root).active.participants;
  } catch (error) {
    if (ZephError.is(error) && error.code === "bad_response") return undefined;
    throw error;
  }
}

function summary(participants: readonly Participant[] | undefined): string {
  return JSON.stringify(
    participants?.map(({ address, inferenceUrl, models, weight }) => [address, inferenceUrl, models, `${weight}`]) ??
      null,
  );
}

function toEvidence({ header, hash }: CheckedHeader, storeHash: Bytes, signed: SignedPower | undefined): ProofEvidence {
  return {
    chainId: header.chainId,
    headerHeight: header.height,
    headerTimeMs: timeToMs(header.time),
    storeRoot: toHex(storeHash),
    appHash: toHex(header.appHash),
    headerHash: toHex(hash),
    validatorsHash: toHex(header.validatorsHash),
    ...(signed === undefined ? {} : { signed }),
  };
}

/** A host of the network in one epoch. */
export interface Participant {
  /** Account address, also the transfer address of its node. As written; check it before use. */
  readonly address: string;
  /** Declared by the participant itself, unverified; often plain http, perhaps with a trailing slash, perhaps empty. */
  readonly inferenceUrl: string;
  readonly models: readonly string[];
  readonly weight: bigint;
}

/** The hosts of one epoch, as the chain recorded them. */
interface ActiveParticipants {
  readonly participants: readonly Participant[];
  readonly epochId: bigint;
  readonly epochGroupId: bigint;
  readonly pocStartBlockHeight: bigint;
  readonly effectiveBlockHeight: bigint;
  /** Block at which the record was written: H of the proof. */
  readonly createdAtBlockHeight: bigint;
}

/** Taken out of service during the epoch. Stated by the source of the list; no proof covers it. */
export interface ExcludedParticipant {
  readonly address: string;
  readonly reason: string | undefined;
}

/**
 * Hashes known from elsewhere: a block explorer, an own full node, a friend. Hex of 64 digits or base64 of 44 characters.
 * Each one that is given must match.
 */
export interface Trust {
  /** Hash of the very header that carries the proof (block H+1). */
  readonly headerHash?: string | undefined;
  /** Hash of the validator set that signs that header; changes with every epoch. */
  readonly validatorsHash?: string | undefined;
}

function isPinned(trust: Trust | undefined): trust is Trust {
  return trust?.headerHash !== undefined || trust?.validatorsHash !== undefined;
}

/** True when the header follows from a pinned hash, false when none is pinned; throws `proof_invalid` otherwise. */
function checkTrust(trust: Trust | undefined, { header, hash }: CheckedHeader, signatures: Signatures): boolean {
  if (!isPinned(trust)) return false;
  if (trust.headerHash !== undefined && !equalBytes(readPin(trust.headerHash), hash)) {
    throw brokenProof(`the header of block ${header.height} has the hash ${toHex(hash)}, which is not the pinned one`);
  }
  if (trust.validatorsHash === undefined) return true;
  if (!equalBytes(readPin(trust.validatorsHash), header.validatorsHash)) {
    throw brokenProof(`the validator set is ${toHex(header.validatorsHash)}, which is not the pinned one`);
  }
  if (signatures.missing !== undefined) throw brokenProof(signatures.missing);
  return true;
}

function readPin(text: string): Bytes {
  const bytes = readHash(text, "the pinned hash");
  if (bytes.length === 0) throw brokenProof("the pinned hash is empty");
  return bytes;
}

/** `GET /v1/epochs/{current|N}/participants`, the readable part. Only its proof makes it more than a claim. */
interface ParticipantsResponse {
  readonly active: ActiveParticipants;
  /** Empty where the node is older than v0.2.5 and does not tell. */
  readonly excluded: readonly ExcludedParticipant[];
}

/**
 * Reads the participants of an epoch, with numbers as numbers (dapi up to v0.2.14) or as text (v0.2.15). Fields that a
 * proto encoder leaves out are zero or empty. Throws `bad_response`. What to do with it: `verifyParticipants`.
 */
export function parseParticipants(value: unknown): ParticipantsResponse {
  const root = readObject(value, "participants response");
  const active = readObject(root.active_participants, "active_participants");
  const amount = (field: string) => optional(active[field], `active_participants.${field}`, readAmount) ?? 0n;
  return {
    active: {
      participants:
        optional(active.participants, "active_participants.participants", (list, place) =>
          readList(list, place, readParticipant),
        ) ?? [],
      epochId: amount("epoch_id"),
      epochGroupId: amount("epoch_group_id"),
      pocStartBlockHeight: amount("poc_start_block_height"),
      effectiveBlockHeight: amount("effective_block_height"),
      createdAtBlockHeight: amount("created_at_block_height"),
    },
    excluded: parseExcluded(root),
  };
}

/** The `excluded_participants` of a participants response. */
function parseExcluded(root: Readonly<Record<string, unknown>>): readonly ExcludedParticipant[] {
  const read = (list: unknown, place: string) => readList(list, place, readExcluded);
  return optional(root.excluded_participants, "excluded_participants", read) ?? [];
}

function readParticipant(value: unknown, place: string): Participant {
  const participant = readObject(value, place);
  return {
    address: readText(participant.index, `${place}.index`),
    inferenceUrl: optional(participant.inference_url, `${place}.inference_url`, readText) ?? "",
    models: optional(participant.models, `${place}.models`, (list, at) => readList(list, at, readText)) ?? [],
    weight: optional(participant.weight, `${place}.weight`, readAmount) ?? 0n,
  };
}

function readExcluded(value: unknown, place: string): ExcludedParticipant {
  const excluded = readObject(value, place);
  return {
    address: readText(excluded.address, `${place}.address`),
    reason: optional(excluded.reason, `${place}.reason`, readText),
  };
}

/**
 * Decodes `active_participants_bytes`. Unknown fields are skipped: the chain may add some.
 * Source: gonka-ai/gonka `inference-chain/proto/inference/inference/activeparticipants.proto`.
 */
export function decodeParticipants(bytes: Bytes): ActiveParticipants {
  const active = new ProtobufMessage(bytes, "the record");
  return {
    participants: active.repeatedBytes(1).map(decodeParticipant),
    epochGroupId: active.integer(2),
    pocStartBlockHeight: active.integer(3),
    effectiveBlockHeight: active.integer(4),
    createdAtBlockHeight: active.integer(5),
    epochId: active.integer(6),
  };
}

function decodeParticipant(bytes: Bytes): Participant {
  const participant = new ProtobufMessage(bytes, "a participant");
  return {
    address: participant.text(1),
    weight: participant.integer(3),
    inferenceUrl: participant.text(4),
    models: participant.repeatedText(5),
  };
}

interface EligibilityRules {
  readonly excluded?: readonly ExcludedParticipant[];
  /** Addresses that may take requests; an empty list allows everyone, as on chain. */
  readonly allowedTransferAddresses?: readonly string[];
  /** Only nodes that serve this model; exact, letter case counts. */
  readonly model?: string;
  /** Address prefix of the network, default `gonka`. */
  readonly prefix?: string;
}

interface EligibleEndpoints {
  readonly endpoints: readonly Endpoint[];
  /** Participants left out, each with the reason, for whoever asks why a node is not used. */
  readonly skipped: readonly { readonly address: string; readonly reason: string }[];
}

/**
 * The nodes of an epoch that requests can be sent to: not excluded, allowed, serving the model, with an address and a URL
 * that can be used. Probing them is the caller's part.
 */
export function eligibleEndpoints(
  participants: readonly Participant[],
  rules: EligibilityRules = {},
): EligibleEndpoints {
  const endpoints: Endpoint[] = [];
  const skipped: { address: string; reason: string }[] = [];
  const seen = new Set<string>();
  for (const participant of participants) {
    const result = seen.has(participant.address) ? "is listed twice" : judge(participant, rules);
    seen.add(participant.address);
    if (typeof result === "string") skipped.push({ address: participant.address, reason: result });
    else endpoints.push(result);
  }
  return { endpoints, skipped };
}

function judge(participant: Participant, rules: EligibilityRules): Endpoint | string {
  const { address, inferenceUrl, models } = participant;
  const exclusion = rules.excluded?.find((excluded) => excluded.address === address);
  if (exclusion !== undefined) return `excluded from this epoch (${exclusion.reason ?? "no reason given"})`;
  const allowed = rules.allowedTransferAddresses ?? [];
  if (allowed.length > 0 && !allowed.includes(address)) return "not on the chain's list of transfer agents";
  if (rules.model !== undefined && !models.includes(rules.model)) return "does not serve the model";
  if (!/^https?:\/\//i.test(inferenceUrl)) return "has no http(s) URL";
  try {
    return {
      baseURL: normalizeBaseURL(inferenceUrl),
      address: parseAddress(address, { prefix: rules.prefix ?? DEFAULT_PREFIX }),
    };
  } catch (error) {
    if (ZephError.is(error)) return error.code === "invalid_address" ? "has no valid address" : "has no usable URL";
    throw error;
  }
}
