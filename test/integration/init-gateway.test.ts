import { mkdir, readFile, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { readTextFile } from "../../src/base/files.ts";
import { Secret } from "../../src/base/secret.ts";
import { rememberTrust } from "../../src/config/files.ts";
import { migrateConfig } from "../../src/config/migrate.ts";
import { bindKey } from "../../src/config/trust.ts";
import type { InitRequest } from "../../src/init/session.ts";
import { type Sandbox, startSandbox } from "../../src/sandbox/index.ts";
import { Vault, vaultPaths } from "../../src/vault/index.ts";
import { CTRL_C, readAll, runSetUp, temporaryHome } from "../support/scripted-init.ts";

const SECRET_NAME = "ZEPH_COMPATIBLE_GONKAGATE_API_KEY";
const PRIVATE_KEY = "1".repeat(64);

let sandbox: Sandbox;
let home: Awaited<ReturnType<typeof temporaryHome>>;

beforeAll(async () => {
  sandbox = await startSandbox();
});
afterAll(() => sandbox.stop());
beforeEach(async () => {
  home = await temporaryHome();
});
afterEach(async () => {
  sandbox.broker.faults.clear();
  await home.remove();
});

const configPath = () => join(home.path, ".config", "zeph", "config.toml");
const readConfig = () => readFile(configPath(), "utf8");
const paths = () => vaultPaths({ env: {}, homeDir: home.path, platform: process.platform });
const storedKey = async (name = SECRET_NAME) => (await Vault.open({ paths: paths() })).get(name)?.reveal();
const toSandbox = () => ({ broker: "gonkagate", baseURL: sandbox.broker.baseURL });
const requestsSince = (count: number) => sandbox.broker.requests.slice(count);

async function writeConfig(text: string): Promise<void> {
  await mkdir(dirname(configPath()), { recursive: true });
  await writeFile(configPath(), text);
}

async function trustedProject(text: string): Promise<void> {
  const path = join(home.path, "config", "default.toml");
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, text);
  const context = { env: {}, homeDir: home.path, platform: process.platform };
  await rememberTrust(context, readTextFile, { path, text }, "trusted");
}

/** GonkaGate at the sandbox's address, as a user's own broker record can say. */
const sandboxAsGonkaGate = () => `[[brokers]]\nid = "gonkagate"\nbase_url = "${sandbox.broker.baseURL}"\n`;

describe("three questions", () => {
  it("go from nothing to a reply, the key in the vault and a config that loads", async () => {
    await writeConfig(sandboxAsGonkaGate());
    const { result, asked, screen } = await runSetUp({
      home: home.path,
      answers: [
        [/How do you want to reach/, /via GonkaGate/],
        [/GonkaGate API key \(starts with gp-…\)/, sandbox.broker.keys.good],
        [/^Model$/, /^sandbox\/echo-1 /],
      ],
    });
    expect(asked).toHaveLength(3);
    expect(result?.outcome.reply?.text).toContain("hello in one short sentence");
    expect(screen).toContain("hello in one short sentence");
    expect(await storedKey()).toBe(sandbox.broker.keys.good);
    expect(await readConfig()).toBe(
      `${sandboxAsGonkaGate()}
[[llm.providers]]
type = "compatible"
name = "gonkagate"
base_url = "${sandbox.broker.baseURL}"
model = "sandbox/echo-1"
api_key_env = "${SECRET_NAME}"
default = true
`,
    );
  });

  it("show the list with context length and price, and none of it is built in", async () => {
    const { screen } = await runSetUp({
      home: home.path,
      request: toSandbox(),
      answers: [
        [/API key/, sandbox.broker.keys.good],
        [/^Model$/, /Tiny/],
      ],
    });
    expect(screen).toMatch(/sandbox\/echo-1 +128K context · \$0\.22 in, \$0\.44 out per 1M/);
    expect(screen).not.toContain("sandbox/vector-1");
    expect(await readConfig()).toContain('model = "sandbox/Tiny-1"');
  });
});

