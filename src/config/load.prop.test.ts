import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ZephError } from "../errors.ts";
import { upsertProvider } from "./edit.ts";
import type { Origin } from "./layer.ts";
import { loadConfig } from "./load.ts";
import { chooseProvider } from "./providers.ts";

const USER = "/home/ann/.config/zeph/config.toml";
const PROJECT = "/work/config/default.toml";
const TRUST = "/home/ann/.config/zeph/trusted-projects.json";

/** Highest first: the total order that the documentation promises. */
const LAYERS = ["flag", "env", "project", "user"] as const;
type LayerName = (typeof LAYERS)[number];

const someLayers = fc.subarray([...LAYERS]);

function fileOf(name: LayerName, layers: readonly LayerName[], secs: readonly LayerName[]): string {
  const timeouts = secs.includes(name) ? `[timeouts]\nllm_seconds = ${100 + LAYERS.indexOf(name)}\n` : "";
  const model = layers.includes(name) ? `model = "${name}"\n` : "";
  return `${timeouts}[[llm.providers]]\ntype = "compatible"\nname = "one"\nbase_url = "https://one.example"\n${model}`;
}

/** The project file's timeouts count only where the user has agreed to it. */
function trusting(path: string, text: string): string {
  const sha256 = createHash("sha256").update(text).digest("hex");
  return JSON.stringify({ version: 1, files: { [path]: { sha256, decision: "trusted" } } });
}

function load(models: readonly LayerName[], seconds: readonly LayerName[]) {
  const files: Record<string, string> = {
    [USER]: fileOf("user", models, seconds),
    [PROJECT]: fileOf("project", models, seconds),
    [TRUST]: trusting(PROJECT, fileOf("project", models, seconds)),
  };
  return loadConfig({
    homeDir: "/home/ann",
    platform: "linux",
    cwd: "/work",
    env: {
      ...(models.includes("env") ? { ZEPH_LLM_MODEL: "env" } : {}),
      ...(seconds.includes("env") ? { ZEPH_TIMEOUT_LLM: "101" } : {}),
    },
    flags: models.includes("flag") ? { model: "flag" } : {},
    readFile: async (path) => files[path],
  });
}

function layerOf(origin: Origin | undefined): LayerName | "default" | undefined {
  if (origin?.kind !== "file") return origin?.kind;
  return origin.path === USER ? "user" : "project";
}

describe("precedence", () => {
  it("is a total order: of any set of layers the highest gives the value and the origin", async () => {
    await fc.assert(
      fc.asyncProperty(someLayers, someLayers, async (models, withSeconds) => {
        const seconds = withSeconds.filter((layer) => layer !== "flag");
        const { config, origins } = await load(models, seconds);
        const provider = chooseProvider(config);
        const highest = LAYERS.find((layer) => models.includes(layer));
        expect(provider.model).toBe(highest);
        expect(layerOf(origins.get("llm.providers.one.model"))).toBe(highest);
        const highestSeconds = LAYERS.find((layer) => layer !== "flag" && seconds.includes(layer));
        const expectedSeconds = highestSeconds === undefined ? 120 : 100 + LAYERS.indexOf(highestSeconds);
        expect(provider.requestTimeoutMs).toBe(expectedSeconds * 1000);
        expect(layerOf(origins.get("timeouts.llm_seconds"))).toBe(highestSeconds ?? "default");
      }),
      { numRuns: 60 },
    );
  });
});

describe("a damaged file", () => {
  const whole = ["zeph-full.toml", "gateway-record.toml", "native-record.toml"]
    .map((name) => readFileSync(new URL(`../../vectors/config/${name}`, import.meta.url), "utf8"))
    .join("\n");
  const piece = fc.oneof(
    fc.string({ maxLength: 8 }),
    fc.constantFrom("[[llm.providers]]\n", "llm = 1\n", "= ", '"', "[llm]\n", "{}", "[]", "nan", "\n", "providers"),
  );
  const runs = { numRuns: process.env.FUZZ === "1" ? 20_000 : 100 };

  it("is loaded, or refused by name: never another error, for reading and for editing", async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(whole.length), fc.nat(60), piece, async (at, length, inserted) => {
        const text = whole.slice(0, at) + inserted + whole.slice(at + length);
        const readFile = async (path: string) => (path === USER ? text : undefined);
        const load = loadConfig({ env: {}, homeDir: "/home/ann", platform: "linux", cwd: "/work", readFile });
        const failures: unknown[] = [];
        await load.catch((error: unknown) => failures.push(error));
        try {
          upsertProvider(text, { type: "compatible", name: "new", base_url: "https://n.example/v1" });
        } catch (error) {
          failures.push(error);
        }
        for (const failure of failures) expect(ZephError.is(failure) && failure.code).toBe("config_invalid");
      }),
      runs,
    );
  });
});
