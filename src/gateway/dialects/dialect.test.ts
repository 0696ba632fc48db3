import { expect, it } from "vitest";
import { estimateTokens, textTokens } from "./dialect.ts";

/** Counted with OpenAI's o200k_base, 2026-11-28. */
it.each<[string, number]>([
  ["The quick brown fox jumps over the lazy dog.", 10],
  ["export function sum(values: number[]): number {\n  return values.reduce((a, b) => a + b, 0);\n}", 27],
  ["Съешь ещё этих мягких французских булок, да выпей чаю.", 18],
  ["床前明月光，疑是地上霜。举头望明月，低头思故乡。", 25],
  ["2026-11-28T09:15:00Z 127.0.0.1 GET /v1/models 200", 28],
])("%s", (text, tokens) => {
  expect(textTokens(text)).toBeGreaterThan(tokens * 0.75);
  expect(textTokens(text)).toBeLessThan(tokens * 1.25);
});

it("counts parts, pictures, calls and schemas", () => {
  const of = (...messages: unknown[]) => estimateTokens({ messages });
  const text = of({ role: "user", content: "one two three" });
  expect(of({ role: "user", content: [{ type: "text", text: "one two three" }] })).toBe(text);
  expect(of({ role: "user", content: [{ type: "image_url" }] })).toBeGreaterThan(1000);
  expect(of({ role: "assistant", content: null, tool_calls: [{ id: "a", function: { name: "f" } }] })).toBeGreaterThan(
    10,
  );
  expect(estimateTokens({ messages: [], response_format: { type: "json_object" } })).toBeGreaterThan(6);
});