describe("the key", () => {
  it("is asked for again in place: wrong, wrong, right in one run", async () => {
    const { wrong, disabled, good } = sandbox.broker.keys;
    const before = sandbox.broker.requests.length;
    const { result, screen } = await runSetUp({
      home: home.path,
      request: { ...toSandbox(), model: "auto" },
      answers: [
        [/API key/, wrong],
        [/API key/, disabled],
        [/API key/, good],
      ],
    });
    expect(result?.applied.providerName).toBe("gonkagate");
    expect(screen).toContain("The API key was refused");
    expect(screen).toContain("This account has been deactivated");
    expect(requestsSince(before).map(({ key }) => key)).toEqual(["wrong", "disabled", "good", "good"]);
    expect(await storedKey()).toBe(good);
  });

  it("is taken out of what people paste around it", async () => {
    await runSetUp({
      home: home.path,
      request: { ...toSandbox(), model: "auto" },
      answers: [[/API key/, ` export GONKAGATE_API_KEY="Bearer ${sandbox.broker.keys.good}" \n`]],
    });
    expect(await storedKey()).toBe(sandbox.broker.keys.good);
  });

  it.each([
    ["nothing but quotes", '""', /is empty/],
    ["a management key", "gpm-0123456789abcdefghij", /management key/],
    ["recovery words", "legal winner thank year wave sausage worth useful legal winner thank yellow", /recovery words/],
    ["a key with a space in it", "gp-0123456789 abcdefghijkl", /has a space/],
  ])("is refused before it is sent when it is %s", async (_what, pasted, complaint) => {
    const before = sandbox.broker.requests.length;
    const { screen, error } = await runSetUp({
      home: home.path,
      request: toSandbox(),
      answers: [
        [/API key/, pasted],
        [/API key/, CTRL_C],
      ],
    });
    expect(screen).toMatch(complaint);
    expect(error?.code).toBe("cancelled");
    expect(requestsSince(before)).toEqual([]);
    expect(await readAll(home.path)).toEqual(new Map());
  });

  it("is never sent when it is a private key, and leads to the native branch on a yes", async () => {
    const before = sandbox.broker.requests.length;
    const { screen } = await runSetUp({
      home: home.path,
      request: toSandbox(),
      answers: [
        [/API key/, `0x${PRIVATE_KEY}`],
        [/Set up signed requests/, false],
        [/API key/, PRIVATE_KEY],
        [/Set up signed requests/, true],
        [/Which network/, CTRL_C],
      ],
    });
    expect(screen).toContain("looks like a private key. It was not sent anywhere");
    expect(screen).not.toContain(PRIVATE_KEY);
    expect(requestsSince(before)).toEqual([]);
  });

  it("of another broker goes there on a yes, and nowhere on a no", async () => {
    await writeConfig(`[[brokers]]\nid = "joingonka"\nbase_url = "${sandbox.broker.baseURL}"\n`);
    const fetched: string[] = [];
    const { screen } = await runSetUp({
      home: home.path,
      fetch: (input, init) => {
        fetched.push(String(input instanceof Request ? input.url : input));
        return fetch(input, init);
      },
      request: { broker: "gonkagate" },
      answers: [
        [/GonkaGate API key/, "jg-0123456789"],
        [/Set up JoinGonka instead/, false],
        [/GonkaGate API key/, "jg-0123456789"],
        [/Set up JoinGonka instead/, true],
        [/JoinGonka API key/, CTRL_C],
      ],
    });
    expect(screen).toContain("It was not sent to api.gonkagate.com");
    expect(new Set(fetched.map((url) => new URL(url).host))).toEqual(new Set([new URL(sandbox.broker.baseURL).host]));
  });

  it("with an unknown prefix is asked again, and taken when pasted twice with a yes", async () => {
    const own = await startSandbox({ broker: { keys: { good: "xx-0123456789abcdefghij" } } });
    try {
      const { screen, result } = await runSetUp({
        home: home.path,
        request: { broker: "gonkagate", baseURL: own.broker.baseURL, model: "auto" },
        answers: [
          [/API key/, "xx-0123456789abcdefghij"],
          [/API key/, "xx-0123456789abcdefghij"],
          [/all the same/, true],
        ],
      });
      expect(screen).toContain("does not begin with gp-");
      expect(result?.outcome.answers.model).toBe("sandbox/echo-1");
    } finally {
      await own.stop();
    }
  });

  it("without credit is good: the top-up page is shown, one may try again and keep the set-up", async () => {
    const countPosts = () => sandbox.broker.requests.filter(({ method }) => method === "POST").length;
    const before = countPosts();
    const { result, screen } = await runSetUp({
      home: home.path,
      request: { ...toSandbox(), model: "auto" },
      answers: [
        [/API key/, sandbox.broker.keys.outOfMoney],
        [/What now\?/, "Try again"],
        [/What now\?/, "Keep this set-up"],
      ],
    });
    expect(screen).toContain("the account has no credit");
    expect(result?.outcome.reply).toBeUndefined();
    expect(await readConfig()).toContain("gonkagate");
    expect(countPosts() - before).toBe(2);
  });

  it("without credit when the list already says so offers the same, and another key", async () => {
    sandbox.broker.faults.next({ kind: "status", status: 402, on: "/models" }, 2);
    const { result } = await runSetUp({
      home: home.path,
      request: { ...toSandbox(), model: "auto" },
      answers: [
        [/API key/, sandbox.broker.keys.outOfMoney],
        [/What now\?/, "Try again"],
        [/What now\?/, "Paste another key"],
        [/API key/, sandbox.broker.keys.good],
      ],
    });
    expect(result?.outcome.reply?.text).toContain("hello");
  });

  it("of an account that is not ready need not be copied again, and nobody is told to", async () => {
    const { screen, result } = await runSetUp({
      home: home.path,
      request: { ...toSandbox(), model: "auto" },
      answers: [
        [/API key/, sandbox.broker.keys.unverified],
        [/API key/, sandbox.broker.keys.good],
      ],
    });
    expect(screen).toContain("verify the e-mail address");
    expect(screen).toContain("with the same key or another one");
    expect(screen).not.toContain("Copy it again");
    expect(result?.outcome.reply?.text).toContain("hello");
  });

  it("that cannot be checked may be tried again, or taken without a check", async () => {
    sandbox.broker.faults.next({ kind: "refuse", on: "/models" }, 4);
    const { result, asked } = await runSetUp({
      home: home.path,
      request: toSandbox(),
      answers: [
        [/API key/, sandbox.broker.keys.good],
        [/What now/, /Try again/],
        [/What now/, /without a check/],
        [/Model id \(the list could not be read\)/, "sandbox/echo-1"],
      ],
    });
    expect(result?.outcome.reply?.text).toContain("hello");
    expect(asked).toHaveLength(4);
  });

  it("at a wrong address asks for the address, and then goes on with the same key", async () => {
    const { result, screen } = await runSetUp({
      home: home.path,
      request: { broker: "gonkagate", baseURL: `${sandbox.broker.baseURL}/nothing`, model: "auto" },
      answers: [
        [/API key/, sandbox.broker.keys.good],
        [/Base URL/, "http://example.com/v1"],
        [/Base URL/, sandbox.broker.baseURL],
      ],
    });
    expect(screen).toContain("This address answers, but it is not an OpenAI-compatible API");
    expect(screen).toContain("Plain http is for this computer");
    expect(result?.outcome.answers).toMatchObject({ baseURL: sandbox.broker.baseURL });
  });
});

