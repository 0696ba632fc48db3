import { randomUUID } from "node:crypto";
import { ZephError } from "../errors/zeph-error.ts";
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
  /** Counts bytes of the request that are held until its end. Throws `service_unavailable` when there are too many. */
  reserve(bytes: number): void;
  /** The model as it may be shown: somebody may paste a key into this field. */
  setModel(model: string): void;
  end(outcome: ExchangeRecord["outcome"]): void;
}

/** What a record shares with all others. */
export interface ExchangeSurroundings {
  readonly clock: Clock;
  readonly onEnd: (record: ExchangeRecord) => void;
  /** Bytes of request bodies held by all requests together. */
  readonly held: { bytes: number };
}

/** A body is held several times over while it is cleaned up; this much of them fits into a small process. */
const MAX_HELD_BYTES = 128 * 1024 * 1024;

export function openExchange(
  request: { readonly method: string; readonly route: Route["kind"] },
  { clock, onEnd, held }: ExchangeSurroundings,
): Exchange {
  const startedMs = clock.nowMs();
  let ended = false;
  let reservedBytes = 0;
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
    reserve(bytes) {
      if (held.bytes + bytes > MAX_HELD_BYTES) {
        throw new ZephError("service_unavailable", {
          detail: "too many large requests at once",
          hint: "Send fewer large requests at the same time.",
          retryAfterMs: 1000,
        });
      }
      held.bytes += bytes;
      reservedBytes += bytes;
    },
    setModel(model) {
      record.model = scrub(model.slice(0, MAX_MODEL_CHARS));
    },
    end(outcome) {
      if (ended) return;
      ended = true;
      held.bytes -= reservedBytes;
      record.outcome = outcome;
      record.elapsedMs = clock.nowMs() - startedMs;
      onEnd(record);
    },
  };
}

const MAX_MODEL_CHARS = 128;
