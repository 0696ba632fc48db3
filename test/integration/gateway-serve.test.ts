import { appendFile, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import OpenAI from "openai";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { Secret } from "../../src/base/secret.ts";
import { systemClock } from "../../src/base/time.ts";
import { runServe, type ServeFlags } from "../../src/cli/commands/serve.ts";
import { runCli } from "../../src/cli/program.ts";
import { LOCAL_KEY_NAME } from "../../src/gateway/state.ts";
import { localDay, parseSpending } from "../../src/journal/ledger.ts";
import { type Sandbox, startSandbox } from "../../src/sandbox/index.ts";
import { Vault, vaultPaths } from "../../src/vault/index.ts";
import { type TestCli, testCli } from "../support/cli-context.ts";
import { scriptedEndpoint, sendJson } from "./ai-sdk-scripted-endpoint.ts";
import { CHAT, HELLO, until } from "./gateway-world.ts";

let sandbox: Sandbox;
let home: string;
beforeAll(async () => {
  sandbox = await startSandbox();
});
afterAll(() => sandbox.stop());
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), "zeph-serve-"));
});
afterEach(async () => {
  sandbox.broker.faults.clear();
  await rm(home, { recursive: true });
});

const record = (name: string, more = "") =>
  `[[llm.providers]]\ntype = "compatible"\nname = "${name}"\nbase_url = "${sandbox.broker.baseURL}"\nmodel = "${CHAT}"\n${more}\n`;
const KEY_NAME = "ZEPH_COMPATIBLE_BOX_API_KEY";

async function config(text: string): Promise<void> {
  await mkdir(join(home, ".config/zeph"), { recursive: true });
  await writeFile(join(home, ".config/zeph/config.toml"), text);
}

const paths = () => vaultPaths({ env: {}, homeDir: home, platform: process.platform });

async function makeVault(): Promise<Vault> {
  const vault = await Vault.init({ paths: paths() });
  await vault.set(KEY_NAME, new Secret(sandbox.broker.keys.good));
  return vault;
}

interface Running extends TestCli, AsyncDisposable {
  readonly baseURL: string;
  stop(): Promise<number>;
}

