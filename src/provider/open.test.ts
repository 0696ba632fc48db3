import { mkdir, mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { manualClock } from "../base/time.ts";
import type { ZephError } from "../errors.ts";
import { errorBehind } from "../transport/exchange.ts";
import { openProvider } from "./open.ts";
import { loadSetup, type Setup } from "./setup.ts";

const PRIVATE_KEY = `${"0".repeat(63)}1`;
const ADDRESS = "gonka1w508d6qejxtdg4y5r3zarvary0c5xw7k2gsyg6";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "zeph-provider-"));
  await mkdir(join(folder, "home/.config/zeph"), { recursive: true });
  await mkdir(join(folder, "project"));
});

/** What a broker's 401 becomes. */
async function refusalOf(loaded: Setup): Promise<ZephError> {
  const answer = () => Promise.resolve(new Response("{}", { status: 401 }));
  const { gonka } = await openProvider({ ...loaded, world: { ...loaded.world, fetch: answer } });
  const error = errorBehind(await gonka("https://api.gonkagate.com/v1/models"));
  if (error === undefined) throw new Error("it was not refused");
  return error;
}

function setup(env: Record<string, string>, flags: { config?: string } = {}) {
  return loadSetup({
    env,
    flags,
    homeDir: join(folder, "home"),
    cwd: join(folder, "project"),
    platform: "linux",
    clock: manualClock(),
    random: () => 0,
    fetch: () => Promise.reject(new Error("nothing may be sent")),
  });
}

const userFile = (text: string) => writeFile(join(folder, "home/.config/zeph/config.toml"), text);
const projectFile = (text: string) => writeFile(join(folder, "project/config.toml"), text);
const broker = (baseURL: string) =>
  `[llm]\n[[llm.providers]]\ntype = "compatible"\nname = "gonkagate"\nbase_url = "${baseURL}"\nmodel = "m"\n`;
const native = `[[llm.providers]]\ntype = "gonka"\nname = "gonka"\nmodel = "m"\n[[llm.providers.gonka_nodes]]\nurl = "https://node.example/v1"\naddress = "${ADDRESS}"\n`;

