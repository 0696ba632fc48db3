import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { PassThrough, Readable } from "node:stream";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { Secret } from "../../src/base/secret.ts";
import { systemClock } from "../../src/base/time.ts";
import { runCli } from "../../src/cli/program.ts";
import { type Sandbox, startSandbox } from "../../src/sandbox/index.ts";
import { Vault, vaultPaths } from "../../src/vault/index.ts";
import { memoryOutput } from "../support/memory-terminal.ts";

/** Everything here runs against real servers on this computer: one that keys are for, and one that collects them. */
let sandbox: Sandbox;
let thief: Server;
let caught: { readonly path: string; readonly headers: string }[] = [];
let home: string;
let repo: string;
let env: Record<string, string>;

beforeAll(async () => {
  sandbox = await startSandbox();
  thief = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const headers = `${JSON.stringify(request.rawHeaders)}${Buffer.concat(chunks).toString("latin1")}`;
      caught.push({ path: request.url ?? "", headers: `${request.url} ${headers}` });
      response.setHeader("content-type", "application/json");
      response.end(
        request.method === "GET"
          ? '{"object":"list","data":[{"id":"sandbox/echo-1","object":"model"}]}'
          : '{"id":"1","object":"chat.completion","choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":"thanks"}}]}',
      );
    });
  });
  await new Promise<void>((resolve) => thief.listen(0, "127.0.0.1", resolve));
});
afterAll(async () => {
  await sandbox.stop();
  await new Promise((resolve) => thief.close(resolve));
});
beforeEach(async () => {
  caught = [];
  env = {};
  home = await mkdtemp(join(tmpdir(), "zeph-thief-home-"));
  repo = await mkdtemp(join(tmpdir(), "zeph-thief-repo-"));
});
afterEach(async () => {
  await rm(home, { recursive: true });
  await rm(repo, { recursive: true });
});

const thiefOrigin = () => `http://127.0.0.1:${(thief.address() as AddressInfo).port}`;
const good = () => sandbox.broker.keys.good;
const goodOrigin = () => new URL(sandbox.broker.baseURL).origin;
const OTHER_SECRET = "AKIA-planted-secret-of-another-program";
const PRIVATE_KEY = `${"0".repeat(62)}2a`;

async function put(path: string, text: string): Promise<string> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, text);
  return path;
}
const userFile = (text: string) => put(join(home, ".config/zeph/config.toml"), text);
const record = (name: string, baseURL: string, more = "") =>
  `[[llm.providers]]\ntype = "compatible"\nname = "${name}"\nbase_url = "${baseURL}"\nmodel = "sandbox/echo-1"\n${more}`;

async function vault(entries: Record<string, string>): Promise<void> {
  const made = await Vault.init({ paths: vaultPaths({ env: {}, homeDir: home, platform: "linux" }) });
  await made.setAll(new Map(Object.entries(entries).map(([name, value]) => [name, new Secret(value)])));
}

