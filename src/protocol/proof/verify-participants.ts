import { ZephError } from "../../errors/zeph-error.ts";
import { type JsonObject, readObject } from "../json/read-value.ts";
import { parseExcluded, parseParticipants } from "../participants/parse-participants.ts";
import type { ActiveParticipants, ExcludedParticipant, Participant } from "../participants/participant.ts";
import { brokenProof, inStep } from "./broken-proof.ts";
import { type Bytes, toHex } from "./bytes.ts";
import { type CheckedHeader, checkBlock } from "./check-block.ts";
import { checkSignatures } from "./check-signatures.ts";
import { decodeParticipants } from "./decode-participants.ts";
import { iavlSpec } from "./iavl-spec.ts";
import { applicationRoot, parseProofOps, storeRoot } from "./proof-ops.ts";
import { readHexOrBase64 } from "./read-encoded.ts";
import { simpleSpec } from "./simple-spec.ts";
import { timeToMs } from "./time.ts";
import { checkTrust, isPinned, type Trust } from "./trust.ts";
import type { SignedPower } from "./verify-commit.ts";

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
