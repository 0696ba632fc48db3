import { spawn } from "node:child_process";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { type SandboxWithNetwork, startSandbox } from "../../src/sandbox/index.ts";
import { INFERENCED_FOLDER } from "../support/inferenced/inferenced-stand-in.ts";
import { CLI, CTRL_C, DOWN, ENTER, openTerminal, type PseudoTerminal, UP } from "../support/pty.ts";
import { readAll, temporaryHome } from "../support/scripted-init.ts";

// Several processes per test, on machines that may be busy.
vi.setConfig({ testTimeout: 90_000 });

const SECRET_NAME = "ZEPH_COMPATIBLE_GONKAGATE_API_KEY";

let sandbox: SandboxWithNetwork;
let home: Awaited<ReturnType<typeof temporaryHome>>;
const terminals: PseudoTerminal[] = [];

beforeAll(async () => {
  sandbox = await startSandbox({ network: true });
});
afterAll(() => sandbox.stop());
beforeEach(async () => {
  home = await temporaryHome();
});
afterEach(async () => {
  for (const terminal of terminals.splice(0)) terminal.kill();
  sandbox.broker.faults.clear();
  await home.remove();
});

const configPath = () => join(home.path, ".config", "zeph", "config.toml");
const environment = (more: Record<string, string> = {}) => ({ HOME: home.path, PATH: process.env.PATH ?? "", ...more });

/** The only thing that is not as on a fresh machine: the sandbox answers at GonkaGate's address. */
async function putSandboxInPlaceOfGonkaGate(): Promise<void> {
  await mkdir(dirname(configPath()), { recursive: true });
  await writeFile(configPath(), `[[brokers]]\nid = "gonkagate"\nbase_url = "${sandbox.broker.baseURL}"\n`);
}

function open(args: readonly string[], env: Record<string, string> = {}): PseudoTerminal {
  const terminal = openTerminal(args, environment(env));
  terminals.push(terminal);
  return terminal;
}

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function zeph(
  args: readonly string[],
  options: { readonly stdin?: string; readonly env?: Record<string, string> } = {},
) {
  return new Promise<Ended>((resolve, reject) => {
    const child = spawn(process.execPath, [CLI, ...args], { env: environment(options.env), cwd: home.path });
    let stdout = "";
    let stderr = "";
    child.stdout.on("data", (piece) => {
      stdout += piece;
    });
    child.stderr.on("data", (piece) => {
      stderr += piece;
    });
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, stdout, stderr }));
    child.stdin.end(options.stdin ?? "");
  });
}

async function expectSecretOnlyInVault(secret: string, ...texts: readonly string[]): Promise<void> {
  for (const [path, bytes] of await readAll(home.path)) {
    expect(bytes.includes(secret), `${path} holds the secret`).toBe(false);
  }
  for (const text of [...texts, JSON.stringify(sandbox.broker.requests)]) expect(text.includes(secret)).toBe(false);
}

describe("a key that is pasted where an address or a name belongs", () => {
  it("is not shown, not kept, and asked for in its own place", async () => {
    const key = sandbox.broker.keys.good;
    const hex = "4f".repeat(32);
    const terminal = open(["init"]);
    await terminal.waitFor("How do you want to reach the Gonka network?");
    terminal.press(UP + ENTER);
    await terminal.waitFor("Base URL of the endpoint");
    terminal.press(key);
    await terminal.waitFor("•".repeat(8));
    terminal.press(ENTER);
    await terminal.waitFor("This looks like a key");
    terminal.press(`${sandbox.broker.baseURL}${ENTER}`);
    await terminal.waitFor("A name for it");
    terminal.press(hex);
    await terminal.waitFor("•".repeat(8));
    terminal.press("\u0015");
    terminal.press(`mine${ENTER}`);
    await terminal.waitFor("API key for mine");
    terminal.press(`${key}${ENTER}`);
    await terminal.waitFor(/Model[\s\S]*sandbox\/echo-1/);
    terminal.press(ENTER);
    await terminal.waitFor("Ready in");
    expect(await terminal.ended).toBe(0);
    for (const secret of [key, key.slice(0, 10), hex, hex.slice(0, 10)]) expect(terminal.output).not.toContain(secret);
    const config = await readFile(configPath(), "utf8");
    expect(config).toContain(`name = "mine"\nbase_url = "${sandbox.broker.baseURL}"`);
    expect(config).not.toMatch(/•|4f4f/);
  });
});