describe("openProvider", () => {
  it("finds the key under its own name and under the broker's", async () => {
    await userFile(broker("https://api.gonkagate.com/v1"));
    const env = { GONKAGATE_API_KEY: "gp-a" };
    expect((await openProvider(await setup(env))).secret).toMatchObject({ source: "env", name: "GONKAGATE_API_KEY" });
    const both = { ...env, ZEPH_COMPATIBLE_GONKAGATE_API_KEY: "gp-b" };
    expect((await openProvider(await setup(both))).secret.name).toBe("ZEPH_COMPATIBLE_GONKAGATE_API_KEY");
  });

  it("names the missing secret and the next step before anything is sent", async () => {
    await userFile(broker("https://api.gonkagate.com/v1"));
    await expect(openProvider(await setup({}))).rejects.toMatchObject({
      code: "secret_missing",
      detail: expect.stringContaining("ZEPH_COMPATIBLE_GONKAGATE_API_KEY"),
    });
  });

  it("says how to renew a refused key where it came from", async () => {
    await userFile(broker("https://api.gonkagate.com/v1"));
    const refused = await refusalOf(await setup({ GONKAGATE_API_KEY: "gp-a" }));
    expect(refused.hint).toMatch(/environment variable \(GONKAGATE_API_KEY\)\. Set GONKAGATE_API_KEY to a good one/);
    expect(refused.hint).not.toContain("vault set");
    await userFile(`${broker("https://api.gonkagate.com/v1")}api_key = "gp-b"\n`);
    expect((await refusalOf(await setup({}))).hint).toMatch(
      /Take the api_key line out .*vault set ZEPH_COMPATIBLE_GONKAGATE/,
    );
  });

  it("waits by the clock it was given", async () => {
    await userFile(broker("https://api.gonkagate.com/v1"));
    const clock = manualClock();
    const answers = [new Response("{}", { status: 429, headers: { "retry-after": "5" } }), new Response('{"done":1}')];
    const loaded = await setup({ GONKAGATE_API_KEY: "gp-a" });
    const world = { ...loaded.world, clock, fetch: async () => answers.shift() ?? new Response("{}") };
    const { gonka } = await openProvider({ ...loaded, world });
    const answer = await gonka("https://api.gonkagate.com/v1/chat/completions", { method: "POST", body: "{}" });
    expect(await answer.text()).toBe('{"done":1}');
    expect(clock.sleepsMs).toEqual([5_000]);
  });

  it("gives embeddings a deadline of their own, and a chat another", async () => {
    await userFile(`[timeouts]\nembedding_seconds = 7\n${broker("https://api.gonkagate.com/v1")}`);
    const clock = manualClock();
    const loaded = await setup({ GONKAGATE_API_KEY: "gp-a" });
    const hang = (_input: unknown, init?: RequestInit) =>
      new Promise<Response>((_resolve, reject) => {
        init?.signal?.addEventListener("abort", () => reject(init.signal?.reason));
      });
    const { gonka } = await openProvider({ ...loaded, world: { ...loaded.world, clock, fetch: hang } });
    const caller = new AbortController();
    const post = { method: "POST", body: "{}", signal: caller.signal };
    const states: string[] = [];
    const note = (name: string) => (error: unknown) => {
      states.push(`${name} ${(error as ZephError).code}`);
    };
    const embedding = gonka("https://api.gonkagate.com/v1/embeddings", post).catch(note("embedding"));
    const chat = gonka("https://api.gonkagate.com/v1/chat/completions", post).catch(note("chat"));
    await clock.advance(7_000);
    await embedding;
    expect(states).toEqual(["embedding timeout_total"]);
    caller.abort();
    await chat;
  });

  it("remarks whose key signs, and whether its address is stored or derived", async () => {
    await userFile(native);
    const key = { ZEPH_GONKA_PRIVATE_KEY: PRIVATE_KEY };
    expect((await openProvider(await setup(key))).remarks).toEqual([
      `Signing as ${ADDRESS} (address derived from the key)`,
    ]);
    const both = { ...key, ZEPH_GONKA_ADDRESS: ADDRESS };
    expect((await openProvider(await setup(both))).remarks).toEqual([
      `Signing as ${ADDRESS} (key and address are stored)`,
    ]);
  });

  it("says which half of a vault is missing, not that there is none", async () => {
    await userFile(broker("https://api.gonkagate.com/v1"));
    await writeFile(join(folder, "home/.config/zeph/secrets.age"), "");
    await expect(openProvider(await setup({}))).rejects.toMatchObject({
      code: "secret_missing",
      hint: expect.stringContaining("zeph vault check"),
    });
  });

  it.each([`0x${PRIVATE_KEY}`, "abandon ".repeat(11).concat("about")])(
    "never sends key material of the chain to a broker",
    async (key) => {
      await userFile(broker("https://api.gonkagate.com/v1"));
      const error = await openProvider(await setup({ GONKAGATE_API_KEY: key })).catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({ code: "invalid_api_key", detail: expect.stringContaining("nothing was sent") });
      expect(JSON.stringify(error)).not.toContain(key);
    },
  );

  it("does not let a file of the folder send the user's key elsewhere", async () => {
    await userFile(broker("https://api.gonkagate.com/v1"));
    await projectFile(broker("https://evil.example/v1"));
    const env = { GONKAGATE_API_KEY: "gp-a" };
    expect((await openProvider(await setup(env))).gonka.baseURL).toBe("https://api.gonkagate.com/v1");
    const named = setup(env, { config: join(folder, "project/config.toml") });
    await expect(openProvider(await named)).rejects.toMatchObject({
      code: "key_for_another_origin",
      detail: expect.stringContaining("evil.example"),
    });
  });

  it("takes no provider from a project file, not even one on this computer", async () => {
    await projectFile(broker("http://127.0.0.1:18080/v1"));
    const env = { ZEPH_COMPATIBLE_GONKAGATE_API_KEY: "k" };
    await expect(openProvider(await setup(env))).rejects.toMatchObject({
      code: "untrusted_project_file",
      hint: expect.stringContaining(`zeph config trust ${join(folder, "project/config.toml")}`),
    });
  });

  it("derives the address of a native key, and refuses one that is stored differently", async () => {
    await userFile(native);
    expect((await openProvider(await setup({ ZEPH_GONKA_PRIVATE_KEY: PRIVATE_KEY }))).address).toBe(ADDRESS);
    const other = "gonka14h0ycu78h88wzldxc7e79vhw5xsde0n85evmum";
    const env = { ZEPH_GONKA_PRIVATE_KEY: PRIVATE_KEY, ZEPH_GONKA_ADDRESS: other };
    const error = await openProvider(await setup(env)).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: "address_mismatch", detail: expect.stringContaining(ADDRESS) });
    expect(String(error)).toContain(other);
    expect(JSON.stringify(error)).not.toContain(PRIVATE_KEY);
  });
});
