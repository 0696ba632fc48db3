import { CHECK_FAULTS, type CheckFaultKind, EXECUTOR_FAULTS, type ExecutorFaultKind } from "./refusal-faults.ts";
import { FRONT_ANSWERS, type FrontAnswerKind } from "./static-answers.ts";

/** What may happen to the connection instead of an answer. */
export type ConnectionFaultKind = "drop" | "hang" | "slow" | "redirect";
/** What may go wrong with an answer that is otherwise good; the inference is charged. */
export type AnswerFaultKind =
  | "cut"
  | "no-done"
  | "text-line"
  | "long-line"
  | "stall"
  | "crlf"
  | "utf8-split"
  | "duplicate-headers";

export type NodeFaultKind =
  | ConnectionFaultKind
  | FrontAnswerKind
  | CheckFaultKind
  | ExecutorFaultKind
  | AnswerFaultKind;

export interface NodeFault {
  readonly kind: NodeFaultKind;
  /** `cut`, `text-line`, `stall`: data lines that still come. Default 2. */
  readonly afterEvents?: number;
  /** `slow`: waiting before anything is looked at, milliseconds. Default 100. */
  readonly delayMs?: number;
  /** `redirect`: where to. */
  readonly location?: string;
  /** `long-line`: length of the line. Default one byte more than 1 MiB. */
  readonly lineBytes?: number;
}

export function isFrontAnswer(kind: NodeFaultKind): kind is FrontAnswerKind {
  return kind in FRONT_ANSWERS;
}

export function isCheckFault(kind: NodeFaultKind): kind is CheckFaultKind {
  return kind in CHECK_FAULTS;
}

export function isExecutorFault(kind: NodeFaultKind): kind is ExecutorFaultKind {
  return kind in EXECUTOR_FAULTS;
}
