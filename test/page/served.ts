import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type ChatRequest, type Engine, messageText } from "../../src/sandbox/engine.ts";
import { type Sandbox, startSandbox } from "../../src/sandbox/sandbox.ts";

/** The built `zeph serve` over the sandbox, whose answers a test scripts. */
export interface Served {
  readonly origin: string;
  /** The printed link; works once. */
  readonly link: string;
  /** The endpoint's key, which must never reach the page. */
  readonly localKey: string;
  readonly script: Script;
  readonly sandbox: Sandbox;
  /** Another command of the same user; its standard output. */
  run(...args: string[]): Promise<string>;
  stop(): Promise<void>;
}

/** What the models of the sandbox say: whole answers by question, and one that goes on when a test says so. */
export class Script {
  /** By the last line of the question; anything else gets `usual`. */
  readonly answers = new Map<string, string>();
  usual = "Fine.";
  /** Every request that reached a model. */
  readonly asked: ChatRequest[] = [];
  /** How many slow answers were given up by whoever asked. */
  stopped = 0;
  #steps: (() => void)[] = [];
  #reached: (() => void)[] = [];

  /** Lets the answer to "slow" say its next word. */
  step(): void {
    this.#steps.shift()?.();
  }

  /** Waits until a slow answer stands still. */
  async standing(): Promise<void> {
    if (this.#steps.length > 0) return;
    await new Promise<void>((resolve) => this.#reached.push(resolve));
  }

  async *complete(request: ChatRequest, signal: AbortSignal): ReturnType<Engine["complete"]> {
    this.asked.push(request);
    const question = messageText(request.messages.at(-1));
    if (question.endsWith("slow")) {
      for (const text of ["One ", "two ", "three."]) {
        yield { type: "text", text };
        await this.#wait(signal);
        if (signal.aborted) {
          this.stopped++;
          return;
        }
      }
    } else {
      if (request.model === "sandbox/thinker-1") yield { type: "reasoning", text: "The short version is enough." };
      const answer = this.answers.get(question.split("\n").at(-1) ?? "") ?? this.usual;
      for (const text of answer.match(/[\s\S]{1,24}/g) ?? []) yield { type: "text", text };
    }
    yield { type: "finish", reason: "stop", usage: { promptTokens: 1214, completionTokens: 356, cachedTokens: 0 } };
  }

  async #wait(signal: AbortSignal): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#steps.push(resolve);
      const leave = () => {
        this.#steps = this.#steps.filter((step) => step !== resolve);
        resolve();
      };
      signal.addEventListener("abort", leave, { once: true });
      for (const reached of this.#reached.splice(0)) reached();
    });
  }
}

const CLI = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));

export async function serveOverSandbox(): Promise<Served> {
  const home = await mkdtemp(join(tmpdir(), "zeph-page-"));
  const script = new Script();
  const model = (id: string) => ({
    id,
    contextLengthTokens: 131_072,
    maxOutputTokens: 4096,
    promptUsdPer1M: 0.2,
    completionUsdPer1M: 0.6,
    kind: "chat" as const,
  });
  const sandbox = await startSandbox({
    engine: {
      models: async () => [model("sandbox/echo-1"), { ...model("sandbox/thinker-1"), reasoning: "reasoning" as const }],
      complete: (request, signal) => script.complete(request, signal),
    },
  });
  await mkdir(join(home, ".config/zeph"), { recursive: true, mode: 0o700 });
  const config = `[[llm.providers]]\ntype = "compatible"\nname = "box"\nbase_url = "${sandbox.broker.baseURL}"\nmodel = "sandbox/echo-1"\n\n[cost]\nenabled = true\nmax_daily_cents = 500\n`;
  await writeFile(join(home, ".config/zeph/config.toml"), config, { mode: 0o600 });
  const localKey = "sk-zeph-planted-0123456789abcdef0123456789";
  const env = {
    PATH: process.env.PATH ?? "",
    HOME: home,
    USERPROFILE: home,
    ZEPH_VAULT_BACKEND: "env",
    ZEPH_COMPATIBLE_BOX_API_KEY: sandbox.broker.keys.good,
    ZEPH_LOCAL_GATEWAY_API_KEY: localKey,
  };
  const start = (...args: string[]) => spawn(process.execPath, [CLI, ...args], { env, cwd: home });
  const child = start("serve", "--port", "0", "--json", "--quiet");
  const told = JSON.parse(await firstJson(child)) as { data?: { page: string }; page?: string };
  const link = told.page ?? told.data?.page ?? "";
  return {
    origin: new URL(link).origin,
    link,
    localKey,
    script,
    sandbox,
    async run(...args) {
      const command = start(...args);
      let text = "";
      command.stdout.on("data", (piece: Buffer) => {
        text += piece.toString();
      });
      await once(command, "close");
      return text;
    },
    async stop() {
      const ended = once(child, "close");
      child.kill("SIGTERM");
      await ended;
      await sandbox.stop();
      await rm(home, { recursive: true, force: true });
    },
  };
}

/** The JSON that a command prints first, which may span lines. Throws what it printed when it ends before. */
function firstJson(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let out = "";
    let trouble = "";
    child.stdout?.on("data", (piece: Buffer) => {
      out += piece.toString();
      try {
        JSON.parse(out);
        resolve(out);
      } catch {
        // More comes.
      }
    });
    child.stderr?.on("data", (piece: Buffer) => {
      trouble += piece.toString();
    });
    child.once("close", () => reject(new Error(`${out}\n${trouble}`)));
  });
}