describe("a key that is there already", () => {
  it("is offered by name and source", async () => {
    const { good } = sandbox.broker.keys;
    const { screen, result } = await runSetUp({
      home: home.path,
      env: { GONKAGATE_API_KEY: good },
      request: { ...toSandbox(), model: "auto" },
      answers: [
        [/GonkaGate API key/, "Use the one in the environment"],
        [/^GONKAGATE_API_KEY is for https:\/\/api\.gonkagate\.com; .* Send it there from now on/, true],
      ],
    });
    expect(screen).toContain("GONKAGATE_API_KEY");
    expect(screen).not.toContain(good);
    expect(await storedKey()).toBe(good);
    expect(result?.applied.isDefault).toBe(true);
  });

  it("is used without a word where nobody can be asked, at the address it is for", async () => {
    const vault = await Vault.init({ paths: paths() });
    const secret = new Secret(sandbox.broker.keys.good);
    await vault.set(SECRET_NAME, secret);
    const elsewhere = await runSetUp({ home: home.path, request: { ...toSandbox(), model: "auto" } });
    expect(elsewhere.error?.code).toBe("key_for_another_origin");
    expect(elsewhere.error?.detail).toContain("is for https://api.gonkagate.com");
    const origins = [new URL(sandbox.broker.baseURL).origin];
    const context = { env: {}, homeDir: home.path, platform: process.platform };
    await bindKey(context, { name: SECRET_NAME, secret, origins });
    const { result } = await runSetUp({ home: home.path, request: { ...toSandbox(), model: "SANDBOX/ECHO-1" } });
    expect(result?.outcome.answers.model).toBe("sandbox/echo-1");
  });

  it("is told of with both addresses where it was stored for another one, and is not what Enter takes", async () => {
    const vault = await Vault.init({ paths: paths() });
    await vault.set(SECRET_NAME, new Secret(sandbox.broker.keys.good));
    const { origin } = new URL(sandbox.broker.baseURL);
    const { screen } = await runSetUp({
      home: home.path,
      request: { ...toSandbox(), model: "auto" },
      answers: [
        [/GonkaGate API key/, "Paste another one"],
        [/GonkaGate API key/, CTRL_C],
      ],
    });
    expect(screen).toContain(
      `is for https://api.gonkagate.com; \`zeph init\` would send it to ${origin}. Choose it only`,
    );
    expect(screen.indexOf("Paste another one")).toBeLessThan(screen.indexOf("Use the one in the vault"));
  });

  it("goes to an address it was not stored for only after a yes that names both", async () => {
    const vault = await Vault.init({ paths: paths() });
    await vault.set(SECRET_NAME, new Secret(sandbox.broker.keys.good));
    const { origin } = new URL(sandbox.broker.baseURL);
    const run = (isMeant: boolean) =>
      runSetUp({
        home: home.path,
        request: { ...toSandbox(), model: "auto" },
        answers: [
          [/GonkaGate API key/, "Use the one in the vault"],
          [new RegExp(`is for https://api.gonkagate.com; .* to ${origin}\\. Send it there from now on`), isMeant],
          ...(isMeant ? [] : [[/API key/, CTRL_C] as const]),
        ],
      });
    const before = sandbox.broker.requests.length;
    expect((await run(false)).error?.code).toBe("cancelled");
    expect(requestsSince(before)).toEqual([]);
    const { result, error } = await run(true);
    expect([error, result?.applied.providerName]).toEqual([undefined, "gonkagate"]);
    const again = await runSetUp({ home: home.path, request: { ...toSandbox(), model: "auto" } });
    expect(again.error).toBeUndefined();
  });

  it("does not follow to an address that is typed in the place of its own, unless that is said", async () => {
    const { origin, port } = new URL(sandbox.broker.baseURL);
    await writeConfig(`[[llm.providers]]\ntype = "compatible"\nname = "box"\nbase_url = "${origin}/nowhere/v1"\n`);
    const vault = await Vault.init({ paths: paths() });
    await vault.set("ZEPH_COMPATIBLE_BOX_API_KEY", new Secret(sandbox.broker.keys.good));
    const elsewhere = `http://localhost:${port}`;
    const run = (isMeant: boolean) =>
      runSetUp({
        home: home.path,
        request: { broker: "custom", name: "box", model: "auto" },
        answers: [
          [/API key/, "Use the one in the vault"],
          [/Base URL/, `${elsewhere}/v1`],
          [new RegExp(`is for ${origin}; .* to ${elsewhere}\\. Send it there from now on`), isMeant],
          ...(isMeant ? [] : [[/API key/, CTRL_C] as const]),
        ],
      });
    const before = sandbox.broker.requests.length;
    expect((await run(false)).error?.code).toBe("cancelled");
    const tried = sandbox.broker.requests.length;
    expect(requestsSince(before).every(({ path }) => path.includes("nowhere"))).toBe(true);
    const { result, error } = await run(true);
    expect([error, result?.applied.providerName]).toEqual([undefined, "box"]);
    expect(requestsSince(tried).some(({ path }) => !path.includes("nowhere"))).toBe(true);
  });

  it("is replaced only after a yes", async () => {
    const vault = await Vault.init({ paths: paths() });
    await vault.set(SECRET_NAME, new Secret(sandbox.broker.keys.disabled));
    await vault.set("ZEPH_SECRET_OTHER", new Secret("kept"));
    const run = (isReplaced: boolean) =>
      runSetUp({
        home: home.path,
        request: { ...toSandbox(), model: "auto" },
        answers: [
          [/GonkaGate API key/, "Paste another one"],
          [/GonkaGate API key/, sandbox.broker.keys.good],
          [/Replace it\?/, isReplaced],
        ],
      });
    expect((await run(false)).error?.code).toBe("cancelled");
    expect(await storedKey()).toBe(sandbox.broker.keys.disabled);
    await run(true);
    expect(await storedKey()).toBe(sandbox.broker.keys.good);
    expect(await storedKey("ZEPH_SECRET_OTHER")).toBe("kept");
  });

  it("is replaced in a script only with --force, and the output says so", async () => {
    const { good, unverified } = sandbox.broker.keys;
    const vault = await Vault.init({ paths: paths() });
    await vault.set(SECRET_NAME, new Secret(unverified));
    const request = { ...toSandbox(), model: "auto", key: { from: "stdin" } } as const;
    const refused = await runSetUp({ home: home.path, stdin: good, request });
    expect(refused.error).toMatchObject({ code: "vault_entry_exists", hint: expect.stringContaining("--force") });
    expect(await storedKey()).toBe(unverified);
    const forced = await runSetUp({ home: home.path, stdin: good, request: { ...request, force: true } });
    expect(forced.result?.replacedSecrets).toEqual([SECRET_NAME]);
    const backup = /Replaced \S+ in the vault \S+\nBefore: (\S+\.bak)/.exec(forced.screen)?.[1] ?? "";
    const vaultFile = backup.replace(/^~/, home.path);
    expect((await Vault.open({ paths: { ...paths(), vaultFile } })).get(SECRET_NAME)?.reveal()).toBe(unverified);
    const again = await runSetUp({ home: home.path, stdin: good, request });
    expect(again.screen).toContain(`Already stored as ${SECRET_NAME}`);
    expect(again.result?.replacedSecrets).toEqual([]);
  });
});