async function serve(
  flags: ServeFlags = {},
  options: { env?: Record<string, string>; json?: boolean } = {},
): Promise<Running> {
  const controller = new AbortController();
  const cli = testCli({ homeDir: home, ...options });
  const context = { ...cli.context, fetch: globalThis.fetch, signal: controller.signal, clock: systemClock };
  const running = runServe(context, { port: "0", ...flags });
  let failure: unknown;
  running.catch((error: unknown) => {
    failure = error;
  });
  await until(() => cli.stdout() !== "" || failure !== undefined);
  if (failure !== undefined) throw failure;
  const baseURL = /http:\/\/[^\s"]+\/v1/.exec(cli.stdout())?.[0] ?? "";
  async function stop(): Promise<number> {
    controller.abort();
    return running;
  }
  return { ...cli, baseURL, stop, [Symbol.asyncDispose]: async () => void (await stop()) };
}

const keyIn = (text: string) => /sk-zeph-[\w-]{43}/.exec(text)?.[0];

describe("zeph serve", () => {
  it("makes a key, keeps it in the vault, shows it once, and serves", async () => {
    await config(record("box"));
    await makeVault();
    const first = await serve();
    const key = keyIn(first.stdout()) ?? "";
    expect(key).not.toBe("");
    expect(first.stdout()).toContain(`export OPENAI_BASE_URL=${first.baseURL}`);
    expect(first.stdout()).toContain(`export OPENAI_API_KEY="$(zeph vault get ${LOCAL_KEY_NAME})"`);
    expect((await Vault.open({ paths: paths() })).get(LOCAL_KEY_NAME)?.reveal()).toBe(key);
    const client = new OpenAI({ baseURL: first.baseURL, apiKey: key, maxRetries: 0 });
    const answer = await client.chat.completions.create({ model: "", messages: HELLO });
    expect(answer.choices[0]?.message.content?.toLowerCase()).toContain("hello");
    await until(() => first.stderr().includes('"event":"request"'));
    const line = JSON.parse(first.stderr().trim().split("\n").at(-1) ?? "");
    expect(line).toMatchObject({
      event: "request",
      route: "chat",
      status: 200,
      model: CHAT,
      requestId: answer._request_id,
    });
    expect(await first.stop()).toBe(0);
    const ledger = await readFile(join(home, ".local/state/zeph/spent.jsonl"), "utf8");
    expect(parseSpending(ledger)).toMatchObject([
      {
        provider: "box",
        model: CHAT,
        client: "openai/js",
        hour: expect.any(Number),
        took: expect.any(Array),
        answers: 1,
        errors: 0,
        outputTokens: answer.usage?.completion_tokens,
        usd: expect.any(Number),
      },
    ]);
    await expect(client.models.list()).rejects.toThrow();
    expect(first.stderr()).not.toContain(key);

    await using second = await serve();
    expect(keyIn(second.stdout())).toBeUndefined();
    expect(second.stdout()).toContain("--show-key");
    await using third = await serve({ showKey: true });
    expect(keyIn(third.stdout())).toBe(key);
    const status = (await fetch(`${third.baseURL}/models`, { headers: { "x-api-key": key } })).status;
    expect(status).toBe(200);
  });

  it("counts what is spent, and keeps to the daily limit on every path", async () => {
    await config(`${record("box")}[cost]\nenabled = true\nmax_daily_cents = 1\n`);
    await makeVault();
    await using running = await serve({ showKey: true });
    const ask = (path: string, body: object) =>
      fetch(running.baseURL + path, {
        method: "POST",
        headers: { "x-api-key": keyIn(running.stdout()) ?? "" },
        body: JSON.stringify(body),
      });
    const message = { max_tokens: 9, messages: HELLO };
    const ledger = join(home, ".local/state/zeph/spent.jsonl");
    expect((await ask("/messages", message)).status).toBe(200);
    await until(async () => (await readFile(ledger, "utf8").catch(() => "")).includes('"usd":'));
    await appendFile(ledger, `${JSON.stringify({ day: localDay(Date.now()), usd: 0.01 })}\n`);
    for (const [path, body] of [
      ["/chat/completions", { messages: HELLO }],
      ["/messages", message],
      ["/responses", { input: "hi" }],
      ["/completions", { prompt: "hi" }],
    ] as const) {
      const response = await ask(path, body);
      expect([path, response.status, response.headers.get("x-zeph-error-code")]).toEqual([path, 402, "budget_reached"]);
    }
  });

  it("sends none of the user's secrets on", async () => {
    await using upstream = await scriptedEndpoint(({ body }, response) =>
      sendJson(response, 200, {
        choices: [{ index: 0, message: { role: "assistant", content: JSON.stringify(body) } }],
      }),
    );
    await config(record("box").replace(sandbox.broker.baseURL, upstream.baseURL));
    const vault = await makeVault();
    await vault.set("ZEPH_SECRET_OTHER", new Secret("planted-other-secret-0123456789"));
    await using running = await serve({ showKey: true });
    const key = keyIn(running.stdout()) ?? "";
    const secrets = [sandbox.broker.keys.good, "planted-other-secret-0123456789", key];
    for (const path of ["/chat/completions", "/messages"]) {
      const body = { max_tokens: 9, messages: [{ role: "user", content: `I have ${secrets.join(" and ")}` }] };
      const headers = { "x-api-key": key };
      const response = await fetch(running.baseURL + path, { method: "POST", headers, body: JSON.stringify(body) });
      expect(response.headers.get("x-zeph-changed-params")).toContain("secrets");
      expect(await response.text()).toContain("I have [redacted] and [redacted] and [redacted]");
    }
  });

  it("shows a new key also when it could not begin", async () => {
    await config(record("box"));
    await makeVault();
    await using first = await serve({}, { env: { [LOCAL_KEY_NAME]: "a-key-of-the-environment-0123" } });
    const cli = testCli({ homeDir: home });
    const again = { ...cli.context, fetch: globalThis.fetch, clock: systemClock };
    await expect(runServe(again, { port: new URL(first.baseURL).port })).rejects.toMatchObject({ code: "usage" });
    expect(keyIn(cli.stderr())).toBe((await Vault.open({ paths: paths() })).get(LOCAL_KEY_NAME)?.reveal());
  });

  it("says where a shell finds the key: in the variable where it came from there", async () => {
    await config(record("box"));
    const env = { [LOCAL_KEY_NAME]: "a-key-of-the-environment-0123", [KEY_NAME]: sandbox.broker.keys.good };
    await using running = await serve({}, { env });
    expect(running.stdout()).toContain(`export OPENAI_API_KEY="$${LOCAL_KEY_NAME}"`);
    expect(running.stdout()).toContain(`in the variable ${LOCAL_KEY_NAME}`);
    expect(running.stdout()).not.toMatch(/vault get|environment-0123/);
    await using temporary = await serve(
      {},
      { env: { [KEY_NAME]: sandbox.broker.keys.good, ZEPH_VAULT_BACKEND: "env" } },
    );
    expect(temporary.stdout()).toContain(`set ${LOCAL_KEY_NAME} to keep one`);
    expect(temporary.stdout()).not.toContain("zeph vault");
  });

  it.each(["short", "x".repeat(40), "123456789012345678901234567890".slice(0, 23), "abababababababababababababab"])(
    "takes no weak key where other computers can reach it: %s",
    async (weak) => {
      await config(record("box"));
      const env = { [LOCAL_KEY_NAME]: weak, [KEY_NAME]: sandbox.broker.keys.good };
      const refused = await serve({ host: "0.0.0.0" }, { env }).catch((error: unknown) => error);
      expect(refused).toMatchObject({ code: "usage", detail: expect.stringContaining("too weak") });
      expect(String(refused)).not.toContain(weak);
      await using here = await serve({}, { env });
      expect(here.baseURL).toContain("127.0.0.1");
      await using strong = await serve({ host: "0.0.0.0" }, { env: { [KEY_NAME]: sandbox.broker.keys.good } });
      expect(strong.baseURL).toContain("0.0.0.0");
    },
  );

  it("prints one JSON object with --json, and no words of the introduction", async () => {
    await config(record("box"));
    await makeVault();
    await using running = await serve({ alias: [`gpt-4o=${CHAT}`], alwaysStream: true }, { json: true });
    expect(JSON.parse(running.stdout())).toEqual({
      ok: true,
      data: {
        baseURL: running.baseURL,
        page: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+\/#token=[\w-]{43}$/),
        provider: { name: "box", baseURL: sandbox.broker.baseURL },
        model: CHAT,
        aliases: { "gpt-4o": CHAT },
        upstreamMode: "always-stream",
        cleanUp: "network",
        key: { name: LOCAL_KEY_NAME, state: "created", value: expect.stringMatching(/^sk-zeph-/) },
      },
    });
  });

  it("embeds with the provider's embedding_model where a request names none", async () => {
    await config(record("box", 'embedding_model = "sandbox/embed-1"'));
    await using running = await serve({ auth: false }, { env: { [KEY_NAME]: sandbox.broker.keys.good } });
    const body = JSON.stringify({ input: "one" });
    const headers = { "content-type": "application/json" };
    const answer = await fetch(`${running.baseURL}/embeddings`, { method: "POST", headers, body });
    expect(await answer.json()).toMatchObject({ model: "sandbox/embed-1", data: [{ index: 0 }] });
  });

  it("takes a key that is in the vault or in the environment already", async () => {
    await config(record("box"));
    const env = { [KEY_NAME]: sandbox.broker.keys.good, [LOCAL_KEY_NAME]: "sk-zeph-of-the-environment" };
    await using running = await serve({}, { env });
    expect(running.stdout()).not.toContain("sk-zeph-of-the-environment");
    const ask = (key: string) => fetch(`${running.baseURL}/models`, { headers: { "x-api-key": key } });
    expect([(await ask("sk-zeph-of-the-environment")).status, (await ask("other")).status]).toEqual([200, 401]);
  });

  it("has a key for this run where there is no vault", async () => {
    await config(record("box"));
    await using running = await serve({}, { env: { [KEY_NAME]: sandbox.broker.keys.good } });
    const key = keyIn(running.stdout()) ?? "";
    expect(running.stdout()).toContain("for this run only");
    expect((await fetch(`${running.baseURL}/models`, { headers: { "x-api-key": key } })).status).toBe(200);
  });

  it("asks for none with --no-auth, and makes none", async () => {
    await config(record("box"));
    const vault = await makeVault();
    await using running = await serve({ auth: false });
    expect((await fetch(`${running.baseURL}/models`)).status).toBe(200);
    expect(keyIn(running.stdout())).toBeUndefined();
    expect((await Vault.open({ paths: paths() })).names()).toEqual(vault.names());
  });

  it("reads [local_gateway]", async () => {
    const table = `[local_gateway]\nmodel = "sandbox/thinker-1"\ncors = ["http://a.example"]\n[local_gateway.aliases]\nmine = "${CHAT}"\n`;
    await config(`${record("box")}${table}`);
    await makeVault();
    await using running = await serve({ auth: false });
    const response = await fetch(`${running.baseURL}/models/mine`, { headers: { origin: "http://a.example" } });
    expect(await response.json()).toMatchObject({ alias_of: CHAT });
    expect(running.stdout()).toContain("sandbox/thinker-1, when a request names none");
  });

  it("says all that is wrong with [local_gateway] at once", async () => {
    await config(`${record("box")}[local_gateway]\nport = "x"\ncors = "y"\nunknown = 1\n`);
    await expect(serve()).rejects.toMatchObject({
      code: "config_invalid",
      detail: expect.stringMatching(/port .*; cors /),
    });
  });

  it("writes no line per request with --quiet", async () => {
    await config(record("box"));
    await makeVault();
    await using running = await serve({ auth: false, quiet: true });
    await fetch(`${running.baseURL}/models`);
    expect(running.stderr()).not.toContain('"event"');
  });

  it("goes on with the fallback, and says so to caller, log and metrics", async () => {
    const other = await startSandbox();
    await config(
      `[llm]\nfallback = ["other"]\n${record("box", "max_retries = 1")}${record("other", 'api_key_env = "OTHER_KEY"').replace(sandbox.broker.baseURL, other.broker.baseURL)}`,
    );
    const vault = await makeVault();
    await vault.set("OTHER_KEY", new Secret(other.broker.keys.good));
    sandbox.broker.faults.always({ kind: "status", status: 503 });
    await using running = await serve({ auth: false });
    const response = await fetch(`${running.baseURL}/chat/completions`, {
      method: "POST",
      body: JSON.stringify({ messages: HELLO }),
    });
    expect([response.status, response.headers.get("x-zeph-fallback-provider")]).toEqual([200, "other"]);
    await response.text();
    await until(() => running.stderr().includes('"fallbackProvider":"other"'));
    expect(running.stderr()).toMatch(/"event":"fallback","from":"box","to":"other"/);
    expect(await (await fetch(running.baseURL.replace("/v1", "/metrics"))).text()).toContain('provider="other"');
    await other.stop();
  });

  it("is told which provider and what to type when there is none", async () => {
    await config("");
    await expect(serve()).rejects.toMatchObject({ code: "config_not_found" });
  });
});

describe("the command line", () => {
  it("shows examples, and refuses what it does not know", async () => {
    const cli = testCli({ homeDir: home });
    expect(await runCli(["serve", "--help"], cli.context)).toBe(0);
    expect(cli.stdout()).toMatch(/zeph serve --alias/);
    expect(await runCli(["serve", "--prot", "1"], cli.context)).toBe(2);
    expect(cli.stderr()).toContain("--port");
  });

  it("takes what was given more than once", async () => {
    await config(record("box"));
    const controller = new AbortController();
    const cli = testCli({ homeDir: home, env: { [KEY_NAME]: sandbox.broker.keys.good } });
    const world = { ...cli.context, fetch: globalThis.fetch, signal: controller.signal, clock: systemClock };
    const running = runCli(["serve", "-p", "0", "--no-auth", "--alias", "a=x", "--alias", "b=y", "--quiet"], world);
    await until(() => cli.stdout().includes("Aliases") || cli.stderr().includes("✗"));
    expect(cli.stdout(), cli.stderr()).toContain("a = x, b = y");
    controller.abort();
    expect(await running).toBe(0);
  });
});
