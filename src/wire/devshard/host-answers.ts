import { parseForeignJson, SMALL_ANSWER_LIMITS } from "../../internal/scan-json.ts";
import { DEVSHARD_REFUSALS, type DevshardRefusalCode } from "./refusals.ts";

/**
 * What a host's refusal asks of the client:
 * `resend` it lacks diffs, from `expected` on · `again` the same bytes, a little later · `resign` with a new time ·
 * `elsewhere` this host cannot, another can · `diverged` it computes another state than the client: nothing more may be
 * ordered · `stop` no host would answer differently.
 */
export type HostRemedy = "resend" | "again" | "resign" | "elsewhere" | "diverged" | "stop";

export interface HostRefusal {
  readonly remedy: HostRemedy;
  readonly status: number;
  /** The host's words, without the wrapping of its framework. */
  readonly text: string;
  /** The rule of the protocol that was applied, where the text names one. */
  readonly code?: DevshardRefusalCode | undefined;
  /** With `resend`: the next nonce of the host. */
  readonly expected?: number | undefined;
  /** With `stop` for another version: the one that the session is bound to on this host. */
  readonly boundVersion?: string | undefined;
}

type Row = readonly [status: number, text: RegExp, remedy: HostRemedy];

/**
 * In the order a host checks (gonka-ai/gonka devshard v3 and v4-development: `transport/server.go`, `host/`). Anything may
 * have been applied before a 500: it never says that a nonce is free.
 */
const ROWS: readonly Row[] = [
  [503, /requests are disabled|requests_disabled/i, "stop"],
  [503, /(?:)/, "again"],
  [429, /(?:)/, "again"],
  [401, /timestamp drift/i, "resign"],
  [401, /(?:)/, "stop"],
  // Recovering a wrong signature gives a stranger, so this is also what a body changed on the way looks like.
  [403, /(?:)/, "stop"],
  [409, /(?:)/, "stop"],
  [400, /(?:)/, "stop"],
  [404, /(?:)/, "elsewhere"],
  // Cached for 30 s by the host; young escrows are not known everywhere at once.
  [500, /escrow not found|chain_unavailable/i, "elsewhere"],
  [500, /invalid nonce: must be sequential/i, "resend"],
  [500, /does not match computed state root/i, "diverged"],
  [500, /invalid user signature/i, "diverged"],
  [500, /nonce exceeds chain max_nonce/i, "stop"],
  [500, /prompt does not match hash|payload does not match StartInference/i, "stop"],
  // Other refusals of a diff: composed by the same rules, so the host is on another state.
  [500, /^apply diff nonce \d+: /i, "diverged"],
  [500, /(?:)/, "elsewhere"],
  [502, /(?:)/, "again"],
  [504, /(?:)/, "elsewhere"],
];

/** Reads an answer that is no success. `errorHeader` is `X-Devshard-Error`. */
export function readHostRefusal(status: number, body: string, errorHeader: string | null): HostRefusal {
  const text = [errorHeader, messageOf(body)].filter((part) => part !== null && part !== "").join(": ");
  const row = ROWS.find(([rowStatus, words]) => rowStatus === status && words.test(text));
  const remedy = row?.[2] ?? "elsewhere";
  const codes = Object.entries(DEVSHARD_REFUSALS) as [DevshardRefusalCode, string][];
  const expected = /expected (\d+), got \d+/.exec(text)?.[1];
  return {
    remedy,
    status,
    text: text === "" ? `status ${status}` : text,
    code: codes.find(([, words]) => text.includes(words))?.[0],
    expected: remedy === "resend" && expected !== undefined ? Number(expected) : undefined,
    boundVersion: status === 409 ? /exists with version (\S+?),/.exec(text)?.[1] : undefined,
  };
}

/** Both roots out of the words of a mismatch, hex. */
export function mismatchedRoots(text: string): { readonly diff: string; readonly computed: string } | undefined {
  const match = /diff ([0-9a-f]{64}), computed ([0-9a-f]{64})/.exec(text);
  return match === null ? undefined : { diff: match[1] ?? "", computed: match[2] ?? "" };
}

const MAX_TEXT = 400;

function messageOf(body: string): string {
  let text = body;
  try {
    const json: unknown = parseForeignJson(body, SMALL_ANSWER_LIMITS);
    if (typeof json === "object" && json !== null && "message" in json) text = String(json.message);
  } catch {
    // Plain words, or a page of something in between.
  }
  return text.trim().slice(0, MAX_TEXT);
}
