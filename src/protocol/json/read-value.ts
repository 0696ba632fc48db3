import { ZephError } from "../../errors/zeph-error.ts";

export type JsonObject = Readonly<Record<string, unknown>>;

/** A function that turns an unknown value into a known one or throws `bad_response`, naming the place. */
export type Reader<T> = (value: unknown, place: string) => T;

export function unreadable(place: string, fault: string): ZephError {
  return new ZephError("bad_response", { detail: `${place} ${fault}` });
}

export function readObject(value: unknown, place: string): JsonObject {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as JsonObject;
  throw unreadable(place, "is not an object");
}

export function readText(value: unknown, place: string): string {
  if (typeof value === "string") return value;
  throw unreadable(place, "is not text");
}

export function readBoolean(value: unknown, place: string): boolean {
  if (typeof value === "boolean") return value;
  throw unreadable(place, "is neither true nor false");
}

/** An integer, written as a number or as decimal text; nodes of different versions do either. Exact. */
export function readInteger(value: unknown, place: string): bigint {
  if (typeof value === "string" && /^-?\d{1,39}$/.test(value)) return BigInt(value);
  if (typeof value !== "number" || !Number.isInteger(value)) throw unreadable(place, "is not an integer");
  if (!Number.isSafeInteger(value)) throw unreadable(place, "has lost digits; read the answer with parseExactJson");
  return BigInt(value);
}

/** An integer that must not be negative: heights, weights, amounts. */
export function readAmount(value: unknown, place: string): bigint {
  const amount = readInteger(value, place);
  if (amount < 0n) throw unreadable(place, "is negative");
  return amount;
}

/** A decimal number, written as a number or as text. */
export function readNumber(value: unknown, place: string): number {
  const number = typeof value === "string" && /^-?\d+(?:\.\d+)?$/.test(value) ? Number(value) : value;
  if (typeof number === "number" && Number.isFinite(number)) return number;
  throw unreadable(place, "is not a number");
}

export function readList<T>(value: unknown, place: string, readItem: Reader<T>): readonly T[] {
  if (!Array.isArray(value)) throw unreadable(place, "is not a list");
  return value.map((item, index) => readItem(item, `${place}[${index}]`));
}

/** `undefined` for a value that is absent or null: both mean the same on this network. */
export function optional<T>(value: unknown, place: string, read: Reader<T>): T | undefined {
  return value === undefined || value === null ? undefined : read(value, place);
}