describe("the stop-watch", () => {
  it("a person pastes a key and has a reply in seconds, and the next process chats", async () => {
    await putSandboxInPlaceOfGonkaGate();
    const { good } = sandbox.broker.keys;
    const startedAtMs = Date.now();
    const terminal = open(["init"]);
    await terminal.waitFor("How do you want to reach the Gonka network?");
    terminal.press(ENTER);
    await terminal.waitFor("GonkaGate API key");
    terminal.press(good);
    await terminal.waitFor("▪".repeat(10));
    // Whoever looks at the process list now sees no key.
    const commandLine = await readFile(`/proc/${terminal.pid}/cmdline`, "utf8").catch(() => "");
    terminal.press(ENTER);
    await terminal.waitFor(/Model[\s\S]*sandbox\/echo-1/);
    terminal.press(ENTER);
    await terminal.waitFor("hello in one short sentence");
    await terminal.waitFor(/Ready in \d+\.\d s/);
    expect(await terminal.ended).toBe(0);
    const seconds = (Date.now() - startedAtMs) / 1000;
    expect(seconds).toBeLessThan(60);

    const ask = await zeph(["ask", "count to 3"]);
    expect(ask).toMatchObject({ code: 0 });
    expect(ask.stdout).toMatch(/1[\s\S]*2[\s\S]*3/);

    expect((await zeph(["vault", "get", SECRET_NAME])).stdout.trim()).toBe(good);
    const json = await zeph(["models", "--json"]);
    await expectSecretOnlyInVault(good, terminal.output, commandLine, ask.stdout, ask.stderr, json.stdout, json.stderr);
    expect(await readFile(configPath(), "utf8")).toContain(`api_key_env = "${SECRET_NAME}"`);
  });

  it("a first day: zeph alone sets up and chats, goes on later, answers a question in quotes, and knows what it took", async () => {
    await putSandboxInPlaceOfGonkaGate();
    const terminal = open([]);
    await terminal.waitFor("zeph is not set up yet.");
    await terminal.waitFor("How do you want to reach the Gonka network?");
    terminal.press(ENTER);
    await terminal.waitFor("GonkaGate API key");
    terminal.press(sandbox.broker.keys.good + ENTER);
    await terminal.waitFor(/Model[\s\S]*sandbox\/echo-1/);
    terminal.press(ENTER);
    await terminal.waitFor("Ready in");
    await terminal.waitFor("› ");
    terminal.press(`my name is Ada${ENTER}`);
    await terminal.waitFor(/\d+ out · /);
    await terminal.waitFor("› ");
    terminal.press("\u0004");
    expect(await terminal.ended).toBe(0);

    const again = open(["--continue"]);
    await again.waitFor("Going on with my name is Ada");
    await again.waitFor("› ");
    again.press(`/copy${ENTER}`);
    await again.waitFor("The answer went to your terminal's clipboard");
    await again.waitFor("› ");
    again.press(`/undo${ENTER}`);
    await again.waitFor("Taken back: my name is Ada");
    await again.waitFor("› ");
    again.press("\u0004");
    expect(await again.ended).toBe(0);
    expect(again.output).toContain("\u001b]52;c;");
    expect((await zeph(["chats"])).stderr).toContain("No conversation is kept yet.");

    expect(await zeph(["why is the sky blue?"])).toMatchObject({ code: 0, stdout: expect.stringContaining("blue?") });
    const { data } = JSON.parse((await zeph(["usage", "--json"])).stdout);
    expect(data.models).toMatchObject([{ provider: "gonkagate", model: "sandbox/echo-1", answers: 2 }]);
    expect(data.total.costUsd).toBeGreaterThan(0);
    const set = await zeph(["vault", "set", "ANOTHER"], { stdin: "piped-secret-value\n" });
    expect(set).toMatchObject({ code: 0 });
    expect((await zeph(["vault", "get", "ANOTHER"])).stdout).toBe("piped-secret-value\n");
  });

  it("takes a wrong key twice, and the right one then", async () => {
    await putSandboxInPlaceOfGonkaGate();
    const { wrong, disabled, good } = sandbox.broker.keys;
    const terminal = open(["init", "--broker", "gonkagate"]);
    for (const key of [wrong, disabled]) {
      await terminal.waitFor("GonkaGate API key");
      terminal.press(`${key}${ENTER}`);
      await terminal.waitFor("try once more");
    }
    await terminal.waitFor("GonkaGate API key");
    terminal.press(`${good}${ENTER}`);
    await terminal.waitFor(/Model[\s\S]*sandbox\/echo-1/);
    terminal.press(ENTER);
    await terminal.waitFor("Ready in");
    expect(await terminal.ended).toBe(0);
    for (const key of [wrong, disabled, good]) await expectSecretOnlyInVault(key, terminal.output);
  });

  it("keeps a private key from the broker", async () => {
    await putSandboxInPlaceOfGonkaGate();
    const before = sandbox.broker.requests.length;
    const key = "ab".repeat(32);
    const terminal = open(["init", "--broker", "gonkagate"]);
    await terminal.waitFor("GonkaGate API key");
    terminal.press(`${key}${ENTER}`);
    await terminal.waitFor("Set up signed requests (native) with it instead?");
    terminal.press(CTRL_C);
    expect(await terminal.ended).toBe(130);
    expect(sandbox.broker.requests).toHaveLength(before);
    await expectSecretOnlyInVault(key, terminal.output);
  });
});

