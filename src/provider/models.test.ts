import { mkdtemp, readdir, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { manualClock } from "../base/time.ts";
import { zephFolders } from "../config/files.ts";
import { gonkaFetch } from "../transport/gonka-fetch.ts";
import { refreshModels, rememberedModels } from "./models.ts";
import type { OpenedProvider } from "./open.ts";

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

  it("has the network's exact prices where the provider is native, and stands without them", async () => {
    const here = world();
    const price = 9_007_199_254_740_993n;
    const config = { name: "native", type: "gonka", sourceUrl: "https://node.example", nodes: [] };
    const opened = { ...provider(), config } as unknown as OpenedProvider;
    const fetched: string[] = [];
    const fetch = async (input: string | URL | Request) => {
      fetched.push(String(input));
      return new Response(`{"models":[{"id":"a/One","price_per_token":${price}},{"id":"b/embed"}]}`);
    };
    const live = await refreshModels(opened, { ...here, fetch });
    expect(live.map(({ pricePerTokenNgonka }) => pricePerTokenNgonka)).toEqual([price, undefined]);
    expect(await rememberedModels(opened, here)).toEqual(live);
    expect(fetched).toEqual(["https://node.example/v1/governance/pricing"]);
    const without = await refreshModels(opened, here);
    expect(without.map(({ id }) => id)).toEqual(["a/One", "b/embed"]);
    expect(without[0]).not.toHaveProperty("pricePerTokenNgonka");
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
