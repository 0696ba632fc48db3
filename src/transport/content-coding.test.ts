import { expect, it } from "vitest";
import { codingLeft, contentCodings } from "./content-coding.ts";

it.each([
  [null, [], undefined],
  ["", [], undefined],
  ["identity", [], undefined],
  ["UTF-8", [], undefined],
  ["gzip", ["gzip"], undefined],
  ["GZIP", ["gzip"], undefined],
  [" X-Gzip ", ["x-gzip"], undefined],
  ["Deflate, BR", ["deflate", "br"], undefined],
  ["gzip, identity", ["gzip"], "gzip"],
  ["zstd", ["zstd"], "zstd"],
  ["gzip, zstd", ["gzip", "zstd"], "zstd"],
])("%j is %j, and %j is left after fetch", (header, codings, left) => {
  expect(contentCodings(header)).toEqual(codings);
  expect(codingLeft(header)).toBe(left);
});
