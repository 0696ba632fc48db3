import fc from "fast-check";
import { parse } from "smol-toml";
import { describe, expect, it } from "vitest";
import { setDefaultProvider, setModel, upsertProvider } from "./edit.ts";
import { recordsOf } from "./toml.ts";

const NAMES = ["alpha", "beta", "gamma"];

const comment = fc.constantFrom(
  "",
  "# a note\n",
  '# [[llm.providers]]\n# name = "alpha"\n',
  "\n",
  "\n# one\n\n# two\n",
);
const value = fc.constantFrom(
  '"text"',
  "'lit # eral'",
  "1_000",
  "0xFF",
  "1.50",
  "true",
  "[1, # x\n 2]",
  '"""\nmany\n"""',
  "{ a = 1, b.c = 2 }",
  "1979-05-27T07:32:00Z",
);
const field = fc.tuple(fc.constantFrom("extra", "other", "third"), value, fc.constantFrom("", " # why"));

const fields = fc
  .uniqueArray(field, { maxLength: 3, selector: ([key]) => key })
  .map((list) => list.map(([key, written, note]) => `${key} = ${written}${note}\n`).join(""));

const section = fc.tuple(fc.constantFrom("agent", "skills", "llm.router", "memory", "gateway"), fields);

const record = fc.tuple(fields, fc.constantFrom("", 'model = "old" # m\n'), fc.boolean(), comment, fields).map(
  ([own, model, nodes, between, inner]) =>
    (name: string) =>
      `[[llm.providers]]\ntype = "gonka"\nname = "${name}" # n\n${model}${own}${nodes ? `${between}[[llm.providers.gonka_nodes]] # node\n${inner}` : ""}`,
);

/** A config file as people write them: sections, records, comments and blank lines in any order. */
const file = fc
  .tuple(
    fc.uniqueArray(section, { maxLength: 3, selector: ([name]) => name }),
    fc.array(record, { minLength: 1, maxLength: 3 }),
    fc.array(comment, { minLength: 7, maxLength: 7 }),
    fc.boolean(),
  )
  .map(([sections, records, comments, windows]) => {
    const parts = [
      ...records.map((toText, index) => toText(NAMES[index]!)),
      ...sections.map(([name, body]) => `[${name}]\n${body}`),
    ];
    const text = parts.map((part, index) => (comments[index] ?? "") + part).join("") + (comments[6] ?? "");
    return { text: windows ? text.replaceAll("\n", "\r\n") : text, count: records.length };
  });

const runs = { numRuns: 60 };

describe("edits of any file", () => {
  it("keep every comment", () => {
    fc.assert(
      fc.property(file, ({ text }) => {
        const comments = (of: string) => of.split("\n").filter((line) => line.trimStart().startsWith("#"));
        for (const after of [
          setModel(text, "alpha", "new"),
          setDefaultProvider(text, "alpha"),
          upsertProvider(text, { type: "gonka", name: "new", gonka_nodes: [{ url: "https://n.example" }] }),
        ]) {
          expect(comments(after)).toEqual(comments(text));
        }
      }),
      runs,
    );
  });

  it("change what they say and nothing else", () => {
    fc.assert(
      fc.property(file, ({ text, count }) => {
        const name = NAMES[count - 1]!;
        const expected = structuredClone(parse(text)) as { llm: { providers: Record<string, unknown>[] } };
        expected.llm.providers[count - 1]!.model = "new";
        const after = setModel(text, name, "new");
        expect(parse(after)).toEqual(expected);
        const lines = after.split("\n");
        expect(text.split("\n").filter((line) => !lines.includes(line)).length).toBeLessThanOrEqual(1);
      }),
      runs,
    );
  });

  it("take no line away when a record is added", () => {
    fc.assert(
      fc.property(file, ({ text }) => {
        const added = upsertProvider(text, { type: "compatible", name: "new", base_url: "https://n.example/v1" });
        const lines = added.split("\n");
        expect(text.split("\n").filter((line) => !lines.includes(line))).toEqual([]);
        expect(recordsOf(parse(added)).slice(0, -1)).toEqual(recordsOf(parse(text)));
      }),
      runs,
    );
  });

  it("do nothing the second time", () => {
    fc.assert(
      fc.property(file, ({ text }) => {
        const record = {
          type: "gonka",
          name: "alpha",
          model: "m",
          gonka_nodes: [{ url: "https://n.example" }],
          default: true,
        };
        const once = upsertProvider(text, record);
        expect(upsertProvider(once, record)).toBe(once);
      }),
      runs,
    );
  });
});