describe("the model", () => {
  it.each([
    ["of the list without letter case", "SANDBOX/tiny-1"],
    ["by its short name", "tiny-1"],
  ])("may be named %s; the exact id is written", async (_how, model) => {
    await runSetUp({
      home: home.path,
      request: { ...toSandbox(), model },
      answers: [[/API key/, sandbox.broker.keys.good]],
    });
    expect(await readConfig()).toContain('model = "sandbox/Tiny-1"');
  });

  it("that is not listed is answered with the nearest three", async () => {
    const { screen } = await runSetUp({
      home: home.path,
      request: toSandbox(),
      answers: [
        [/API key/, sandbox.broker.keys.good],
        [/^Model$/, "Another id"],
        [/Model id/, "sandbox/ecko-1"],
        [/Did you mean/, "sandbox/echo-1"],
      ],
    });
    expect(screen).toContain("No, use sandbox/ecko-1");
    expect(await readConfig()).toContain('model = "sandbox/echo-1"');
  });

  it("that is not listed is an error where nobody can be asked", async () => {
    const { error } = await runSetUp({
      home: home.path,
      stdin: sandbox.broker.keys.good,
      request: { ...toSandbox(), key: { from: "stdin" }, model: "sandbox/ecko-1" },
    });
    expect(error?.code).toBe("model_not_found");
    expect(error?.hint).toContain("sandbox/echo-1");
    await expect(stat(configPath())).rejects.toThrow();
  });
});

describe("a slip of a flag", () => {
  it("in the model is named for what it is", async () => {
    const { error } = await runSetUp({
      home: home.path,
      stdin: sandbox.broker.keys.good,
      request: { ...toSandbox(), key: { from: "stdin" }, model: "embed-1" },
    });
    expect(error).toMatchObject({ code: "model_not_found", detail: expect.stringContaining("embeddings") });
    expect(error?.hint).toMatch(/Nearest chat models/);
  });

  it("in the broker comes before what else is missing", async () => {
    const { error } = await runSetUp({ home: home.path, request: { broker: "gonkagat" } });
    expect(error).toMatchObject({ code: "usage", detail: 'no broker is called "gonkagat"' });
    expect(error?.hint).toMatch(/^Did you mean gonkagate,/);
  });
});

