/**
 * How long a response asks to wait, in milliseconds: `retry-after-ms`, then `Retry-After` as seconds or as an HTTP date.
 * Undefined when absent or unreadable; a date in the past is 0.
 */
export function retryAfterMs(headers: Headers, nowMs: number): number | undefined {
  const milliseconds = nonNegative(headers.get("retry-after-ms"));
  if (milliseconds !== undefined) return milliseconds;
  const text = headers.get("retry-after");
  const seconds = nonNegative(text);
  if (seconds !== undefined) return seconds * 1000;
  // Date.parse reads "12abc" as a date in some engines; a real HTTP date starts with the weekday.
  if (text === null || !/^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)/.test(text)) return undefined;
  const date = Date.parse(text);
  return Number.isNaN(date) ? undefined : Math.max(0, date - nowMs);
}

function nonNegative(text: string | null): number | undefined {
  return text !== null && /^\d+(?:\.\d+)?$/.test(text.trim()) ? Number(text) : undefined;
}
