import { NETWORK_LIMITS } from "../../../protocol/network-parameters.ts";
import { asObject, cutBytes, fitsBytes } from "../json.ts";
import { type FieldRule, toNumber } from "./numbers.ts";

const { maxStopSequences, maxStopBytes, maxUserBytes, maxLogitBiasEntries } = NETWORK_LIMITS;

/** The list itself when every entry fits, else what is left of it; `undefined` when that is nothing. */
function fitting<Entry>(list: readonly unknown[], maxEntries: number, entryOf: (entry: unknown) => Entry | undefined) {
  const kept: Entry[] = [];
  for (const entry of list) {
    if (kept.length === maxEntries) break;
    const fitted = entryOf(entry);
    if (fitted !== undefined) kept.push(fitted);
  }
  if (kept.length === 0) return undefined;
  const isSame = kept.length === list.length && kept.every((entry, index) => entry === list[index]);
  return isSame ? list : kept;
}

const shortText = (maxBytes: number) => (entry: unknown) =>
  typeof entry === "string" && entry !== "" && fitsBytes(entry, maxBytes) ? entry : undefined;

/** A sequence that is too long would stop at nothing once cut, so it goes. */
export const stop: FieldRule = (value) =>
  Array.isArray(value) ? fitting(value, maxStopSequences, shortText(maxStopBytes)) : shortText(maxStopBytes)(value);

export const stopTokenIds: FieldRule = (value) =>
  Array.isArray(value)
    ? fitting(value, 64, (entry) => (Number.isSafeInteger(entry) && Number(entry) >= 0 ? entry : undefined))
    : undefined;

export const badWords: FieldRule = (value) =>
  Array.isArray(value)
    ? fitting(value, 64, (entry) => {
        const word = shortText(128)(entry);
        return word?.trim() === "" ? undefined : word;
      })
    : undefined;

export const user: FieldRule = (value) => {
  if (typeof value === "number") return String(value);
  return typeof value === "string" ? cutBytes(value, maxUserBytes) : undefined;
};

/** The network drops it from most requests and reads it for Kimi only; too long a one is refused. */
export const safetyIdentifier: FieldRule = (value) =>
  typeof value === "string" && fitsBytes(value, maxUserBytes) ? value : undefined;

const MAX_BIAS = 100;

/** Entries outside ±100 would be dropped by the network; at the bound they still say what was meant. */
export const logitBias: FieldRule = (value) => {
  const biases = asObject(value);
  if (biases === undefined) return undefined;
  const entries = Object.entries(biases);
  const usable = entries.flatMap(([token, bias]) => {
    const number = toNumber(bias);
    return number === undefined ? [] : [[token, Math.min(Math.max(number, -MAX_BIAS), MAX_BIAS)] as const];
  });
  const isSame = usable.length === entries.length && usable.every(([token, bias]) => biases[token] === bias);
  if (isSame && entries.length <= maxLogitBiasEntries) return value;
  const strongest = usable.sort(([, a], [, b]) => Math.abs(b) - Math.abs(a)).slice(0, maxLogitBiasEntries);
  return strongest.length === 0 ? undefined : Object.fromEntries(strongest);
};

/** Values that are no texts become some; what is too long is cut, and what is too many left out. */
export const metadata: FieldRule = (value) => {
  const given = asObject(value);
  if (given === undefined) return undefined;
  const entries = Object.entries(given);
  const kept = entries
    .filter(([key]) => key.length <= NETWORK_LIMITS.maxMetadataKeyChars)
    .slice(0, NETWORK_LIMITS.maxMetadataKeys)
    .map(([key, each]) => [key, metadataText(each)] as const);
  const isSame = kept.length === entries.length && kept.every(([key, text]) => given[key] === text);
  if (isSame) return value;
  return kept.length === 0 ? undefined : Object.fromEntries(kept);
};

function metadataText(value: unknown): string {
  const text = typeof value === "string" ? value : shallowJson(value);
  return text.slice(0, NETWORK_LIMITS.maxMetadataValueChars);
}

function shallowJson(value: unknown): string {
  // A value nested a million levels deep would overflow the stack of the serialiser.
  return typeof value === "object" && value !== null ? "[object]" : String(value);
}
