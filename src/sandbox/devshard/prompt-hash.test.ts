import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { canonical, hashOfPrompt } from "./prompt-hash.ts";

const files = ["devshard-base.json", "devshard.json"].map((name) =>
  JSON.parse(readFileSync(new URL(`../../../vectors/${name}`, import.meta.url), "utf8")),
);
const cases: { in_hex: string; canonical_hex: string; sha256: string }[] = files.flatMap((file) => file.canonical_json);
const errors: { in_hex: string; error: string }[] = files.flatMap((file) => file.canonical_json_errors ?? []);

describe("the hash of a prompt in the sandbox", () => {
  it.each(cases)("is that of vector $in_hex", ({ in_hex, canonical_hex, sha256 }) => {
    expect(Buffer.from(canonical(Buffer.from(in_hex, "hex")) ?? "").toString("hex")).toBe(canonical_hex);
    expect(hashOfPrompt(Buffer.from(in_hex, "hex"))?.toString("hex")).toBe(sha256);
  });

  it.each(errors)("does not exist for $in_hex", ({ in_hex }) => {
    expect(hashOfPrompt(Buffer.from(in_hex, "hex"))).toBeUndefined();
  });
});
