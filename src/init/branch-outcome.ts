import type { Secret } from "../internal/secret.ts";
import type { InitAnswers } from "./plan.ts";
import type { TestReply } from "./test-message.ts";

/** How a branch of the conversation ended. */
export type BranchOutcome =
  | ReadyOutcome
  /** The user turned to the other branch, perhaps with a key that fits there. */
  | { readonly kind: "gateway" | "native"; readonly pasted?: Secret };

export interface ReadyOutcome {
  readonly kind: "ready";
  readonly answers: InitAnswers;
  /** The accepted secrets by name; stored already, unless the backend keeps none. */
  readonly secrets: ReadonlyMap<string, Secret>;
  /** Absent when no test message was wanted, or it failed and the user went on. */
  readonly reply?: TestReply;
  /** Address of the native account. */
  readonly address?: string;
}
