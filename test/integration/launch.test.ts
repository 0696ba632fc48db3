import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { type Sandbox, startSandbox } from "../../src/sandbox/index.ts";
import { type CompiledSources, compileSources } from "../support/compile-sources.ts";
import { CHAT, until } from "./gateway-world.ts";

/** A coding agent as far as `zeph launch` is concerned: it reads what Claude Code reads, and does what it is told. */
const AGENT = `#!${process.execPath}
const { spawn } = require("node:child_process");
const { readFileSync, statSync, writeFileSync } = require("node:fs");
const args = process.argv.slice(2);
const file = args[args.indexOf("--settings") + 1];
const { ANTHROPIC_BASE_URL: url, ANTHROPIC_AUTH_TOKEN: key, ANTHROPIC_API_KEY: other, ZEPH_TEST_OUT: out } = process.env;
const told = { args, url, key, other, file, mode: statSync(file).mode & 0o777, settings: JSON.parse(readFileSync(file, "utf8")) };
const write = (more) => writeFileSync(out, JSON.stringify({ ...told, pid: process.pid, ...more }));
write({});
(async () => {
  if (args.includes("ask")) {
    const ask = (model) =>
      fetch(url + "/v1/messages", {
        method: "POST",
        headers: { authorization: "Bearer " + key },
        body: JSON.stringify({ model, max_tokens: 50, messages: [{ role: "user", content: "say hello" }] }),
      }).then((response) => response.json());
    for (const model of ["${CHAT}", "claude-haiku-4-5"]) console.log((await ask(model)).content[0].text);
  }
  if (args.includes("stay")) {
    const child = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"], { stdio: "ignore" });
    write({ child: child.pid });
    process.on("SIGINT", () => {});
    setInterval(() => {}, 1000);
  } else process.exitCode = Number(args.at(-1)) || 0;
})();
`;

let sandbox: Sandbox;
let sources: CompiledSources;
let home: string;
const running: ChildProcess[] = [];

beforeAll(async () => {
  [sandbox, sources] = await Promise.all([
    startSandbox(),
    compileSources(["cli/main.ts", ["cli/launch/agent-guard.ts", "cli/agent-guard.ts"]]),
  ]);
  home = await mkdtemp(join(tmpdir(), "zeph-agents-"));
  await mkdir(join(home, "bin"));
  await mkdir(join(home, "tmp"));
  await mkdir(join(home, ".config/zeph"), { recursive: true });
  await writeFile(
    join(home, ".config/zeph/config.toml"),
    `[[llm.providers]]\ntype = "compatible"\nname = "box"\nbase_url = "${sandbox.broker.baseURL}"\nmodel = "${CHAT}"\n`,
  );
  await writeFile(join(home, "bin/claude"), AGENT);
  await chmod(join(home, "bin/claude"), 0o755);
}, 60_000);

afterEach(async () => {
  for (const child of running.splice(0)) child.kill("SIGKILL");
  await rm(join(home, "out.json"), { force: true });
});

afterAll(async () => {
  await sandbox.stop();
  await sources.remove();
  await rm(home, { recursive: true, force: true });
});

function launch(...args: string[]) {
  const child = spawn(process.execPath, [join(sources.folder, "cli/main.js"), "launch", ...args], {
    cwd: home,
    env: {
      PATH: join(home, "bin"),
      HOME: home,
      TMPDIR: join(home, "tmp"),
      ZEPH_COMPATIBLE_BOX_API_KEY: sandbox.broker.keys.good,
      ZEPH_TEST_OUT: join(home, "out.json"),
      ANTHROPIC_API_KEY: "of-the-user",
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  running.push(child);
  const ended = new Promise<number | null>((resolve) => child.once("exit", (code) => resolve(code)));
  return { child, ended, stdout: text(child.stdout), stderr: text(child.stderr) };
}

async function told() {
  return JSON.parse(await readFile(join(home, "out.json"), "utf8"));
}

/** Ended, or dead and waiting for somebody to notice. */
function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return process.platform !== "linux" || !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}

const foldersLeft = () => readdir(join(home, "tmp"));

describe("zeph launch", () => {
  it("starts the agent on an endpoint of this run, and gives its exit code", async () => {
    const { ended, stdout, stderr } = launch("claude", "--", "ask", "-p", "7");
    expect(await ended).toBe(7);
    const { args, url, key, other, mode, settings } = await told();
    expect(args.slice(2)).toEqual(["ask", "-p", "7"]);
    expect(args.join()).not.toContain(key);
    expect([url, key, other]).toEqual([
      expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+$/),
      expect.stringMatching(/^sk-zeph-/),
      "",
    ]);
    expect(mode).toBe(0o600);
    expect(settings.env).toMatchObject({ ANTHROPIC_MODEL: CHAT, CLAUDE_CODE_AUTO_COMPACT_WINDOW: "128000" });
    expect(await stdout).toMatch(/hello[\s\S]*hello/i);
    expect(await stderr).toMatch(/paid for as well[\s\S]*Claude Code: 2 requests · \d+ in · \d+ out · \$0\.0/);
    expect(await stderr).not.toContain(key);
    expect(await foldersLeft()).toEqual([]);
    await expect(fetch(`${url}/health`)).rejects.toThrow();
  });

  it.each<[string, (zeph: ChildProcess, agent: number) => void, number | null]>([
    ["zeph is killed", (zeph) => zeph.kill("SIGKILL"), null],
    ["zeph is asked to end", (zeph) => zeph.kill("SIGTERM"), 143],
    ["the agent is killed", (_zeph, agent) => process.kill(agent, "SIGKILL"), 137],
  ])("leaves no process and no file when %s", async (_how, end, code) => {
    const { child, ended } = launch("claude", "--", "stay");
    await until(async () => (await told().catch(() => ({}))).child !== undefined);
    const { pid, child: grandchild } = await told();
    expect([pid, grandchild].map(isAlive)).toEqual([true, true]);
    end(child, pid);
    expect(await ended).toBe(code);
    await until(() => ![pid, grandchild].some(isAlive));
    await until(async () => (await foldersLeft()).length === 0);
  });

  it("ends an agent that does not heed Ctrl-C when there is no terminal that it could have come from", async () => {
    const { child, ended } = launch("claude", "--", "stay");
    await until(async () => (await told().catch(() => ({}))).child !== undefined);
    child.kill("SIGINT");
    expect(await ended).toBe(137);
    const { pid, child: grandchild } = await told();
    await until(() => ![pid, grandchild].some(isAlive));
  });

  it("says how an agent is installed, which there are, and what is missing", async () => {
    const missing = launch("codex");
    expect(await missing.ended).toBe(1);
    expect(await missing.stderr).toContain("npm install -g @openai/codex");
    const unknown = launch("nothing");
    expect(await unknown.ended).toBe(2);
    expect(await unknown.stderr).toContain("claude, codex, opencode");
    const unnamed = launch();
    expect(await unnamed.ended).toBe(2);
    expect(await unnamed.stderr).toContain("Name one of those installed: claude.");
    expect(await foldersLeft()).toEqual([]);
  });
});
