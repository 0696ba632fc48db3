import type { ZephErrorCode } from "../../errors/catalogue.ts";
import type { Charged } from "../../errors/zeph-error.ts";

/**
 * What the loop may do about a refusal:
 * `stop` no endpoint would answer differently · `again` wait and repeat, here or elsewhere · `elsewhere` another node
 * would answer differently, at once · `fix-clock` compare clocks, sign anew once · `sign-anew` at once, once.
 */
export type Remedy = "stop" | "again" | "elsewhere" | "fix-clock" | "sign-anew";

/** A non-2xx answer, understood. */
export interface Refusal {
  readonly code: ZephErrorCode;
  readonly remedy: Remedy;
  readonly charged: Charged;
  /** The server's own words, scrubbed; or what was recognised instead of words. */
  readonly detail?: string;
  readonly hint?: string;
  /** With `fix-clock`: which way our time seemed wrong. Only `future` can also mean that the chain stands still. */
  readonly timestamp?: "old" | "future";
}

/** For every failure after which nobody can say whether the network charges. */
export const MAYBE_CHARGED_HINT =
  "The endpoint may have the request already and charge for it. Try again if a second charge is acceptable; zeph does so by itself only with retryCharged.";

/** A response as the refusal tables see it. */
export interface RefusedResponse {
  readonly status: number;
  readonly contentType: string;
  readonly bodyText: string;
  /** Path below the base URL, e.g. `/chat/completions`. */
  readonly path: string;
  readonly location?: string;
}
