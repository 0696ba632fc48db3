import { CATALOGUE, EXIT, type ZephErrorCode } from "../errors/catalogue.ts";
import type { Charged } from "../errors/zeph-error.ts";
import type { FailureEntry } from "./failure-entry.ts";

/** The story of a failure in sentences, each on its subject. */
export interface FailureStory {
  /** What happened. */
  readonly what: string;
  /** In the server's own words, where there were any. */
  readonly serverSaid: string | undefined;
  /** What kind of trouble it is, and what it is not. */
  readonly meaning: string;
  /** What it cost. */
  readonly charged: string;
  /** What to do now. */
  readonly next: string;
}

/** What a code means, without a particular failure. */
export interface CodeStory extends Pick<FailureStory, "what" | "meaning" | "next"> {
  readonly again: string;
  readonly exitCode: number;
}

/** Money or rate, key or network: what people mix up, told apart. */
const MEANINGS: Readonly<Record<number, string>> = {
  [EXIT.unreachable]: "The way to the endpoint, or the endpoint itself, was the trouble; key and account were not.",
  [EXIT.authentication]: "It is about who asks: the key, the signature or the account. Trying again changes nothing.",
  [EXIT.model]: "It is about the model or the size of the request; key and money are not the trouble.",
  [EXIT.pricing]: "Only prices could not be read; chats work without them.",
  [EXIT.billing]: "It is about money, not about the rate: waiting does not help, topping up does.",
  [EXIT.rateLimited]: "It is about the rate, not about money: the key is good, and waiting helps.",
  [EXIT.nativeClosed]: "This network or node does not take signed requests from this account; a broker key works.",
  [EXIT.configOrVault]: "It is about the set-up on this computer; nothing was sent.",
};

const CHARGES: Readonly<Record<Charged, string>> = {
  no: "Nothing was charged.",
  maybe: "The network may already have charged for it; no other node was asked for that reason.",
  yes: "The request was charged although it failed.",
};

export function explainFailure(entry: FailureEntry): FailureStory {
  const { summary } = CATALOGUE[entry.code];
  const wait = entry.retryAfterMs === undefined ? "" : ` It asked to wait ${Math.ceil(entry.retryAfterMs / 1000)} s.`;
  return {
    what: `${summary}.`,
    serverSaid: entry.detail,
    meaning: `${meaningOf(entry.code)}${wait}`,
    charged: CHARGES[entry.charged],
    next: entry.hint,
  };
}

/** The same for an error code by itself, as error cards name it. */
export function explainCode(code: ZephErrorCode): CodeStory {
  const { summary, hint, exitCode, retryable } = CATALOGUE[code];
  const again = retryable ? "The same request may succeed later." : "Repeating the same changes nothing.";
  return { what: `${summary}.`, meaning: meaningOf(code), next: hint, again, exitCode };
}

function meaningOf(code: ZephErrorCode): string {
  const { exitCode } = CATALOGUE[code];
  return MEANINGS[exitCode] ?? "The request itself was not accepted as it was.";
}