describe("Ctrl-C", () => {
  it("at a question leaves nothing behind and ends with 130", async () => {
    const terminal = open(["init"]);
    await terminal.waitFor("How do you want to reach the Gonka network?");
    terminal.press(ENTER);
    await terminal.waitFor("GonkaGate API key");
    terminal.press(`gp-half${CTRL_C}`);
    expect(await terminal.ended).toBe(130);
    expect(terminal.screen).toContain("the config is as it was");
    expect(await readAll(home.path)).toEqual(new Map());
  });

  it("while the network is waited for does the same", async () => {
    sandbox.broker.faults.always({ kind: "hang", on: "/models" });
    const terminal = open(["init", "--broker", "gonkagate", "--base-url", sandbox.broker.baseURL]);
    await terminal.waitFor("GonkaGate API key");
    terminal.press(`${sandbox.broker.keys.good}${ENTER}`);
    await terminal.waitFor(/Checking the key … \d/);
    terminal.press(CTRL_C);
    expect(await terminal.ended).toBe(130);
    expect(await readAll(home.path)).toEqual(new Map());
  });

  it("at the model tells what the vault holds", async () => {
    const terminal = open(["init", "--broker", "gonkagate", "--base-url", sandbox.broker.baseURL]);
    await terminal.waitFor("GonkaGate API key");
    terminal.press(`${sandbox.broker.keys.good}${ENTER}`);
    await terminal.waitFor(/Model[\s\S]*sandbox\/echo-1/);
    terminal.press(CTRL_C);
    expect(await terminal.ended).toBe(130);
    expect(terminal.screen).toContain(`zeph vault rm ${SECRET_NAME}`);
    expect([...(await readAll(home.path)).keys()].some((path) => path.endsWith(".toml"))).toBe(false);
    await expectSecretOnlyInVault(sandbox.broker.keys.good, terminal.output);
  });
});

describe("without a terminal", () => {
  const flags = () => ["--broker", "gonkagate", "--base-url", sandbox.broker.baseURL, "--model", "auto"];

  it("does everything from flags and tells it as JSON", async () => {
    const { good } = sandbox.broker.keys;
    const ended = await zeph(["init", "--yes", ...flags(), "--key-stdin", "--json"], { stdin: `${good}\n` });
    expect(ended.code).toBe(0);
    expect(JSON.parse(ended.stdout)).toMatchObject({
      ok: true,
      data: {
        path: "gateway",
        provider: "gonkagate",
        isDefault: true,
        model: "sandbox/echo-1",
        configPath: configPath(),
        vault: { backend: "age", secrets: [SECRET_NAME] },
        test: { text: expect.stringContaining("hello") },
      },
    });
    await expectSecretOnlyInVault(good, ended.stdout, ended.stderr);
    expect((await zeph(["ask", "hello"])).code).toBe(0);
  });

  it("takes the key from a variable", async () => {
    const env = { MY_KEY: sandbox.broker.keys.good };
    const ended = await zeph(["init", "--yes", ...flags(), "--key-env", "MY_KEY"], { env });
    expect(ended.code).toBe(0);
    expect(ended.stderr).toContain("hello in one short sentence");
    expect(ended.stdout).toBe("");
  });

  it("says what is missing, and writes nothing", async () => {
    const ended = await zeph(["init"]);
    expect(ended.code).toBe(2);
    expect(ended.stderr).toContain("--key-stdin");
    expect(await readAll(home.path)).toEqual(new Map());
  });

  it.each([[["--api-key", "SECRET"]], [["--key=SECRET"]], [["--name", "SECRET"]]])(
    "refuses a key as an argument: %j",
    async (args) => {
      const { good } = sandbox.broker.keys;
      const ended = await zeph(["init", "--yes", ...flags(), ...args.map((arg) => arg.replace("SECRET", good))]);
      expect(ended.code).toBe(2);
      expect(ended.stderr).toContain("--key-stdin");
      expect(ended.stdout + ended.stderr).not.toContain(good);
      expect(await readAll(home.path)).toEqual(new Map());
    },
  );
});

