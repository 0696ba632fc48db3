import { ZephError } from "../errors/zeph-error.ts";
import type { ExcludedParticipant, Participant } from "../protocol/participants/participant.ts";
import type { Trust } from "../protocol/proof/trust.ts";
import { type ProofLabel, verifyParticipants } from "../protocol/proof/verify-participants.ts";
import { type ReadNodeOptions, readNode } from "./read-node.ts";

/** What a list of nodes is checked against. Without a pinned hash the server that sent it vouches for itself. */
export interface ParticipantsTrust extends Trust {
  /** Chain the list must come from. */
  readonly chainId?: string;
  /**
   * `required` refuses a list without a proof that holds; `none` takes the server's word and does not read what would
   * prove it. Default `as-offered`: a proof that is there must hold.
   */
  readonly proof?: "required" | "as-offered" | "none";
}

export interface ParticipantsList {
  readonly participants: readonly Participant[];
  readonly excluded: readonly ExcludedParticipant[];
  readonly epochId: bigint;
  readonly label: ProofLabel;
  readonly reasons: readonly string[];
  /** When the network made the block that proves the list, milliseconds since 1970. An old proof is still a true one. */
  readonly provenAtMs?: number | undefined;
}

const PAGE_SIZE = 100;
/** No network has more validators than this; a source that says so is not to be followed. */
const MAX_PAGES = 20;

/**
 * Reads the participants of the current epoch and checks their proof as far as the source offers one: the commit and the
 * validators come from its chain RPC, which is often switched off. Throws `discovery_failed`, `proof_invalid`.
 */
export async function readParticipants(
  source: string,
  reading: ReadNodeOptions,
  trust: ParticipantsTrust = {},
): Promise<ParticipantsList> {
  const { chainId, proof = "as-offered", ...pinned } = trust;
  const answer = await readOr(`${source}/epochs/current/participants`, reading, (error) => {
    throw new ZephError("discovery_failed", { detail: error.detail ?? error.summary, cause: error });
  });
  const response = proof === "none" ? withoutProof(answer) : answer;
  const rpc = `${source.slice(0, -"/v1".length)}/chain-rpc`;
  const height = headerHeight(response);
  const [commit, validators] =
    height === undefined
      ? [undefined, undefined]
      : await Promise.all([
          readOptional(`${rpc}/commit?height=${height}`, reading),
          readValidators(rpc, height, reading),
        ]);
  const list = verifyParticipants({
    response,
    commit,
    validators,
    chainId: proof === "none" ? undefined : chainId,
    trust: pinned,
  });
  if (proof === "required" && list.label === "unverified") {
    throw new ZephError("proof_invalid", {
      detail: "the source offers no proof, and one is required",
      hint: "Ask another source; without gonka_verify_proof (GONKA_VERIFY_PROOF) this one's word is taken.",
    });
  }
  const unchecked = proof === "none" && chainId !== undefined;
  return {
    ...list,
    provenAtMs: list.evidence?.headerTimeMs,
    reasons: unchecked
      ? [...list.reasons, `Whether it is of the chain ${chainId} was not checked, as no proof is wanted.`]
      : list.reasons,
  };
}

function withoutProof(answer: unknown): unknown {
  if (typeof answer !== "object" || answer === null || Array.isArray(answer)) return answer;
  return { ...answer, proof_ops: undefined, block: undefined };
}

/** All pages of the validator set, or undefined when the chain RPC does not give them. */
async function readValidators(rpc: string, height: string, reading: ReadNodeOptions): Promise<unknown> {
  const pages: unknown[] = [];
  let seen = 0;
  for (let page = 1; page <= MAX_PAGES; page += 1) {
    const url = `${rpc}/validators?height=${height}&page=${page}&per_page=${PAGE_SIZE}`;
    const document = await readOptional(url, reading);
    if (document === undefined) return undefined;
    pages.push(document);
    const { count, total } = pageSize(document);
    seen += count;
    if (count === 0 || seen >= total) return pages;
  }
  return undefined;
}

/** What a source may have switched off, or drops, or is slow with: without it the label of the list is a lesser one. */
async function readOptional(url: string, reading: ReadNodeOptions): Promise<unknown> {
  try {
    return (await readNode(url, reading)).json;
  } catch (error) {
    if (ZephError.is(error)) return undefined;
    throw error;
  }
}

/** A document that is not to be had is handled by `otherwise`; an unreachable source is an error all the same. */
async function readOr(
  url: string,
  reading: ReadNodeOptions,
  otherwise: (error: ZephError) => unknown,
): Promise<unknown> {
  try {
    return (await readNode(url, reading)).json;
  } catch (error) {
    if (ZephError.is(error) && error.code === "bad_response") return otherwise(error);
    throw error;
  }
}

function headerHeight(response: unknown): string | undefined {
  const height = dig(response, ["block", "header", "height"]);
  const text = typeof height === "number" || typeof height === "string" ? String(height) : "";
  return /^\d{1,18}$/.test(text) ? text : undefined;
}

function pageSize(document: unknown): { readonly count: number; readonly total: number } {
  const result = dig(document, ["result"]) ?? document;
  const list = dig(result, ["validators"]);
  const total = Number(dig(result, ["total"]));
  return { count: Array.isArray(list) ? list.length : 0, total: Number.isFinite(total) ? total : 0 };
}

function dig(value: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>(
    (inner, name) => (typeof inner === "object" && inner !== null ? Reflect.get(inner, name) : undefined),
    value,
  );
}