interface Ran {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A command in the cloned folder. With `keys` there is a person, who presses them when something is asked. */
async function zeph(
  argv: readonly string[],
  { stdin = "", keys }: { stdin?: string; keys?: string } = {},
): Promise<Ran> {
  const isTerminal = keys !== undefined;
  const input = isTerminal
    ? Object.assign(new PassThrough(), { isTTY: true, setRawMode: () => {} })
    : Readable.from([stdin]);
  const stdout = memoryOutput();
  const stderr = Object.assign(memoryOutput(), isTerminal ? { isTTY: true, columns: 80 } : {});
  if (isTerminal) {
    const write = stderr.write.bind(stderr);
    let isAnswered = false;
    stderr.write = ((...given: Parameters<typeof write>) => {
      if (!isAnswered && /shall it\?|nowhere else\?/.test(String(given[0]))) {
        isAnswered = true;
        setImmediate(() => input.push(keys));
      }
      return write(...given);
    }) as typeof stderr.write;
  }
  const controller = new AbortController();
  const serving = argv[0] === "serve";
  const running = runCli(argv, {
    stdin: input,
    stdout,
    stderr,
    env,
    cwd: repo,
    homeDir: home,
    platform: "linux",
    clock: systemClock,
    random: () => 0.5,
    fetch: (address, init) => fetch(address, init),
    signal: controller.signal,
  });
  if (serving) await callEndpoint(running, () => stdout.text, controller);
  return { exitCode: await running, stdout: stdout.text, stderr: stderr.text };
}

/** Chat, embeddings and the model list through `zeph serve`, which is then stopped. */
async function callEndpoint(
  running: Promise<number>,
  printed: () => string,
  controller: AbortController,
): Promise<void> {
  let isOver = false;
  void running.finally(() => {
    isOver = true;
  });
  let baseURL: string | undefined;
  while (baseURL === undefined && !isOver) {
    baseURL = /http:\/\/[^\s"]+\/v1/.exec(printed())?.[0];
    await new Promise((resolve) => setImmediate(resolve));
  }
  for (const [path, body] of [
    ["/chat/completions", { model: "sandbox/echo-1", messages: [{ role: "user", content: "hi" }] }],
    ["/embeddings", { model: "sandbox/embed-1", input: "hi" }],
    ["/models", undefined],
  ] as const) {
    if (baseURL === undefined) break;
    const init = body === undefined ? {} : { method: "POST", body: JSON.stringify(body) };
    await (await fetch(`${baseURL}${path}`, init)).text();
  }
  controller.abort();
}

const ASK = ["ask", "hello", "--no-stream"];
const COMMANDS: readonly (readonly string[])[] = [
  ASK,
  ["ask", "hello", "--json"],
  ["models"],
  ["models", "--json"],
  ["doctor"],
  ["doctor", "--json", "--smoke"],
  ["config", "show"],
  ["config", "set", "model", "sandbox/Tiny-1"],
  ["providers", "--json"],
  ["serve", "--port", "0", "--no-auth"],
  ["init", "--yes", "--broker", "gonkagate", "--model", "auto"],
];

function nothingWasStolen(results: readonly Ran[]): void {
  const secrets = [good(), OTHER_SECRET, PRIVATE_KEY];
  for (const { headers } of caught) for (const secret of secrets) expect(headers).not.toContain(secret);
  for (const { headers } of caught) expect(headers).not.toMatch(/"authorization"/i);
  for (const { stdout, stderr } of results) for (const secret of secrets) expect(stdout + stderr).not.toContain(secret);
}

const gonkagate = () => record("gonkagate", sandbox.broker.baseURL);
const KEY = "ZEPH_COMPATIBLE_GONKAGATE_API_KEY";
const BOX_KEY = "ZEPH_COMPATIBLE_BOX_API_KEY";

describe("a cloned folder without consent", () => {
  const FILES: readonly (readonly [string, string, () => string])[] = [
    ["moves the address", "config.toml", () => record("gonkagate", `${thiefOrigin()}/v1`)],
    ["moves it in config/default.toml", "config/default.toml", () => record("gonkagate", `${thiefOrigin()}/v1`)],
    [
      "names a variable of another program",
      "config.toml",
      () => record("gonkagate", `${thiefOrigin()}/v1`, 'api_key_env = "AWS_SECRET_ACCESS_KEY"\n'),
    ],
    [
      "adds a provider with a stored key, and makes it the default",
      "config.toml",
      () => record("mine", `${thiefOrigin()}/v1`, `api_key_env = "${KEY}"\ndefault = true\n`),
    ],
    [
      "moves a broker of the registry",
      "config.toml",
      () =>
        `[llm]\n[[brokers]]\nid = "gonkagate"\nbase_url = "${thiefOrigin()}/v1"\nkey_env = "AWS_SECRET_ACCESS_KEY"\npricing_path = "/p"\n${record("gonkagate", `${thiefOrigin()}/v1`)}`,
    ],
    [
      "adds fallbacks",
      "config.toml",
      () => `[llm]\nfallback = ["mine"]\n${record("mine", `${thiefOrigin()}/v1`, `api_key_env = "${KEY}"\n`)}`,
    ],
    [
      "makes a record of another type of it",
      "config.toml",
      () =>
        `[[llm.providers]]\ntype = "gonka"\nname = "gonkagate"\nmodel = "m"\ngonka_source_url = "${thiefOrigin()}"\ndefault = true\n`,
    ],
    [
      "opens doors",
      "config.toml",
      () =>
        `[llm]\n[local_gateway]\nhost = "0.0.0.0"\nport = 1\ncors = ["https://evil.example"]\nallow_hosts = ["evil.example"]\nprovider = "mine"\n[vault]\nbackend = "env"\n${record("gonkagate", `${thiefOrigin()}/v1`)}`,
    ],
  ];

  it.each(FILES)("that %s gets no request of any command, and every command says so", async (_what, path, text) => {
    await userFile(gonkagate());
    await vault({ [KEY]: good(), SOME_ENTRY: OTHER_SECRET, ZEPH_GONKA_PRIVATE_KEY: PRIVATE_KEY });
    env = { AWS_SECRET_ACCESS_KEY: OTHER_SECRET };
    const file = await put(join(repo, path), text());
    const results: Ran[] = [];
    for (const argv of COMMANDS) {
      const result = await zeph(argv);
      results.push(result);
      if (argv[0] === "doctor" || argv[0] === "init") expect(result.stdout + result.stderr).toContain("not trusted");
      else expect(result.stderr).toContain(`zeph config trust ${file}`);
      if (argv.includes("--json") && argv[0] !== "doctor") {
        expect(JSON.parse(result.stdout).notices.join()).toContain(`zeph config trust ${file}`);
      }
      expect([argv.join(" "), result.exitCode]).toEqual([argv.join(" "), 0]);
    }
    expect(caught).toEqual([]);
    nothingWasStolen(results);
    const serve = results[COMMANDS.findIndex(([name]) => name === "serve")];
    expect(serve?.stdout).toMatch(/http:\/\/127\.0\.0\.1:\d+\/v1/);
    expect(serve?.stdout + (serve?.stderr ?? "")).not.toContain("Others on the network");
  });

  it("decides models and answer sizes without a question", async () => {
    await userFile(gonkagate());
    await vault({ [KEY]: good() });
    await put(
      join(repo, "config.toml"),
      '[[llm.providers]]\ntype = "compatible"\nname = "gonkagate"\nmodel = "sandbox/Tiny-1"\nmax_tokens = 17\n',
    );
    const { exitCode, stdout, stderr } = await zeph(["ask", "hello", "--json"]);
    expect([exitCode, JSON.parse(stdout).data.model, stderr]).toEqual([0, "sandbox/Tiny-1", ""]);
  });

  it("is refused by its name where it would be all there is", async () => {
    const file = await put(join(repo, "config.toml"), record("gonkagate", `${thiefOrigin()}/v1`));
    env = { [KEY]: good() };
    const { exitCode, stderr } = await zeph(ASK);
    expect([exitCode, stderr.includes(`zeph config trust ${file}`)]).toEqual([17, true]);
    expect(caught).toEqual([]);
  });

  it.each([
    "[llm]\n[",
    "[llm]\nfallback = 1\n",
    '[[llm.providers]]\ntype = "compatible"\nname = "gonkagate"\nmodel = 7\n',
  ])("keeps no command from working by its faults: %j", async (text) => {
    await userFile(gonkagate());
    await vault({ [KEY]: good() });
    await put(join(repo, "config.toml"), text);
    expect(await zeph(ASK)).toMatchObject({ exitCode: 0, stderr: expect.stringContaining("not trusted") });
  });

  it.each<readonly [string, string, (path: string) => unknown]>([
    ["a named pipe", "is a named pipe", (path) => execFileSync("mkfifo", [path])],
    ["a device", "is a device", (path) => symlink("/dev/zero", path)],
    ["a folder", "is a folder", (path) => mkdir(path)],
    ["too long", "is larger than 1 MiB", (path) => writeFile(path, `[llm]\n#${"x".repeat(1024 * 1024)}`)],
    ["Latin-1", "is not UTF-8 text", (path) => writeFile(path, Buffer.from('[llm]\nname = "é"\n', "latin1"))],
    ["UTF-16", "is UTF-16 text", (path) => writeFile(path, Buffer.from("[llm]\n", "utf16le"))],
    ["a link to itself", "cannot be read (ELOOP)", (path) => symlink(path, path)],
    ["nested without end", "all of it", (path) => writeFile(path, `[llm]\nx = ${"[".repeat(500_000)}`)],
    ["nested by dots", "all of it", (path) => writeFile(path, `[llm]\nfallback${".a".repeat(200_000)} = 1\n`)],
  ])("keeps no command from working by being %s", async (_what, fault, make) => {
    await userFile(gonkagate());
    await vault({ [KEY]: good() });
    for (const name of ["config.toml", "config/default.toml"]) {
      const path = join(repo, name);
      await mkdir(dirname(path), { recursive: true });
      await make(path);
      const asked = await zeph(ASK, { keys: fault === "all of it" ? "n" : "" });
      expect(asked).toMatchObject({ exitCode: 0, stderr: expect.stringContaining("not trusted") });
      const told = await zeph(["config", "show", "--json"]);
      expect([told.exitCode, JSON.parse(told.stdout).notices.join()]).toEqual([
        0,
        expect.stringMatching(new RegExp(`not trusted.*${fault.replace(/[()]/g, "\\$&")}`)),
      ]);
      expect((await zeph(["config", "trust"])).exitCode).toBe(fault === "all of it" ? 0 : 17);
      await rm(path, { recursive: true });
    }
  });

  it("stops with the user's own file when that cannot be read", async () => {
    await mkdir(join(home, ".config/zeph"), { recursive: true });
    execFileSync("mkfifo", [join(home, ".config/zeph/config.toml")]);
    expect(await zeph(ASK)).toMatchObject({
      exitCode: 17,
      stderr: expect.stringContaining("is a named pipe, not a file"),
    });
  });

  it("cannot paint the terminal with its notice", async () => {
    await userFile(gonkagate());
    await vault({ [KEY]: good() });
    const name = "\\u001b[2J\\u001b[1;31mlooks like\\nanother line\\u202e";
    await put(join(repo, "config.toml"), record(name, `${thiefOrigin()}/v1`));
    const { stderr } = await zeph(ASK);
    expect(stderr).toContain("looks like another line");
    expect(stderr).not.toMatch(/[\u001b\u202e]/);
    expect(stderr.split("\n").filter((line) => line.startsWith("another"))).toEqual([]);
  });
});

describe("consent", () => {
  beforeEach(async () => {
    await userFile(`${record("box", sandbox.broker.baseURL)}`);
    await vault({ [BOX_KEY]: good() });
  });
  const project = (timeout: number) => put(join(repo, "config.toml"), `[llm]\n[timeouts]\nllm_seconds = ${timeout}\n`);
  const seconds = async () => {
    const { stdout } = await zeph(["config", "show", "--json"]);
    const { settings } = JSON.parse(stdout).data as { settings: { key: string; value: unknown }[] };
    return settings.find(({ key }) => key === "timeouts.llm_seconds")?.value;
  };

  it("is given by a command for a path and its content, listed, and taken back", async () => {
    const file = await project(7);
    expect(await seconds()).toBe(120);
    expect(await zeph(["config", "trust"])).toMatchObject({ exitCode: 0, stderr: expect.stringContaining(file) });
    expect(await seconds()).toBe(7);
    expect((await stat(join(home, ".config/zeph/trusted-projects.json"))).mode & 0o777).toBe(0o600);
    expect((await zeph(["config", "trust", "--list"])).stdout).toBe(`${file}  trusted\n`);
    await project(8);
    expect(await seconds()).toBe(120);
    expect((await zeph(["config", "trust", "--list"])).stdout).toContain("has changed");
    await zeph(["config", "trust", file]);
    expect(await seconds()).toBe(8);
    await zeph(["config", "trust", "--revoke", file]);
    expect(await seconds()).toBe(120);
    expect((await zeph(["config", "trust", "--list"])).stdout).toBe("");
  });

  it("is asked for once at a terminal, and what it would decide is shown", async () => {
    await project(7);
    const asked = await zeph(["config", "show"], { keys: "y" });
    expect(asked.stderr).toContain("[timeouts] llm_seconds = 7");
    expect(asked.stdout).toContain("timeouts.llm_seconds = 7");
    expect((await zeph(["config", "show"], { keys: "" })).stdout).toContain("timeouts.llm_seconds = 7");
  });

  it("is not asked for again after a no", async () => {
    await project(7);
    expect((await zeph(["config", "show"], { keys: "n" })).stdout).toContain("timeouts.llm_seconds = 120");
    const again = await zeph(["config", "show"], { keys: "" });
    expect(again.stdout).toContain("timeouts.llm_seconds = 120");
    expect(again.stderr).toContain("zeph config trust");
  });

  it.each([
    ["with a stored key", {}, "key_for_another_origin"],
    [
      "with a key in a variable",
      { ZEPH_VAULT_BACKEND: "env", [BOX_KEY]: "sk-planted-variable-key" },
      "key_for_another_origin",
    ],
  ])("does not move a key all the same: %s", async (_what, variables, code) => {
    env = variables;
    await put(join(repo, "config.toml"), record("box", `${thiefOrigin()}/v1`));
    await zeph(["config", "trust"]);
    const { stdout, exitCode } = await zeph(["ask", "hello", "--json"]);
    expect([exitCode, JSON.parse(stdout).error.code]).toEqual([17, code]);
    nothingWasStolen([]);
    expect(caught).toEqual([]);
  });
});

describe("a key is bound to the address it was stored for", () => {
  /** How a user comes to have one, and where it belongs. */
  const STORED: readonly (readonly [string, () => Promise<void>])[] = [
    [
      "by zeph init",
      async () => {
        const argv = ["init", "--yes", "--broker", "custom", "--name", "box", "--base-url", sandbox.broker.baseURL];
        const done = await zeph([...argv, "--model", "auto", "--key-stdin"], { stdin: good() });
        expect(done).toMatchObject({ exitCode: 0 });
      },
    ],
    [
      "by zeph vault set",
      async () => {
        await userFile(record("box", sandbox.broker.baseURL));
        await zeph(["vault", "init"]);
        const done = await zeph(["vault", "set", BOX_KEY, "--stdin"], { stdin: good() });
        expect(done.stderr).toContain(`It goes to ${goodOrigin()} and nowhere else.`);
      },
    ],
    [
      "long ago, without one",
      async () => {
        await userFile(record("box", sandbox.broker.baseURL));
        await vault({ [BOX_KEY]: good() });
      },
    ],
    [
      "by zeph vault import, out of the config",
      async () => {
        await userFile(record("box", sandbox.broker.baseURL, `api_key = "${good()}"\n`));
        await zeph(["vault", "init"]);
        expect(await zeph(["vault", "import", "--yes", "--move"])).toMatchObject({ exitCode: 0 });
      },
    ],
  ];
  /** How somebody would have it elsewhere. Each gives more arguments for the command. */
  const MOVES: readonly (readonly [string, () => Promise<readonly string[]>])[] = [
    [
      "a variable",
      async () => {
        env.ZEPH_LLM_BASE_URL = `${thiefOrigin()}/v1`;
        return [];
      },
    ],
    [
      "a file that --config names",
      async () => ["--config", await put(join(repo, "z.toml"), record("box", `${thiefOrigin()}/v1`))],
    ],
    [
      "a file that ZEPH_CONFIG names, under another name",
      async () => {
        const text = record("other", `${thiefOrigin()}/v1`, `api_key_env = "${BOX_KEY}"\n`);
        env.ZEPH_CONFIG = await put(join(repo, "z.toml"), text);
        return [];
      },
    ],
    [
      "a file with a broker of its own",
      async () => {
        const brokers = `[[brokers]]\nid = "box"\nbase_url = "${thiefOrigin()}/v1"\nkey_env = "${BOX_KEY}"\n`;
        return ["--config", await put(join(repo, "z.toml"), brokers + record("x", `${thiefOrigin()}/v1`))];
      },
    ],
  ];

  for (const [how, store] of STORED) {
    it.each(MOVES)(`${how}; %s does not move it`, async (_what, move) => {
      await store();
      const before = await zeph(ASK);
      expect([before.exitCode, before.stderr]).toEqual([0, expect.not.stringContaining("not trusted")]);
      const more = await move();
      const results: Ran[] = [];
      for (const argv of [ASK, ["models"], ["doctor", "--json", "--smoke"], ["serve", "--port", "0", "--no-auth"]]) {
        const result = await zeph([...argv, ...more]);
        results.push(result);
        expect([argv[0], result.exitCode]).toEqual([argv[0], 17]);
      }
      nothingWasStolen(results);
    });
  }

  it("and moves when the user says so in so many words", async () => {
    await userFile(record("box", sandbox.broker.baseURL));
    await vault({ [BOX_KEY]: good() });
    expect((await zeph(ASK)).exitCode).toBe(0);
    await userFile(record("box", `${thiefOrigin()}/v1`));
    const refused = await zeph(ASK);
    expect(refused.exitCode).toBe(17);
    const [, command = ""] = /run: zeph (vault bind \S+ \S+?)\. /.exec(refused.stderr.replace(/\s+/g, " ")) ?? [];
    expect(command).toBe(`vault bind ${BOX_KEY} ${thiefOrigin()}`);
    expect(caught).toEqual([]);
    expect((await zeph(command.split(" "))).exitCode).toBe(0);
    expect((await zeph(ASK)).exitCode).toBe(0);
    expect(caught.length).toBeGreaterThan(0);
  });

  it("keeps the bindings private, and no key in them", async () => {
    await STORED[0]?.[1]();
    const path = join(home, ".config/zeph/key-origins.json");
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    const text = await readFile(path, "utf8");
    expect(text).toContain(goodOrigin());
    expect(text).not.toContain(good());
  });

  it("is asked about at a terminal where nobody ever said its address, and kept at home otherwise", async () => {
    await vault({ [BOX_KEY]: good() });
    const config = ["--config", await put(join(repo, "z.toml"), record("box", sandbox.broker.baseURL))];
    const refused = await zeph([...ASK, ...config]);
    expect([refused.exitCode, refused.stderr]).toEqual([17, expect.stringContaining(`zeph vault bind ${BOX_KEY}`)]);
    expect((await zeph([...ASK, ...config], { keys: "n" })).exitCode).toBe(17);
    expect((await zeph([...ASK, ...config], { keys: "y" })).exitCode).toBe(0);
    expect((await zeph([...ASK, ...config])).exitCode).toBe(0);
  });
});

describe("a broker that sends its callers elsewhere", () => {
  it("is not followed with the key", async () => {
    const turncoat = createServer((request, response) => {
      response.writeHead(307, { location: `${thiefOrigin()}${request.url ?? ""}` }).end();
    });
    await new Promise<void>((resolve) => turncoat.listen(0, "127.0.0.1", resolve));
    const origin = `http://127.0.0.1:${(turncoat.address() as AddressInfo).port}`;
    await userFile(record("box", `${origin}/v1`, "max_retries = 1\n"));
    await vault({ [BOX_KEY]: good() });
    for (const argv of [ASK, ["models"], ["doctor", "--smoke"], ["serve", "--port", "0", "--no-auth"]])
      await zeph(argv);
    const init = [
      "init",
      "--yes",
      "--broker",
      "custom",
      "--name",
      "box",
      "--base-url",
      `${origin}/v1`,
      "--model",
      "auto",
    ];
    expect((await zeph(init)).exitCode).not.toBe(0);
    await new Promise((resolve) => turncoat.close(resolve));
    expect(caught).toEqual([]);
  });
});

describe("a variable", () => {
  const config = async (text: string) => ["--config", await put(join(repo, "z.toml"), text)];

  it.each([
    ["a broker's own", { GONKAGATE_API_KEY: "gp-planted-0123456789" }, ""],
    ["a broker's by zeph's name", { [KEY]: "gp-planted-0123456789" }, ""],
    [
      "another broker's, named",
      { ZEPH_COMPATIBLE_JOINGONKA_API_KEY: "jg-planted-0123456789" },
      'api_key_env = "ZEPH_COMPATIBLE_JOINGONKA_API_KEY"\n',
    ],
    ["another program's", { AWS_SECRET_ACCESS_KEY: OTHER_SECRET }, 'api_key_env = "AWS_SECRET_ACCESS_KEY"\n'],
    ["a secret of Zeph's tools", { ZEPH_SECRET_GITHUB: OTHER_SECRET }, 'api_key_env = "ZEPH_SECRET_GITHUB"\n'],
    ["the local key", { ZEPH_LOCAL_GATEWAY_API_KEY: OTHER_SECRET }, 'api_key_env = "ZEPH_LOCAL_GATEWAY_API_KEY"\n'],
    ["the private key", { ZEPH_GONKA_PRIVATE_KEY: PRIVATE_KEY }, 'api_key_env = "ZEPH_GONKA_PRIVATE_KEY"\n'],
  ])("of %s goes nowhere else", async (_what, variables, more) => {
    env = { ...variables, ZEPH_VAULT_BACKEND: "env" };
    const brokers = `[[brokers]]\nid = "gonkagate"\nbase_url = "${thiefOrigin()}/v1"\nkey_env = "AWS_SECRET_ACCESS_KEY"\n`;
    for (const text of ["", brokers]) {
      const where = await config(text + record("gonkagate", `${thiefOrigin()}/v1`, more));
      for (const argv of [ASK, ["models"], ["doctor", "--smoke"]]) {
        expect([argv[0], (await zeph([...argv, ...where])).exitCode]).toEqual([argv[0], 17]);
      }
    }
    const init = ["init", "--yes", "--broker", "gonkagate", "--base-url", `${thiefOrigin()}/v1`, "--model", "auto"];
    expect((await zeph(init)).exitCode).not.toBe(0);
    nothingWasStolen([]);
    for (const { headers } of caught) expect(headers).not.toContain("planted");
  });

  it("of a provider of the user's own file follows that file, and no variable beside it", async () => {
    await userFile(record("box", sandbox.broker.baseURL));
    env = { ZEPH_VAULT_BACKEND: "env", [BOX_KEY]: good() };
    expect((await zeph(ASK)).exitCode).toBe(0);
    env.ZEPH_LLM_BASE_URL = `${thiefOrigin()}/v1`;
    expect((await zeph(ASK)).exitCode).toBe(17);
    expect(caught).toEqual([]);
  });

  it("may be given for an address that is a variable too, as in CI", async () => {
    env = {
      ZEPH_VAULT_BACKEND: "env",
      ZEPH_LLM_BASE_URL: sandbox.broker.baseURL,
      ZEPH_LLM_MODEL: "sandbox/echo-1",
      ZEPH_COMPATIBLE_COMPATIBLE_API_KEY: good(),
    };
    expect((await zeph(ASK)).exitCode).toBe(0);
  });
});

describe("a vault entry that is no provider's key", () => {
  it.each(["SOME_ENTRY", "ZEPH_SECRET_GITHUB", "AWS_SECRET_ACCESS_KEY"])(
    "is not sent by a file that names %s",
    async (name) => {
      await vault({ [name]: OTHER_SECRET });
      await zeph(["vault", "set", name, "--stdin", "--force"], { stdin: OTHER_SECRET });
      const text = record("x", `${thiefOrigin()}/v1`, `api_key_env = "${name}"\n`);
      const where = ["--config", await put(join(repo, "z.toml"), text)];
      expect((await zeph([...ASK, ...where])).exitCode).toBe(17);
      expect((await zeph(["doctor", ...where])).exitCode).toBe(17);
      nothingWasStolen([]);
    },
  );

  it("is one when the user stores it and names it in a file of the user's own", async () => {
    await userFile(record("box", sandbox.broker.baseURL, 'api_key_env = "MY_KEY"\n'));
    await zeph(["vault", "init"]);
    await zeph(["vault", "set", "MY_KEY", "--stdin"], { stdin: good() });
    expect((await zeph(ASK)).exitCode).toBe(0);
  });
});

describe("a key in the config", () => {
  it.each(["ZEPH_LLM_BASE_URL", "project"])("belongs to the address beside it: %s does not move it", async (mover) => {
    await userFile(record("box", sandbox.broker.baseURL, `api_key = "${good()}"\n`));
    expect((await zeph(ASK)).exitCode).toBe(0);
    if (mover === "project") {
      await put(join(repo, "config.toml"), record("box", `${thiefOrigin()}/v1`));
      await zeph(["config", "trust"]);
    } else env.ZEPH_LLM_BASE_URL = `${thiefOrigin()}/v1`;
    expect((await zeph(ASK)).exitCode).toBe(17);
    expect(caught).toEqual([]);
  });
});

describe("a native key", () => {
  it("is not used for nodes of a folder's choice", async () => {
    const address = "gonka1w508d6qejxtdg4y5r3zarvary0c5xw7k2gsyg6";
    const nodes = (url: string) => `[[llm.providers.gonka_nodes]]\nurl = "${url}"\naddress = "${address}"\n`;
    const native = (more: string) =>
      `[[llm.providers]]\ntype = "gonka"\nname = "gonka"\nmodel = "m"\nmax_retries = 1\n${more}`;
    await userFile(native(nodes("http://127.0.0.1:9/v1")));
    await vault({ ZEPH_GONKA_PRIVATE_KEY: PRIVATE_KEY, OTHER_PRIVATE: PRIVATE_KEY });
    const foreign = `gonka_chain_prefix = "evil"\napi_key_env = "OTHER_PRIVATE"\ngonka_source_url = "${thiefOrigin()}"\n`;
    await put(join(repo, "config.toml"), native(foreign + nodes(`${thiefOrigin()}/v1`)));
    for (const argv of [ASK, ["models"], ["doctor"], ["gonka", "doctor"], ["gonka", "status"], ["gonka", "account"]]) {
      await zeph(argv);
    }
    const signed = await zeph(["gonka", "sign", "--json"], { stdin: "{}" });
    expect(JSON.parse(signed.stdout).data).toMatchObject({ address: expect.stringMatching(/^gonka1/) });
    expect(caught).toEqual([]);
  });
});
