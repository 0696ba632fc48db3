import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";

/** The key that callers of every copy send; planted: must appear in no log. */
export const COPY_KEY = "sk-zeph-planted-key-of-all-copies-0123456789";
/** The broker's; planted as well. */
export const BROKER_KEY = "gp-planted-broker-key-of-copies";

/** A `zeph serve` in a process of its own. */
export interface ServeCopy extends AsyncDisposable {
  readonly baseURL: string;
  readonly pid: number;
  stdout(): string;
  stderr(): string;
  /** A chat request with the key. */
  chat(more?: object): Promise<Response>;
  post(path: string, body: object): Promise<Response>;
  get(path: string): Promise<Response>;
  /** Sends the signal, and gives the exit code (`undefined` for a process that was killed). */
  end(signal?: NodeJS.Signals): Promise<number | undefined>;
}

/**
 * One answer of 100 tokens costs a tenth of a cent, and is expected to: prompts cost nothing.
 *
 * @param program the compiled `cli/main.js`
 */
export async function startCopy({
  program,
  home,
  upstream,
  dailyCents,
  args = [],
  env = {},
}: {
  readonly program: string;
  readonly home: string;
  readonly upstream: string;
  readonly dailyCents: number;
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}): Promise<ServeCopy> {
  await mkdir(join(home, ".config/zeph"), { recursive: true });
  const config = `[vault]\nbackend = "env"\n[cost]\nenabled = ${dailyCents > 0}\nmax_daily_cents = ${dailyCents || 1}\n
[[llm.providers]]\ntype = "compatible"\nname = "box"\nbase_url = "${upstream}"\nmodel = "owner/model"
pricing = { prompt_usd_per_1m = 0, completion_usd_per_1m = 10 }\n`;
  await writeFile(join(home, ".config/zeph/config.toml"), config);
  const child = spawn(process.execPath, [program, "serve", "--port", "0", ...args], {
    cwd: home,
    env: {
      PATH: process.env.PATH ?? "",
      HOME: home,
      ZEPH_COMPATIBLE_BOX_API_KEY: BROKER_KEY,
      ZEPH_LOCAL_GATEWAY_API_KEY: COPY_KEY,
      ...env,
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let [stdout, stderr] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (text) => {
    stdout += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text) => {
    stderr += text;
  });
  const closed = once(child, "close").then(([code]) => code ?? undefined);
  while (!stdout.includes("Try it")) {
    const isOver = await Promise.race([closed.then(() => true), pause(10).then(() => false)]);
    if (isOver) throw new Error(`zeph serve ended: ${stdout}${stderr}`);
  }
  const baseURL = /http:\/\/\S+\/v1/.exec(stdout)?.[0] ?? "";
  const headers = { authorization: `Bearer ${COPY_KEY}`, "content-type": "application/json" };
  const post = (path: string, body: object) =>
    fetch(baseURL + path, { method: "POST", headers, body: JSON.stringify(body) });
  const end = async (signal: NodeJS.Signals = "SIGTERM") => {
    child.kill(signal);
    return closed;
  };
  return {
    baseURL,
    pid: child.pid ?? 0,
    stdout: () => stdout,
    stderr: () => stderr,
    post,
    chat: (more = {}) =>
      post("/chat/completions", { messages: [{ role: "user", content: "hi" }], max_tokens: 100, ...more }),
    get: (path) => fetch(new URL(path, baseURL), { headers }),
    end,
    [Symbol.asyncDispose]: async () => void (await end("SIGKILL")),
  };
}

/** Polls until it holds; the test's own time limit is the only one. */
export async function eventually(holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds())) await pause(10);
}
