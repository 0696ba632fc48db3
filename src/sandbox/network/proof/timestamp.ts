import { numberField } from "./protobuf.ts";

/** A time as CometBFT signs it. */
export interface Timestamp {
  readonly seconds: bigint;
  readonly nanos: number;
}

/** Go's zero time, which an absent precommit carries. */
export const ZERO_TIME: Timestamp = { seconds: -62_135_596_800n, nanos: 0 };

const NANOS_PER_MS = 1_000_000;

export function timestampFromMs(timeMs: number, moreNanos = 0): Timestamp {
  const wholeMs = Math.floor(timeMs);
  const seconds = Math.floor(wholeMs / 1000);
  return { seconds: BigInt(seconds), nanos: (wholeMs - seconds * 1000) * NANOS_PER_MS + moreNanos };
}

/** The protobuf message {1 seconds, 2 nanos}, without its own tag. */
export function encodeTimestamp(time: Timestamp): Buffer {
  return Buffer.concat([numberField(1, time.seconds), numberField(2, time.nanos)]);
}

/** RFC 3339 with nine digits, as CometBFT prints it. */
export function formatTimestamp(time: Timestamp): string {
  if (time.seconds === ZERO_TIME.seconds) return "0001-01-01T00:00:00Z";
  const wholeSeconds = new Date(Number(time.seconds) * 1000).toISOString().slice(0, "2026-05-01T12:00:00".length);
  return `${wholeSeconds}.${String(time.nanos).padStart(9, "0")}Z`;
}
