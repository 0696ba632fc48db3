import type { AttemptRecord, ZephError } from "../errors/zeph-error.ts";

/**
 * What a connection tells while it works: for a status line, a journal, a log. Holds no prompt, no header and no key.
 */
export type TransportEvent =
  | { readonly type: "attempt-started"; readonly attempt: number; readonly endpoint: string; readonly signed: boolean }
  | { readonly type: "attempt-ended"; readonly attempt: number; readonly record: AttemptRecord }
  | {
      readonly type: "waiting";
      readonly attempt: number;
      readonly maxAttempts: number;
      readonly delayMs: number;
      readonly reason: string;
    }
  | { readonly type: "clock-corrected"; readonly offsetMs: number }
  /** A node took the request, and its clock differs by this much from ours (above 0: ours is behind). Once per connection. */
  | { readonly type: "clock-off"; readonly offsetMs: number }
  /** Something about the answer that a person should know. */
  | { readonly type: "notice"; readonly text: string }
  | { readonly type: "gave-up"; readonly error: ZephError };

export type OnTransportEvent = (event: TransportEvent) => void;
