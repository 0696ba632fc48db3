/**
 * Brings one field's value into what the network takes. Gives back the value itself when it is fine, another when it
 * can be translated, and `undefined` when the field has to go.
 */
export type FieldRule = (value: unknown) => unknown;

/** Numbers, and texts that are one: forms and spreadsheets send those. */
export function toNumber(value: unknown): number | undefined {
  const number = typeof value === "string" && /^\s*-?\d+(?:\.\d+)?\s*$/.test(value) ? Number(value) : value;
  return typeof number === "number" && Number.isFinite(number) ? number : undefined;
}

export function clamped(minimum: number, maximum: number): FieldRule {
  return (value) => {
    const number = toNumber(value);
    return number === undefined ? undefined : Math.min(Math.max(number, minimum), maximum);
  };
}

/** Whole numbers from `minimum`; smaller ones go. */
export function wholeFrom(minimum: number): FieldRule {
  return (value) => {
    const number = toNumber(value);
    if (number === undefined) return undefined;
    const whole = Math.floor(number);
    return whole >= minimum && Number.isSafeInteger(whole) ? whole : undefined;
  };
}

const SMALLEST_TOP_P = 1e-6;

/** 0 is refused; callers mean "the likeliest only" with it. */
export const topP: FieldRule = (value) => {
  const number = toNumber(value);
  return number === undefined ? undefined : Math.min(Math.max(number, SMALLEST_TOP_P), 1);
};

/** -1 is "all"; so is the 0 of other servers, which this network refuses. */
export const topK: FieldRule = (value) => {
  const number = toNumber(value);
  if (number === undefined) return undefined;
  const whole = Math.floor(number);
  if (whole < 1) return -1;
  return Number.isSafeInteger(whole) ? whole : -1;
};

/** Nothing sensible is meant by 0 or less. */
export const repetitionPenalty: FieldRule = (value) => {
  const number = toNumber(value);
  return number === undefined || number <= 0 ? undefined : Math.min(number, 2);
};

export const answerCount: FieldRule = (value) => {
  const number = toNumber(value);
  return number === undefined ? undefined : Math.min(Math.max(Math.floor(number), 1), 5);
};

/** Negative ones mean "any" elsewhere. Beyond 2^53 a number loses digits on its way through JSON. */
export const seed: FieldRule = (value) => {
  const number = toNumber(value);
  if (number === undefined || number < 0) return undefined;
  return Math.floor(number) % 2 ** 53;
};

export const switchValue: FieldRule = (value) => {
  if (typeof value === "boolean") return value;
  if (value === "true" || value === 1) return true;
  return value === "false" || value === 0 ? false : undefined;
};
