import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { checkVectors } from "./check.ts";

type Json = Readonly<Record<string, unknown>>;

function load(name: string): Json {
  return JSON.parse(readFileSync(new URL(`../../../../vectors/${name}`, import.meta.url), "utf8")) as Json;
}

const base = load("devshard-base.json");
const newer = load("devshard.json");

describe("the given vectors", () => {
  it.each([
    ["devshard-base.json", base, 360],
    ["devshard.json", newer, 15_000],
  ])("%s agrees in every value, with no part left out", (_, file, atLeast) => {
    const report = checkVectors(file);
    expect(report.first).toBeUndefined();
    expect(report.agreed).toBe(report.values);
    expect(report.values).toBeGreaterThan(atLeast);
    expect(report.unknown).toEqual([]);
  });
});

describe("a changed value", () => {
  const SHORTEST = ["single_slot", "exhausted", "skipped", "warm", "multi_slot"];

  /** Values that no computation depends on: words for people, times of the capture, and inputs without effect there. */
  const WORDS = [
    /^meta\./,
    /\.(?:note|what|description|name|Date|X-Request-Id|at_ms|method|transfer_encoding|client_cut_after)$/,
    /\.(?:transport_error|Cache-Control|upstream_composer_differs)$/,
    /^canonical_json_errors\./,
    /^http\.exchanges\.\d+\.(?:path|request_headers\.Content-Type|response_headers\.Content-Type|response_body)$/,
    /^http\.exchanges\.\d+\.(?:request_body|request_headers\.X-Devshard-\w+)$/,
    /\.config\.(?:vote_threshold|seal_grace_nonces|seal_grace_seconds|auto_seal_every|warm_grants\.\d+\.\w+)$/,
    /\.refused\.\d+\.(?:txs\.\d+|after_nonce)$/,
    /\.candidates\.\d+$/,
    /^config_fallback\.\d+\.(?:slots|escrow\.\w+)$/,
    /^(?:quorum\.\d+\.slots|request_auth\.\d+\.host_clock|max_nonce\.log\.\d+\.txs\.\d+)$/,
  ];

  it.each([...samples(base), ...samples(newer)])("is found: $shape", ({ file, path }) => {
    const changed = withChange(file, path);
    const report = checkVectors(changed);
    expect(report.agreed).toBeLessThan(report.values);
    expect(report.first?.path.split(/[.[ ]/)[0]).toBe(path[0]);
  });

  it.each([
    ["sessions.skipped.config.vote_threshold", ["sessions", "exec_timeout", "config", "vote_threshold"]],
    ["an auto-seal interval", ["sessions", "late_and_sealed", "config", "auto_seal_every"]],
    ["a warm key's grant", ["sessions", "warm", "config", "warm_grants", "0", "granter"]],
    ["a host's state signature inside a transcript", ["http", "exchanges", "2", "response_body"]],
    ["a diff inside a transcript", ["http", "exchanges", "2", "request_body"]],
  ])("is found: %s", (_, path) => {
    const report = checkVectors(withChange(newer, path));
    expect(report.agreed).toBeLessThan(report.values);
  });

  /** One leaf of every shape that the file has, out of the middle of the shortest session that has it. */
  function samples(file: Json): { shape: string; file: Json; path: readonly string[] }[] {
    const shapes = new Map<string, string[][]>();
    for (const path of leaves(file, [])) {
      if (WORDS.some((words) => words.test(path.join(".")))) continue;
      const shape = path.map((part, at) =>
        /^\d+$|^[0-9a-f]{2}$/.test(part) || (path[0] === "sessions" && at === 1) ? "*" : part,
      );
      shapes.set(shape.join("."), [...(shapes.get(shape.join(".")) ?? []), path]);
    }
    return [...shapes].flatMap(([shape, paths]) => {
      const session = SHORTEST.find((name) => paths.some((path) => path[1] === name));
      const near = session === undefined ? paths : paths.filter((path) => path[1] === session);
      const path = near[near.length >> 1];
      return path === undefined ? [] : [{ shape, file, path }];
    });
  }
});

describe("what the checker does not know", () => {
  it("is named and never passed over", () => {
    const file = {
      keys: { "11": { ...(base.keys as Record<string, object>)["11"], colour: "red" } },
      signatures_of_v9: [1, 2],
    };
    expect(checkVectors(file).unknown).toEqual(["keys.11.colour", "signatures_of_v9"]);
  });

  it("differs where a part is missing", () => {
    const { post_state_root: _, ...step } = (base.session_a as { steps: Json[] }).steps[0] as Json;
    const report = checkVectors({ session_a: { ...(base.session_a as Json), steps: [step] } });
    expect(report.first?.path).toMatch(/^session_a\.steps\[0\]/);
  });
});

function* leaves(value: unknown, path: readonly string[]): Generator<string[]> {
  if (typeof value !== "object" || value === null) yield [...path];
  else for (const [key, inner] of Object.entries(value)) yield* leaves(inner, [...path, key]);
}

/** The part of a file around one leaf, with that leaf changed in its middle. */
function withChange(file: Json, path: readonly string[]): Json {
  const [section = "", name = ""] = path;
  const needed = ["keys", "session_a", ...(section === "chain_tx" ? ["sessions"] : [])];
  const part = Object.fromEntries(Object.entries(file).filter(([key]) => key === section || needed.includes(key)));
  const copy = structuredClone(part) as Record<string, Record<string, unknown>>;
  // The rest of a large section only takes time.
  if (section === "sessions") copy.sessions = { [name]: copy.sessions?.[name] };
  if (section === "http" && name === "exchanges") {
    const { exchanges = [] } = (copy.http ?? {}) as { exchanges?: unknown[] };
    exchanges.length = Number(path[2]) + 1;
  }
  if (section === "chain_tx") {
    const { session = "" } = (copy.chain_tx?.[name] ?? {}) as { session?: string };
    copy.sessions = session === "" ? {} : { [session]: copy.sessions?.[session] };
    for (const other of Object.keys(copy.chain_tx ?? {})) if (other !== name) delete copy.chain_tx?.[other];
    copy.chain_tx = Object.fromEntries(Object.entries(copy.chain_tx ?? {}));
  }
  let parent = copy as Record<string, unknown>;
  for (const key of path.slice(0, -1)) parent = parent[key] as Record<string, unknown>;
  const last = path.at(-1) ?? "";
  parent[last] = change(parent[last]);
  // Only the section that was changed is to differ.
  return section === "session_b_warm" || section === "http" || section === "chain_tx"
    ? copy
    : { [section]: copy[section] };
}

function change(value: unknown): unknown {
  if (typeof value === "number") return value + 1;
  if (typeof value === "boolean") return !value;
  if (typeof value !== "string" || value === "") return "ab";
  const middle = value.length >> 1;
  return `${value.slice(0, middle)}${value[middle] === "1" ? "2" : "1"}${value.slice(middle + 1)}`;
}
