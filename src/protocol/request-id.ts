/** Headers that name a request, best first (brokers' documentation, 2026). */
const REQUEST_ID_HEADERS = [
  "x-request-id",
  "request-id",
  "x-requestid",
  "x-gonkagate-request-id",
  "x-correlation-id",
  "cf-ray",
] as const;

/** Printable, without spaces, of a length a person can quote. */
const REQUEST_ID = /^[\x21-\x7e]{1,128}$/;

/** The id to quote when reporting a problem to the operator. */
export function requestIdOf(headers: Headers): string | undefined {
  for (const name of REQUEST_ID_HEADERS) {
    const value = headers.get(name);
    if (value !== null && REQUEST_ID.test(value)) return value;
  }
  return undefined;
}
