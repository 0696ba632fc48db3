import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import * as aiSdk from "../../src/ai-sdk/index.ts";
import { BROKERS } from "../../src/brokers/registry.ts";
import { isZephErrorCode } from "../../src/errors.ts";
import * as zeph from "../../src/index.ts";
import * as openai from "../../src/openai/index.ts";

const EXPORTS: Readonly<Record<string, object>> = { zeph, "zeph/ai-sdk": aiSdk, "zeph/openai": openai };

const guide = (name: string) => readFileSync(new URL(`../../docs/guides/${name}.md`, import.meta.url), "utf8");

describe.each(["ai-sdk", "openai-sdk"])("docs/guides/%s.md", (name) => {
  const text = guide(name);

  it("imports only what is exported", () => {
    const imports = [...text.matchAll(/^import \{ ([^}]+) \} from "(zeph[^"]*)"/gm)];
    expect(imports.length).toBeGreaterThan(1);
    for (const [, names = "", from = ""] of imports) {
      for (const exported of names.split(",").map((each) => each.trim())) {
        expect(Object.keys(EXPORTS[from] ?? {}), from).toContain(exported);
      }
    }
  });

  it("names only error codes that exist", () => {
    const table = text.slice(text.indexOf("| code | when"));
    const rows = (table.startsWith("| code") ? table : "")
      .split("\n")
      .filter((line) => /^\| `[a-z_]+`(?:, `[a-z_]+`)* \|/.test(line));
    const inTable = rows.flatMap((row) =>
      [...(row.split("|")[1] ?? "").matchAll(/`([a-z_]+)`/g)].map(([, code]) => code),
    );
    const inText = [...text.matchAll(/\(`([a-z]+_[a-z_]+)`[,)]/g)].map(([, code]) => code);
    expect([...inTable, ...inText].filter((code) => !isZephErrorCode(code))).toEqual([]);
    expect(inText.length).toBeGreaterThan(0);
  });
});

it("docs/guides/ai-sdk.md names brokers and options that exist", () => {
  const text = guide("ai-sdk");
  const brokers = /id of a known broker \(([^)]*)\)/.exec(text)?.[1] ?? "";
  const ids = [...brokers.matchAll(/`([a-z0-9-]+)`/g)].map(([, id]) => id);
  expect(ids.length).toBeGreaterThan(1);
  expect(ids.filter((id) => !BROKERS.some((broker) => broker.id === id))).toEqual([]);

  const source = readFileSync(new URL("../../src/ai-sdk/models.ts", import.meta.url), "utf8");
  const fields = [...source.matchAll(/^ {2}readonly (\w+)\?:/gm)].map(([, field]) => field);
  expect(fields.filter((field) => !text.includes(`\`${field}\``))).toEqual([]);
});
