import { mkdtemp, readdir, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { gonkaFetch } from "../client/gonka-fetch.ts";
import { zephFolders } from "../config/paths.ts";
import { manualClock } from "../internal/manual-clock.ts";
import { refreshModels, rememberedModels } from "./model-cache.ts";
import type { OpenedProvider } from "./open-provider.ts";

const HOUR_MS = 3_600_000;

let home: string;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), "zeph-model-cache-"));
});
afterEach(() => rm(home, { recursive: true, force: true }));

const world = () => ({
  env: {},
  homeDir: home,
  platform: "linux" as const,
  cwd: home,
  clock: manualClock(),
  random: () => 0,
  fetch: () => Promise.reject(new Error("not used")),
});

function provider(host = "broker.example", name = "broker"): OpenedProvider {
  const list = {
    data: [
      {
        id: "a/One",
        context_length: 128_000,
        max_output_length: 4_096,
        pricing: { prompt: 0.22, completion: 0.99 },
        supported_parameters: ["tools", "reasoning_effort"],
      },
      { id: "b/embed", type: "embedding" },
    ],
  };
  const gonka = gonkaFetch({
    kind: "broker",
    baseURL: `https://${host}/v1`,
    apiKey: "k",
    fetch: async () => Response.json(list),
  });
  return { config: { name }, gonka } as OpenedProvider;
}

describe("the model list", () => {
  it("is remembered whole for 24 hours, per provider and address, in a private file", async () => {
    const here = world();
    const live = await refreshModels(provider(), here);
    await here.clock.advance(23.9 * HOUR_MS);
    expect(await rememberedModels(provider(), here)).toEqual(live);
    expect(live[0]).toMatchObject({ id: "a/One", tools: true, parameters: ["tools", "reasoning_effort"] });
    expect(await rememberedModels(provider("other.example"), here)).toEqual([]);
    expect(await rememberedModels(provider("broker.example", "other"), here)).toEqual([]);
    const { cache } = zephFolders(here);
    const [file = ""] = await readdir(cache);
    if (process.platform !== "win32") expect((await stat(join(cache, file))).mode & 0o777).toBe(0o600);
    await here.clock.advance(0.2 * HOUR_MS);
    expect(await rememberedModels(provider(), here)).toEqual([]);
  });

  it("is not believed from the future, nor from a damaged file", async () => {
    const here = world();
    await refreshModels(provider(), here);
    here.clock.set(here.clock.nowMs() - HOUR_MS);
    expect(await rememberedModels(provider(), here)).toEqual([]);
    const { cache } = zephFolders(here);
    const [file = ""] = await readdir(cache);
    await writeFile(join(cache, file), '{"readAtMs":');
    expect(await rememberedModels(provider(), here)).toEqual([]);
  });
});
