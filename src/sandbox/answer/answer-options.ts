import type { Clock } from "../../internal/clock.ts";
import type { Engine, SandboxModel } from "../engine.ts";

/**
 * Where a stream tells its usage. `last-chunk`: in a chunk of its own before `[DONE]`, when the caller asked with
 * `stream_options.include_usage` (current GonkaGate documentation); `always`: the same, asked or not;
 * `on-finish-chunk`: on the last choice chunk (older documentation); `none`: nowhere.
 */
export type UsagePlacement = "last-chunk" | "always" | "on-finish-chunk" | "none";

/** What answering one chat request takes, for the fake broker and the fake nodes alike. */
export interface AnswerOptions {
  readonly engine: Engine;
  readonly model: SandboxModel;
  /** Such as `chatcmpl-…`; the network's gateways send `devshard-…`. */
  readonly id: string;
  readonly usage: UsagePlacement;
  readonly costs: "with-costs" | "no-costs";
  readonly clock: Clock;
  /** Comment lines while the engine is silent, this far apart. */
  readonly keepAliveMs: number;
  /** Aborted when the client goes away. */
  readonly signal: AbortSignal;
}
