import { expect, it } from "vitest";
import { retryAfterMs } from "./retry-after.ts";

const NOW = Date.parse("Sun, 22 Nov 2026 12:00:00 GMT");

it.each([
  [{ "retry-after": "7" }, 7000],
  [{ "retry-after": "0" }, 0],
  [{ "retry-after": "1.5" }, 1500],
  [{ "retry-after": "Sun, 22 Nov 2026 12:00:30 GMT" }, 30_000],
  [{ "retry-after": "Sun, 22 Nov 2026 11:59:00 GMT" }, 0],
  [{ "retry-after-ms": "250", "retry-after": "9" }, 250],
  [{ "retry-after": "-5" }, undefined],
  [{ "retry-after": "soon" }, undefined],
  [{ "retry-after": "12abc" }, undefined],
  [{}, undefined],
])("%j is %s ms", (headers, expected) => {
  expect(retryAfterMs(new Headers(headers as Record<string, string>), NOW)).toBe(expected);
});