describe("--full", () => {
  it("asks for the rest, and writes what is not the default", async () => {
    const { screen } = await runSetUp({
      home: home.path,
      request: { ...toSandbox(), model: "auto", full: true },
      answers: [
        [/API key/, sandbox.broker.keys.good],
        [/Longest answer/, "many"],
        [/Longest answer/, "2000"],
        [/Longest wait/, "30"],
        [/Attempts per request/, ""],
        [/Requests at once/, ""],
      ],
    });
    expect(screen).toContain("must be a whole number");
    const text = await readConfig();
    expect(text).toContain('max_tokens = 2000\nrequest_timeout = "30s"\n');
    expect(text).not.toMatch(/max_retries|max_concurrent/);
  });
});

describe("the test message", () => {
  it("passes with empty content and finish length, as thinking models answer", async () => {
    const empty = { choices: [{ message: { role: "assistant", content: null }, finish_reason: "length" }] };
    const { result, screen } = await runSetUp({
      home: home.path,
      fetch: async (input, init) => {
        const url = String(input instanceof Request ? input.url : input);
        return url.endsWith("/chat/completions") ? Response.json(empty) : fetch(input, init);
      },
      request: { ...toSandbox(), model: "auto" },
      answers: [[/API key/, sandbox.broker.keys.good]],
    });
    expect(result?.outcome.reply).toMatchObject({ text: "", finishReason: "length" });
    expect(screen).toContain("still thinking");
  });

  it("that fails leaves the config unwritten on a no", async () => {
    sandbox.broker.faults.always({ kind: "status", status: 404, code: "model_not_found", on: "/chat/completions" });
    const { error, screen } = await runSetUp({
      home: home.path,
      request: { ...toSandbox(), model: "auto" },
      answers: [
        [/API key/, sandbox.broker.keys.good],
        [/Continue anyway\?/, false],
      ],
    });
    expect(error?.code).toBe("cancelled");
    expect(screen).toContain(`the vault now holds ${SECRET_NAME}`);
    expect(screen).toContain(`zeph vault rm ${SECRET_NAME}`);
    await expect(stat(configPath())).rejects.toThrow();
  });

  it("that fails may be ignored on a yes", async () => {
    sandbox.broker.faults.always({ kind: "status", status: 404, code: "model_not_found", on: "/chat/completions" });
    const { result } = await runSetUp({
      home: home.path,
      request: { ...toSandbox(), model: "auto" },
      answers: [
        [/API key/, sandbox.broker.keys.good],
        [/Continue anyway\?/, true],
      ],
    });
    expect(result?.outcome.reply).toBeUndefined();
    expect(await readConfig()).toContain("gonkagate");
  });

  it("is left out on request, and asks for at most 64 tokens otherwise", async () => {
    const bodies: unknown[] = [];
    const run = (test: boolean) =>
      runSetUp({
        home: home.path,
        fetch: async (input, init) => {
          const request = new Request(input, init);
          if (request.method === "POST") bodies.push(await request.clone().json());
          return fetch(request);
        },
        stdin: sandbox.broker.keys.good,
        request: { ...toSandbox(), key: { from: "stdin" }, model: "auto", test },
      });
    await run(false);
    expect(bodies).toEqual([]);
    await run(true);
    expect(bodies).toMatchObject([{ model: "sandbox/echo-1", max_tokens: 64 }]);
  });
});

describe("an endpoint that lists its models to everybody", () => {
  it("refuses the key only with the test message, and another one can be pasted", async () => {
    const { wrong, good } = sandbox.broker.keys;
    const { result, screen } = await runSetUp({
      home: home.path,
      fetch: (input, init) => {
        const request = new Request(input, init);
        if (request.method === "GET") request.headers.set("authorization", `Bearer ${good}`);
        return fetch(request);
      },
      request: { ...toSandbox(), model: "auto" },
      answers: [
        [/API key/, wrong],
        [/Paste another key\?/, true],
        [/GonkaGate API key/, good],
      ],
    });
    expect(screen).toContain("The API key was refused");
    expect(result?.outcome.reply?.text).toContain("hello");
    expect(await storedKey()).toBe(good);
  });
});

describe("a config that does not load once it is written", () => {
  it("is put back as it was", async () => {
    await writeConfig(sandboxAsGonkaGate());
    // Somebody checks out another branch, agreed to before, while the test message is on its way.
    const breakProject = () => trustedProject("[llm]\nfallback = 1\n");
    const { error } = await runSetUp({
      home: home.path,
      fetch: async (input, init) => {
        if (String(input).endsWith("/chat/completions")) await breakProject();
        return fetch(input, init);
      },
      stdin: sandbox.broker.keys.good,
      request: { broker: "gonkagate", key: { from: "stdin" }, model: "auto" },
    });
    expect(error?.code).toBe("config_invalid");
    expect(await readConfig()).toBe(sandboxAsGonkaGate());
    expect([...(await readAll(dirname(configPath()))).keys()].filter((path) => path.includes("config.toml"))).toEqual([
      configPath(),
    ]);
  });
});

