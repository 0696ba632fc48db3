import type { HttpBindings } from "@hono/node-server";
import type { Clock } from "../../internal/clock.ts";
import type { UsagePlacement } from "../answer/answer-options.ts";
import type { Engine, ReasoningForm } from "../engine.ts";
import type { FaultPlan } from "../faults/fault-plan.ts";
import type { KeyPolicy, KeyState, SandboxKeys } from "./keys.ts";
import type { OpenRecord, RequestRecord } from "./request-log.ts";

/** How the fake broker behaves where real ones differ. */
export interface BrokerOptions extends KeyPolicy {
  /** Fixed keys, so that a test can name them. Default: drawn anew for each sandbox. */
  readonly keys?: Partial<SandboxKeys>;
  /** `full`: with context length and prices; `bare`: OpenAI's four fields; `empty`; `unavailable`: 503. Default `full`. */
  readonly modelList?: "full" | "bare" | "empty" | "unavailable";
  /** Where a stream tells its usage. Default `last-chunk`. */
  readonly usage?: UsagePlacement;
  /** Cost fields in the usage. Default `with-costs`. */
  readonly costs?: "with-costs" | "no-costs";
  /** Model id to the form its thinking takes, where it differs from the engine's. */
  readonly reasoning?: Readonly<Record<string, ReasoningForm>>;
  /** `network`: the strict rules of the Gonka network gateway; `none`: everything passes to the engine. Default `network`. */
  readonly rules?: "network" | "none";
  /** Keep the parsed bodies in the request log: prompts then stay in memory. Default false. */
  readonly recordBodies?: boolean;
  /** Silence after which a comment line is sent. Default 15 000. */
  readonly keepAliveMs?: number;
  /** Called when a request has ended. */
  readonly onRequest?: (record: RequestRecord) => void;
}

/** What all routes of one fake broker share. */
export interface BrokerState {
  readonly engine: Engine;
  readonly options: BrokerOptions;
  readonly readKey: (authorization: string | null | undefined) => KeyState;
  readonly keys: SandboxKeys;
  readonly faults: FaultPlan;
  readonly requests: OpenRecord[];
  readonly clock: Clock;
  readonly random: () => number;
}

/** hono's types for the broker's app. */
export interface BrokerEnv {
  readonly Bindings: Partial<HttpBindings>;
  readonly Variables: { record: OpenRecord };
}
