import { readText, unreadable } from "../json/read-value.ts";
import type { Bytes } from "./bytes.ts";
import { integerField, message } from "./protobuf-writer.ts";

/** A moment with all nine digits; block times have them, and they are hashed. */
export interface Time {
  /** Since 1970; negative for Go's zero time, 0001-01-01. */
  readonly seconds: bigint;
  readonly nanos: number;
}

const RFC3339_UTC = /^(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2})(?:\.(\d{1,9}))?(?:Z|\+00:00)$/;

export function readTime(value: unknown, place: string): Time {
  const [, wholeSeconds, fraction = ""] = RFC3339_UTC.exec(readText(value, place)) ?? [];
  const milliseconds = wholeSeconds === undefined ? Number.NaN : Date.parse(`${wholeSeconds}Z`);
  if (Number.isNaN(milliseconds)) throw unreadable(place, "is not a UTC time");
  return { seconds: BigInt(milliseconds / 1000), nanos: Number(fraction.padEnd(9, "0")) };
}

export function timeToMs({ seconds, nanos }: Time): number {
  return Number(seconds) * 1000 + Math.floor(nanos / 1e6);
}

/** google.protobuf.Timestamp. */
export function encodeTime({ seconds, nanos }: Time): Bytes {
  return message(integerField(1, seconds), integerField(2, BigInt(nanos)));
}