describe("what decides besides the written file", () => {
  it("is told: variables and a project's file", async () => {
    await trustedProject(
      `[[llm.providers]]\ntype = "compatible"\nname = "project"\nbase_url = "http://127.0.0.1:9/v1"\nmodel = "x"\ndefault = true\n`,
    );
    const { result } = await runSetUp({
      home: home.path,
      stdin: sandbox.broker.keys.good,
      request: { ...toSandbox(), key: { from: "stdin" }, model: "auto", makeDefault: true },
    });
    expect(result?.applied.overruled).toEqual(["project is the default here, because of another config file."]);
    const second = await runSetUp({
      home: home.path,
      env: { ZEPH_LLM_MODEL: "sandbox/Tiny-1", XDG_CONFIG_HOME: join(home.path, "other") },
      stdin: sandbox.broker.keys.good,
      request: { ...toSandbox(), key: { from: "stdin" }, model: "auto", output: join(home.path, "own.toml") },
    });
    expect(second.result?.applied.overruled).toEqual([
      "model of gonkagate is sandbox/Tiny-1 here, because of env ZEPH_LLM_MODEL.",
    ]);
  });
});

describe("a config that is there already", () => {
  const other = `# my own words
[agent]
name = "Zeph"

[[llm.providers]] # stays first
type = "compatible"
name = "mingles"
base_url = "https://router.mingles.ai/v1"
model = "a/b"
default = true

[memory]
x = 1 # kept
`;

  it("keeps its other records, comments and unknown sections, with a backup beside it", async () => {
    await writeConfig(other);
    const { result } = await runSetUp({
      home: home.path,
      request: { ...toSandbox(), model: "auto" },
      answers: [
        [/API key/, sandbox.broker.keys.good],
        [/Use gonkagate from now on\? \(now: mingles\)/, false],
      ],
    });
    const text = await readConfig();
    for (const line of other.split("\n")) expect(text).toContain(line);
    expect(text).toContain('name = "gonkagate"');
    expect(text.match(/default = true/g)).toHaveLength(1);
    expect(await readFile(result?.applied.backupPath ?? "", "utf8")).toBe(other);
    expect((await stat(configPath())).mode & 0o777).toBe(0o600);
  });

  it("gives the default to the new record on a yes", async () => {
    await writeConfig(other);
    await runSetUp({
      home: home.path,
      request: { ...toSandbox(), model: "auto" },
      answers: [
        [/API key/, sandbox.broker.keys.good],
        [/Use gonkagate from now on/, true],
      ],
    });
    const text = await readConfig();
    expect(text).toMatch(/name = "mingles"[^[]*default = false/);
    expect(text).toMatch(/name = "gonkagate"[^[]*default = true/);
  });

  it("is the same after the same answers again, and no backup is made", async () => {
    const request = { ...toSandbox(), model: "auto" };
    await runSetUp({ home: home.path, request, answers: [[/API key/, sandbox.broker.keys.good]] });
    const first = await readConfig();
    const { result } = await runSetUp({ home: home.path, request, answers: [[/API key/, "Use the one in the vault"]] });
    expect(await readConfig()).toBe(first);
    expect(result?.applied.backupPath).toBeUndefined();
  });

  it("keeps the fields of its own record that were not asked about", async () => {
    await writeConfig(`[[llm.providers]]
type = "compatible"
name = "gonkagate"
base_url = "${sandbox.broker.baseURL}"
model = "sandbox/thinker-1"
max_tokens = 99 # mine
`);
    const { screen } = await runSetUp({
      home: home.path,
      request: { broker: "gonkagate", model: "auto" },
      answers: [[/API key/, sandbox.broker.keys.good]],
    });
    expect(screen).toContain("is set up already");
    const text = await readConfig();
    expect(text).toContain("max_tokens = 99 # mine");
    expect(text).toContain('model = "sandbox/thinker-1"');
  });

  it("with faults is left as it is, or begun anew after a typed word", async () => {
    const broken = '[[llm.providers]]\ntype = "compatible"\n';
    await writeConfig(broken);
    const refused = await runSetUp({ home: home.path, request: toSandbox(), answers: [[/Type "replace"/, "yes"]] });
    expect(refused.error?.code).toBe("config_invalid");
    expect(await readConfig()).toBe(broken);
    const { result } = await runSetUp({
      home: home.path,
      request: { ...toSandbox(), model: "auto" },
      answers: [
        [/Type "replace"/, "replace"],
        [/API key/, sandbox.broker.keys.good],
      ],
    });
    expect(await readConfig()).toContain('name = "gonkagate"');
    expect(await readFile(result?.applied.backupPath ?? "", "utf8")).toBe(broken);
  });

  const OLD = `# mine
[llm]
provider = "compatible"
[[llm.compatible]]
name = "older"
base_url = "https://older.example/v1"
model = "m" # kept
`;

  it("in the form of old Zeph versions is brought up to date first, and loses nothing", async () => {
    await writeConfig(OLD);
    const { screen, result } = await runSetUp({
      home: home.path,
      request: { ...toSandbox(), model: "auto" },
      answers: [
        [/form of old Zeph versions\. Bring it up to date\?/, true],
        [/API key/, sandbox.broker.keys.good],
        [/Use gonkagate from now on\?/, true],
      ],
    });
    expect(screen).toContain("Set up so far: older (default). All of it is kept.");
    const text = await readConfig();
    expect(text).toContain('model = "m" # kept');
    expect(migrateConfig(text).text).toBe(text);
    expect(result?.applied.providerName).toBe("gonkagate");
  });

  it("in the form of old Zeph versions stays as it is without a yes, and the hint names the command", async () => {
    await writeConfig(OLD);
    const request = { ...toSandbox(), model: "auto", key: { from: "stdin" } } as const;
    const scripted = await runSetUp({ home: home.path, stdin: sandbox.broker.keys.good, request });
    const asked = await runSetUp({ home: home.path, answers: [[/Bring it up to date/, false]] });
    for (const { error } of [scripted, asked]) {
      expect(error).toMatchObject({ code: "config_invalid", hint: expect.stringContaining("zeph config migrate") });
    }
    expect(await readConfig()).toBe(OLD);
    const forced = await runSetUp({
      home: home.path,
      stdin: sandbox.broker.keys.good,
      request: { ...request, force: true },
    });
    expect(forced.error).toBeUndefined();
    expect(await readConfig()).toContain('name = "older"');
  });

  it("with faults stops a run where nobody can be asked", async () => {
    await writeConfig("[[llm.providers]]\n");
    const { error } = await runSetUp({
      home: home.path,
      stdin: sandbox.broker.keys.good,
      request: { ...toSandbox(), model: "auto", key: { from: "stdin" } },
    });
    expect(error?.code).toBe("config_invalid");
    expect([...(await readAll(home.path)).keys()]).toEqual([configPath()]);
  });
});

describe("a custom endpoint", () => {
  it("is asked for address and name, and may not take another's", async () => {
    await writeConfig(`[[llm.providers]]\ntype = "compatible"\nname = "local"\nbase_url = "http://127.0.0.1:9/v1"\n`);
    const { screen } = await runSetUp({
      home: home.path,
      request: { model: "auto", makeDefault: true },
      answers: [
        [/How do you want/, /Compatible/],
        [/Base URL/, "not a url at all"],
        [/Base URL/, sandbox.broker.baseURL.replace("/v1", "/v1/v1/")],
        [/A name for it/, "local"],
        [/A name for it/, "LOCAL"],
        [/A name for it/, ""],
        [/API key for local-2/, sandbox.broker.keys.good],
      ],
    });
    expect(screen).toContain("is used for another endpoint");
    expect(screen).toContain('would share the secret ZEPH_COMPATIBLE_LOCAL_API_KEY with "local"');
    expect(await readConfig()).toContain(`name = "local-2"\nbase_url = "${sandbox.broker.baseURL}"`);
    expect(await storedKey("ZEPH_COMPATIBLE_LOCAL_2_API_KEY")).toBe(sandbox.broker.keys.good);
  });
});

describe("a key where a name or an address belongs", () => {
  const KEYS = [
    "gp-Ab3dEf6hIj9kLm2nOp5q",
    "jg-abcdefghijklmnopqrst",
    "4f".repeat(32),
    "AGE-SECRET-KEY-1QQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQSSSSSSS",
    "legal winner thank year wave sausage worth useful legal winner thank yellow",
    "Ab3dEf6hIj9kLm2nOp5qRs8t",
  ];
  it.each(KEYS)("is no answer to any question that is shown: %s", async (key) => {
    const asks: string[] = [];
    const { screen } = await runSetUp({
      home: home.path,
      request: { makeDefault: true, full: true },
      fetch: (input, init) => {
        asks.push(String(input instanceof Request ? input.url : input));
        return fetch(input, init);
      },
      answers: [
        [/How do you want/, /Compatible/],
        [/Base URL/, key],
        [/Base URL/, `https://${key.replaceAll(" ", "%20")}/v1`],
        [/Base URL/, sandbox.broker.baseURL],
        [/A name for it/, key],
        [/A name for it/, "mine"],
        [/API key for mine/, sandbox.broker.keys.good],
        [/Model/, /Another id/],
        ...(looksPlain(key) ? [] : [[/Model id/, key] as const]),
        [/Model id/, "sandbox/echo-1"],
        ...(looksPlain(key) ? [] : [[/Longest answer/, key] as const]),
        [/Longest answer/, "4096"],
        [/Longest wait/, "120"],
        [/Attempts/, "3"],
        [/Requests at once/, "0"],
      ],
    });
    expect(screen).toContain("This looks like a key, and it is not kept.");
    expect(screen).not.toContain(key);
    expect(asks.every((url) => url.startsWith(sandbox.broker.baseURL))).toBe(true);
    for (const [path, bytes] of await readAll(home.path)) expect([path, bytes.includes(key)]).toEqual([path, false]);
  });
  /** Without a prefix only names and hosts can tell it from an id. */
  const looksPlain = (key: string) => /^Ab3/.test(key);

  it.each(KEYS)("is refused in scripted set-up before anything is asked or written: %s", async (key) => {
    const fields: readonly Partial<InitRequest>[] = [
      { baseURL: `https://${key}` },
      { baseURL: sandbox.broker.baseURL, name: key },
      { broker: key },
      ...(looksPlain(key)
        ? []
        : [
            { broker: "gonkagate", model: key },
            { path: "native" as const, native: { nodes: [key] } },
            { path: "native" as const, native: { nodes: [], sourceUrl: key } },
            { path: "native" as const, native: { nodes: [], keyName: key } },
          ]),
    ];
    for (const request of fields) {
      const { error } = await runSetUp({
        home: home.path,
        request,
        stdin: sandbox.broker.keys.good,
        fetch: async () => expect.fail("something was asked"),
      });
      expect(error?.code).toBe("secret_on_command_line");
      expect(`${error?.message} ${error?.hint}`).not.toContain(key);
    }
    expect(await readAll(home.path)).toEqual(new Map());
  });
});

describe("without a terminal", () => {
  it("names every flag that is missing, and writes nothing", async () => {
    const { error } = await runSetUp({ home: home.path });
    expect(error?.code).toBe("not_interactive");
    expect(error?.detail).toContain("--path");
    expect(error?.detail).toContain("--key-stdin");
    expect(error?.detail).toContain("--model");
    const second = await runSetUp({ home: home.path, request: { broker: "custom" } });
    expect(second.error?.code).toBe("missing_input");
    expect(second.error?.detail).toBe("--base-url URL, --model ID or auto");
    expect(await readAll(home.path)).toEqual(new Map());
  });

  it("asks for a key by flag when there is none", async () => {
    const { error } = await runSetUp({ home: home.path, request: { ...toSandbox(), model: "auto" } });
    expect(error).toMatchObject({ code: "missing_input", detail: "--key-stdin or --key-env NAME" });
    expect(await readAll(home.path)).toEqual(new Map());
  });

  it.each([
    [PRIVATE_KEY, "invalid_api_key", /private key; it was not sent/],
    ["jg-0123456789", "invalid_api_key", /JoinGonka/],
    ["gpm-0123456789", "invalid_api_key", /management/],
  ])("refuses a key that belongs elsewhere, unsent", async (stdin, code, detail) => {
    const before = sandbox.broker.requests.length;
    const { error, screen } = await runSetUp({
      home: home.path,
      stdin,
      request: { ...toSandbox(), model: "auto", key: { from: "stdin" } },
    });
    expect(error?.code).toBe(code);
    expect(error?.detail).toMatch(detail);
    expect(screen).not.toContain(stdin);
    expect(requestsSince(before)).toEqual([]);
  });

  it("ends with the broker's refusal, and nothing is stored", async () => {
    const { error } = await runSetUp({
      home: home.path,
      env: { MY_KEY: sandbox.broker.keys.wrong },
      request: { ...toSandbox(), model: "auto", key: { from: "env", variable: "MY_KEY" } },
    });
    expect(error?.code).toBe("invalid_api_key");
    expect(await readAll(home.path)).toEqual(new Map());
  });

  it("writes where --output says, and says how to use it", async () => {
    const output = join(home.path, "elsewhere", "z.toml");
    const { result } = await runSetUp({
      home: home.path,
      stdin: sandbox.broker.keys.good,
      request: { ...toSandbox(), model: "auto", key: { from: "stdin" }, output },
    });
    expect(result?.applied.configPath).toBe(output);
    expect(result?.facts.isUsualPath).toBe(false);
    expect(await readFile(output, "utf8")).toContain("gonkagate");
  });
});

describe("secrets", () => {
  it("are kept nowhere under the env backend, and the variable is named", async () => {
    const { screen, result } = await runSetUp({
      home: home.path,
      stdin: sandbox.broker.keys.good,
      paths: { vaultBackend: "env" },
      request: { ...toSandbox(), model: "auto", key: { from: "stdin" } },
    });
    expect(screen).toContain(`Set the variable ${SECRET_NAME}`);
    expect(result?.outcome.reply?.text).toContain("hello");
    expect([...(await readAll(home.path)).keys()]).toEqual([configPath()]);
  });

  it("go into a vault with a passphrase that is asked for", async () => {
    await Vault.init({ paths: paths(), passphrase: new Secret("open sesame"), scryptWorkFactor: 10 });
    const { result } = await runSetUp({
      home: home.path,
      passphrase: "open sesame",
      stdin: sandbox.broker.keys.good,
      request: { ...toSandbox(), model: "auto", key: { from: "stdin" } },
    });
    expect(result?.outcome.reply?.text).toContain("hello");
    const vault = await Vault.open({ paths: paths(), passphrase: async () => new Secret("open sesame") });
    expect(vault.names()).toEqual([SECRET_NAME]);
  });

  it("are not put beside half a vault", async () => {
    await Vault.init({ paths: paths() });
    const { unlink } = await import("node:fs/promises");
    await unlink(paths().keyFile);
    const before = await readAll(home.path);
    const { error } = await runSetUp({
      home: home.path,
      stdin: sandbox.broker.keys.good,
      request: { ...toSandbox(), model: "auto", key: { from: "stdin" } },
    });
    expect(error?.code).toBe("vault_not_found");
    expect(await readAll(home.path)).toEqual(before);
  });
});

describe("Ctrl-C", () => {
  it("at any question leaves the config as it was and tells what is stored", async () => {
    await writeConfig(sandboxAsGonkaGate());
    const person = [
      [/How do you want/, /via GonkaGate/],
      [/API key/, sandbox.broker.keys.good],
      [/^Model$/, /echo/],
    ] as const;
    for (const [index, [question]] of person.entries()) {
      const { error } = await runSetUp({
        home: home.path,
        answers: [...person.slice(0, index), [question, CTRL_C]],
      });
      expect(error?.code).toBe("cancelled");
      expect(error?.exitCode).toBe(130);
      expect(await readConfig()).toBe(sandboxAsGonkaGate());
      expect(error?.detail?.includes(SECRET_NAME)).toBe(index === 2);
    }
  });
});
