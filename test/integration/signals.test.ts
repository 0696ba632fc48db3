import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { type CompiledSources, compileSources } from "../support/compile-sources.ts";

/* The first SIGINT or SIGTERM is obeyed, and the second ends the process wherever it is. */

let sources: CompiledSources;
let home: string;
const children: ChildProcess[] = [];

beforeAll(async () => {
  sources = await compileSources(["cli/main.ts", "cli/world.ts"]);
  home = await mkdtemp(join(tmpdir(), "zeph-signals-"));
}, 60_000);

afterAll(async () => {
  await sources.remove();
  await rm(home, { recursive: true, force: true });
});

afterEach(() => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
});

/** A program around the real outside world that says a word when it is ready, and again when it was asked to end. */
async function start(stuck: string): Promise<ChildProcess> {
  const program = `
    import { systemWorld } from ${JSON.stringify(join(sources.folder, "cli/world.js"))};
    const { signal } = systemWorld();
    const busy = () => { for (;;); };
    signal.addEventListener("abort", () => { require("node:fs").writeSync(1, "asked"); ${stuck} });
    import { createRequire } from "node:module";
    const require = createRequire("/");
    setInterval(() => {}, 1000);
    console.log("ready");
  `;
  const child = spawn(process.execPath, ["--input-type=module", "-e", program], {
    cwd: home,
    env: { PATH: process.env.PATH ?? "", HOME: home },
    stdio: ["ignore", "pipe", "inherit"],
  });
  children.push(child);
  await once(child.stdout ?? child, "data");
  return child;
}

it.each(["SIGINT", "SIGTERM"] as const)("%s ends the wait for the lock of another", async (name) => {
  const zeph = (...args: string[]) => {
    const child = spawn(process.execPath, [join(sources.folder, "cli/main.js"), ...args], {
      cwd: home,
      env: { PATH: process.env.PATH ?? "", HOME: home },
      stdio: ["pipe", "ignore", "pipe"],
    });
    children.push(child);
    child.stdin.end("value");
    return child;
  };
  await once(zeph("vault", "init", "--force", "--yes"), "exit");
  const lock = join(home, ".config/zeph/secrets.age.lock");
  await writeFile(lock, JSON.stringify({ pid: 1, host: "elsewhere.example", ticket: "0123456789ab" }));
  const child = zeph("vault", "set", "A", "--stdin");
  // It waits from when its own lock lies ready.
  while (!(await readdir(join(home, ".config/zeph"))).some((file) => file.startsWith(".secrets.age.lock."))) {
    await new Promise(setImmediate);
  }
  const startedAtMs = performance.now();
  child.kill(name);
  const [code] = await once(child, "exit");
  expect(code).toBe(130);
  expect(performance.now() - startedAtMs).toBeLessThan(5_000);
  expect((await readdir(join(home, ".config/zeph"))).sort()).toEqual([
    "secrets.age",
    "secrets.age.lock",
    "vault-key.txt",
  ]);
  await rm(join(home, ".config"), { recursive: true });
});

describe("a process that was asked to end once, and is stuck", () => {
  it.each([
    ["waiting for ever", "", "SIGINT"],
    ["waiting for ever", "", "SIGTERM"],
    ["in a loop", "busy();", "SIGINT"],
    ["in a loop", "busy();", "SIGTERM"],
    // Opening a pipe that nobody writes to keeps a thread, and leaving in the usual way would wait for it.
    [
      "with a thread that waits",
      "require('node:child_process').execFileSync('mkfifo', ['pipe-' + process.pid]); require('node:fs/promises').readFile('pipe-' + process.pid);",
      "SIGTERM",
    ],
  ] as const)("%s (%s) ends at the second signal", async (_where, stuck, name) => {
    const child = await start(stuck);
    const asked = once(child.stdout ?? child, "data");
    child.kill(name);
    expect(String((await asked)[0])).toBe("asked");
    const ended = once(child, "exit");
    child.kill(name);
    expect(await ended).toEqual([null, name]);
  });
});
