import { randomUUID } from "node:crypto";
import type { Clock } from "../internal/clock.ts";
import { scrub } from "../internal/redact.ts";
import type { Route } from "./route.ts";

/** What answers cost, as far as the upstream told. */
export interface Usage {
  readonly promptTokens?: number;
  readonly completionTokens?: number;
  readonly costUsd?: number;
}

/** One request and its answer, as a log or a metric may know them: no body, no key, no address of a caller. */
export interface ExchangeRecord {
  readonly requestId: string;
  readonly method: string;
  readonly route: Route["kind"];
  /** Status answered with; 499 when the caller left before there was one. */
  readonly status: number;
  readonly outcome: "complete" | "failed" | "caller-left";
  readonly elapsedMs: number;
  /** Until the first byte of the answer was there to be sent. */
  readonly firstByteMs: number | undefined;
  readonly stream: boolean;
  /** As sent to the upstream, secrets masked. */
  readonly model: string | undefined;
  /** Fields that were taken out of the request, and fields that were changed. */
  readonly removed: readonly string[];
  readonly changed: readonly string[];
  readonly usage: Usage | undefined;
  /** Code of the error, where there was one. */
  readonly errorCode: string | undefined;
  readonly upstreamRequestId: string | undefined;
  /** Who answered in the place of the first provider, where somebody did. */
  readonly fallbackProvider: string | undefined;
}

type Open = { -readonly [Field in keyof ExchangeRecord]: ExchangeRecord[Field] };

/** A record while the request is being worked on. `end` may be called more than once; the first call counts. */
export interface Exchange {
  readonly record: Open;
  firstByte(): void;
  /** The model as it may be shown: somebody may paste a key into this field. */
  setModel(model: string): void;
  end(outcome: ExchangeRecord["outcome"]): void;
}

export function openExchange(
  request: { readonly method: string; readonly route: Route["kind"] },
  { clock, onEnd }: { readonly clock: Clock; readonly onEnd: (record: ExchangeRecord) => void },
): Exchange {
  const startedMs = clock.nowMs();
  let ended = false;
  const record: Open = {
    requestId: `zeph-${randomUUID()}`,
    ...request,
    status: 499,
    outcome: "complete",
    elapsedMs: 0,
    firstByteMs: undefined,
    stream: false,
    model: undefined,
    removed: [],
    changed: [],
    usage: undefined,
    errorCode: undefined,
    upstreamRequestId: undefined,
    fallbackProvider: undefined,
  };
  return {
    record,
    firstByte() {
      record.firstByteMs ??= clock.nowMs() - startedMs;
    },
    setModel(model) {
      record.model = scrub(model.slice(0, MAX_MODEL_CHARS));
    },
    end(outcome) {
      if (ended) return;
      ended = true;
      record.outcome = outcome;
      record.elapsedMs = clock.nowMs() - startedMs;
      onEnd(record);
    },
  };
}

const MAX_MODEL_CHARS = 128;
