import { describe, expect, it } from "vitest";
import { lineOf, outlineToml } from "./toml.ts";

const text = `top.level = 1
[a]
b = """
[not.a.header]
""" # end
c = [ { d = 1 },
  { d = 2 } ]

[[list]]
x = 1
[list.inner]
y = 2
[[list.deep]]
z = 3
[[list]]
[[list.deep]]
z = 4
"quoted key".more = 5
`;

describe("lineOf", () => {
  const outline = outlineToml(text);
  it.each([
    [["top", "level"], 1],
    [["a"], 2],
    [["a", "b"], 3],
    [["a", "c", 1, "d"], 6],
    [["a", "missing"], 2],
    [["list", 0, "x"], 10],
    [["list", 0, "inner", "y"], 12],
    [["list", 0, "deep", 0, "z"], 14],
    [["list", 1], 15],
    [["list", 1, "deep", 0, "z"], 17],
    [["list", 1, "deep", 0, "quoted key", "more"], 18],
    [["nowhere"], undefined],
  ])("%j stands in line %s", (address, line) => {
    expect(lineOf(outline, address)).toBe(line);
  });
});
