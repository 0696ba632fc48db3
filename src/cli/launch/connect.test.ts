import { parse as parseJsonc } from "jsonc-parser";
import { parse as parseToml } from "smol-toml";
import { describe, expect, it } from "vitest";
import { parse as parseYaml } from "yaml";
import { thrownBy } from "../../../test/support/thrown-by.ts";
import { CODING_AGENTS } from "./agents.ts";
import { type ConnectPlan, type ConnectSettings, connectPlan } from "./connect.ts";
import { editSettings, undoSettings } from "./edit-settings.ts";

const KEY = "zk-secret-0123456789";
const settings: ConnectSettings = {
  url: "http://127.0.0.1:4000",
  model: { id: "Qwen/Q-3", contextTokens: 200_000, outputTokens: 16_000 },
  keyName: "ZEPH_LOCAL_GATEWAY_API_KEY",
  home: "/home/ann",
  env: {},
  readKey: () => KEY,
};
const IDS = CODING_AGENTS.map(({ id }) => id);

/** Files as people have them: comments, other entries, an older entry of zeph. */
const FILES: Readonly<Record<ConnectPlan["format"], readonly string[]>> = {
  json: [
    "{}",
    '{\n\t// mine\n\t"model": "other", // stays?\n\t"theme": "dark",\n}\n',
    '{\n    "env": { "A": "1" },\n    "provider": { "x": { "npm": "x" } },\n    "providers": {},\n    "models": { "large": { "model": "gpt" } }\n}\n',
    '{"modelProviders":{"openai":[{"id":"a","name":"a"},{"id":"b","name":"zeph Qwen/Q-3"}]}}',
    '{\r\n  "a": 1\r\n}\r\n',
  ],
  yaml: [
    "",
    "# mine\nname: Ann   # me\nmodels:\n  # first\n  - name: a\n    provider: ollama # local\n  - name: b\nrules: [x,   y]\n",
    "models:\n- name: zeph Qwen/Q-3\n  provider: old\n- name: b\n",
    "models: []\nmodel: 'x' # quoted\nweak-model: y",
    "models:\nopenai-api-base: https://x.test/v1\n",
  ],
  text: ['model = "old"\n'],
};
const READERS: Readonly<Record<ConnectPlan["format"], (text: string) => unknown>> = {
  json: parseJsonc,
  yaml: parseYaml,
  text: parseToml,
};

describe.each(IDS)("connect %s", (id) => {
  const plan = connectPlan(id, settings);
  // In Qwen Code's settings `model` is an object; a file where it is a text is refused, see below.
  const files = [
    undefined,
    ...FILES[plan.format].filter((text) => id !== "qwen" || !text.includes('"model": "other"')),
  ];

  it.each(files)("writes its own keys and nothing else: %j", (before) => {
    const after = editSettings(before, plan.format, plan.edits);
    const read = READERS[plan.format](after) as Record<string, unknown>;
    for (const { path, value, listedBy, onlyIfMissing } of plan.edits) {
      if (path.length === 0 || onlyIfMissing === true) continue;
      const there = path.reduce<unknown>((object, key) => (object as Record<string, unknown>)[key], read);
      if (listedBy === undefined) expect(there).toEqual(value);
      else expect(there).toContainEqual(value);
    }
    if (plan.format === "text") return;
    const untouched = READERS[plan.format](
      undoSettings(`${after} `, { before: before ?? null, after }, plan.format, plan.edits) ?? "",
    );
    expect(JSON.stringify(withoutEmpty(untouched ?? {}))).toBe(
      JSON.stringify(withoutEmpty(READERS[plan.format](before ?? "") ?? {})),
    );
    for (const comment of before?.match(/(?<=^|\s)(?:\/\/|#).*$/gm) ?? []) expect(after).toContain(comment);
  });

  it.each(files)("has nothing left to do the second time: %j", (before) => {
    const once = editSettings(before, plan.format, plan.edits);
    expect(editSettings(once, plan.format, plan.edits)).toBe(once);
  });

  it.each(files)("is undone exactly: %j", (before) => {
    const after = editSettings(before, plan.format, plan.edits);
    expect(undoSettings(after, { before: before ?? null, after }, plan.format, plan.edits)).toBe(before ?? null);
  });

  it("keeps the key out of the file where the agent can", () => {
    const after = editSettings(undefined, plan.format, plan.edits);
    expect(after.includes(KEY)).toBe(plan.keyBy === "file");
    if (plan.keyBy === "command") expect(after).toMatch(/vault"?,? "?get"?,? "?ZEPH_LOCAL_GATEWAY_API_KEY/);
    if (plan.keyBy === "variable") expect(plan.notes.join("\n")).toContain("export ");
    expect(plan.files[0]).toMatch(/^\/home\/ann\//);
  });
});

/** Empty objects and lists that an undo leaves behind mean nothing. */
function withoutEmpty(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map(withoutEmpty);
  const kept = Object.entries(value).map(([key, inner]) => [key, withoutEmpty(inner)] as const);
  return Object.fromEntries(
    kept.filter(
      ([, inner]) => inner !== null && !(typeof inner === "object" && Object.keys(inner as object).length === 0),
    ),
  );
}

it("refuses an agent that it does not know, and files that it cannot read", () => {
  expect(() => connectPlan("nano", settings)).toThrow(/connect knows claude, codex/);
  for (const [format, text] of [
    ["json", "{oops"],
    ["json", "[]"],
    ["yaml", "a: [b"],
    ["yaml", "- a"],
    ["json", '{"a": "text"}'],
  ] as const) {
    expect(thrownBy(() => editSettings(text, format, [{ path: ["a", "b"], value: 1 }]))).toMatchObject({
      code: "config_invalid",
    });
  }
});

it("finds the agents' own folders", () => {
  const env = { CODEX_HOME: "/c", XDG_CONFIG_HOME: "/x", CLAUDE_CONFIG_DIR: "/l", PI_CODING_AGENT_DIR: "/p" };
  const fileOf = (id: string) => connectPlan(id, { ...settings, env }).files[0];
  expect(["codex", "opencode", "claude", "pi", "crush"].map(fileOf)).toEqual([
    "/c/zeph.config.toml",
    "/x/opencode/opencode.json",
    "/l/settings.json",
    "/p/models.json",
    "/x/crush/crush.json",
  ]);
});

it("leaves what others changed since, when it is undone", () => {
  const { format, edits } = connectPlan("opencode", settings);
  const before = '{\n  "model": "other",\n  "theme": "dark"\n}\n';
  const after = editSettings(before, format, edits);
  const changed = after.replace("dark", "light");
  expect(parseJsonc(undoSettings(changed, { before, after }, format, edits) ?? "")).toEqual({
    model: "other",
    theme: "light",
    provider: {},
  });
});