describe("the native branch", () => {
  it("makes a key with inferenced at the user's terminal, and ends with a signed reply", async () => {
    const env = {
      PATH: `${INFERENCED_FOLDER}:${process.env.PATH}`,
      GONKA_SOURCE_URL: sandbox.network.sourceUrl,
      STANDIN_INFERENCED_PASSPHRASE: "open sesame",
    };
    const terminal = open(["init"], env);
    await terminal.waitFor("How do you want to reach the Gonka network?");
    terminal.press(`${DOWN}${DOWN}${ENTER}`);
    await terminal.waitFor(/Which network\?[\s\S]*from GONKA_SOURCE_URL/);
    terminal.press(ENTER);
    await terminal.waitFor(/Where is your private key\?[\s\S]*A key of inferenced/);
    terminal.press(ENTER);
    await terminal.waitFor(/Which keyring backend\?[\s\S]*file/);
    terminal.press(`${UP}${ENTER}`);
    await terminal.waitFor("Enter keyring passphrase (attempt 1/3):");
    terminal.press("open sesame\r");
    await terminal.waitFor("Re-enter keyring passphrase:");
    terminal.press("open sesame\r");
    await terminal.waitFor(/no key yet[\s\S]*Make a new one/);
    terminal.press(ENTER);
    await terminal.waitFor("New key name");
    terminal.press(ENTER);
    await terminal.waitFor("Enter keyring passphrase");
    terminal.press("open sesame\r");
    await terminal.waitFor("Re-enter keyring passphrase:");
    terminal.press("open sesame\r");
    await terminal.waitFor("Important** write this mnemonic phrase");
    for (const _ of ["show", "export"]) {
      await terminal.waitFor("Enter keyring passphrase");
      terminal.press("open sesame\r");
    }
    await terminal.waitFor(/Is gonka1\w{38} your account\?/);
    const keyring = JSON.parse(await readFile(join(home.path, ".inference", "keyring-file.json"), "utf8"));
    const { privateKeyHex, address } = keyring[0];
    terminal.press(ENTER);
    await terminal.waitFor(/does not know gonka1[\s\S]*What now\?/);
    expect(sandbox.network.createAccount({ privateKeyHex }).address).toBe(address);
    terminal.press(ENTER);
    await terminal.waitFor("1000 GNK");
    await terminal.waitFor(/Model[\s\S]*sandbox\/echo-1/);
    terminal.press(ENTER);
    await terminal.waitFor("hello in one short sentence");
    await terminal.waitFor("Ready in");
    expect(await terminal.ended).toBe(0);

    expect(terminal.output).not.toContain(privateKeyHex);
    for (const [path, bytes] of await readAll(join(home.path, ".config"))) {
      expect(bytes.includes(privateKeyHex), path).toBe(false);
    }
    expect((await zeph(["vault", "get", "ZEPH_GONKA_ADDRESS"])).stdout.trim()).toBe(address);
    expect((await zeph(["vault", "get", "ZEPH_GONKA_PRIVATE_KEY"])).stdout.trim()).toBe(privateKeyHex);
    const ask = await zeph(["ask", "count to 3"]);
    expect(ask.stdout).toMatch(/1[\s\S]*2[\s\S]*3/);
    expect(sandbox.network.violations).toEqual([]);
  });

  it("runs from flags", async () => {
    const { privateKeyHex, address } = sandbox.network.createAccount();
    const flags = ["--path", "native", "--source-url", sandbox.network.sourceUrl, "--model", "auto"];
    const ended = await zeph(["init", "--yes", ...flags, "--key-stdin", "--expect-address", address, "--json"], {
      stdin: privateKeyHex,
    });
    expect(ended.code).toBe(0);
    expect(JSON.parse(ended.stdout)).toMatchObject({ data: { path: "native", address, isDefault: true } });
    await expectSecretOnlyInVault(privateKeyHex, ended.stdout, ended.stderr);
    expect((await zeph(["ask", "hello"])).code).toBe(0);
  });
});
