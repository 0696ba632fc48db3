import { stripVTControlCharacters } from "node:util";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { renderTable, toTerminalPage } from "../../src/cli/terminal.ts";

import { newStage, type Stage } from "./doctor-stage.ts";

/** Colours, moves, renames the window (in C0 and in C1 form), breaks the line in every way, hides and reorders. */
const EVIL =
  "m\u001b[31mred\u001b[39m\u001b]0;owned\u0007\u009b2J\u009d0;x\u009c\u0090q\u009c\r\nfake row\u0085\u2028\u2029\v\f\b\u202egnp\u2066\u2069\u200b\u200d\u2060\ufeff\u00ad\u061c\u115f\u3164\u{e0041}\u{fe0f}end";
/** What must not reach anybody; zeph's own styles are taken out before. */
const UNSAFE = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\p{Cf}\p{Default_Ignorable_Code_Point}\u2028\u2029]/u;

const CONFIG = `[[llm.providers]]
type = "compatible"
name = "gonkagate"
base_url = "https://api.gonkagate.com/v1"
model = ${JSON.stringify(EVIL).replace(/[\u007f-\u009f]/g, (sign) => `\\u00${sign.charCodeAt(0).toString(16)}`)}
default = true

[[llm.providers]]
type = "gonka"
name = "gonka"
gonka_source_url = "https://node.example"
`;

let stage: Stage;
beforeEach(async () => {
  stage = await newStage();
  await stage.writeConfig(CONFIG);
  stage.env.ZEPH_COMPATIBLE_GONKAGATE_API_KEY = "gp-a-key-of-the-test-0000000000";
});
afterEach(() => stage.clear());

const answers = (status: number, body: unknown, headers: Record<string, string> = {}) => {
  stage.fetch = async () =>
    new Response(JSON.stringify(body), { status, headers: { "content-type": "application/json", ...headers } });
};

describe("names that a server or a file gives", () => {
  it.each<[string, unknown]>([
    ["models", { data: [{ id: EVIL, context_length: 5 }, { id: "plain" }] }],
    ["models", { data: [{ id: EVIL.repeat(4) }, { id: `${EVIL}2` }] }],
    ["providers", {}],
    ["config show", {}],
    ["gonka models", { models: [{ id: EVIL }, { model: EVIL }] }],
    ["gonka pricing", { models: [{ id: EVIL, price_per_token: 5 }] }],
    ["gonka status", { api_version: { version: EVIL }, node_info: { network: EVIL } }],
    ["doctor", { data: [{ id: EVIL }] }],
    ["doctor --smoke", { data: [{ id: EVIL }], choices: [{ message: { content: EVIL } }], model: EVIL }],
  ])("are harmless in `zeph %s`, on a terminal and in a pipe", async (line, body) => {
    answers(200, body);
    const { stdout, stderr } = await stage.run(line);
    expect(stdout + stderr).not.toBe("");
    for (const text of [stdout, stderr]) {
      expect(text).not.toMatch(UNSAFE);
      expect(text).not.toMatch(/^fake row/m);
    }
  });

  it.each([400, 401, 403, 404, 429, 500])("are harmless in the words of a refusal: %i", async (status) => {
    answers(status, { error: { message: EVIL, code: EVIL, type: EVIL } }, { "x-request-id": "id" });
    for (const line of ["ask hello", "models", "ask --json hello"]) {
      const { stdout, stderr } = await stage.run(line);
      for (const text of [stdout, stderr]) {
        expect(text).not.toMatch(UNSAFE);
        expect(text).not.toMatch(/^fake row/m);
      }
    }
  });

  it.each(["models --json", "gonka models --json", "doctor --json", "config show --json", "providers --json"])(
    "stay what they are in `zeph %s`, escaped",
    async (line) => {
      answers(200, { data: [{ id: EVIL }], models: [{ id: EVIL }] });
      const { stdout } = await stage.run(line);
      expect(stdout).not.toMatch(UNSAFE);
      const value: unknown = JSON.parse(stdout);
      if (!line.startsWith("doctor")) expect(JSON.stringify(value)).toContain(JSON.stringify(EVIL).slice(1, -1));
    },
  );

  it("have no colour of their own in a table of ours", () => {
    const page = toTerminalPage(renderTable([["\u001b[31mforged\u001b[39m", "b\nc"]]));
    expect(page).toBe("␛[31mforged␛[39m  b c\n");
    expect(stripVTControlCharacters(page)).toBe(page);
  });
});
