import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Clock, systemClock } from "../../src/base/time.ts";
import type { CliContext } from "../../src/base/world.ts";
import { type AskFlags, runAsk } from "../../src/cli/commands/ask.ts";
import { chatDependencies } from "../../src/cli/session.ts";
import { type BrokerOptions, type Sandbox, startSandbox } from "../../src/sandbox/index.ts";
import { testCli } from "../support/cli-context.ts";

export interface AskOutcome {
  readonly stdout: string;
  readonly stderr: string;
  /** What `--json` printed. */
  readonly data: Readonly<Record<string, unknown>>;
}

/** A user's folder and the command line's own way to a provider: config, secrets, connection, AI SDK. */
export async function chatWorld() {
  const home = await mkdtemp(join(tmpdir(), "zeph-chat-world-"));
  const sandboxes: Sandbox[] = [];
  const env: Record<string, string> = {};
  await mkdir(join(home, ".config/zeph"), { recursive: true });

  return {
    home,
    env,
    async startBroker(options: BrokerOptions = {}): Promise<Sandbox> {
      const sandbox = await startSandbox({ broker: { recordBodies: true, ...options } });
      sandboxes.push(sandbox);
      return sandbox;
    },
    writeConfig: (text: string) => writeFile(join(home, ".config/zeph/config.toml"), text),
    /** Bodies of the questions a broker got. */
    questions: ({ broker }: Sandbox) =>
      broker.requests.filter(({ method }) => method === "POST").map(({ body }) => body as Record<string, unknown>),
    async ask(question: string, flags: AskFlags = {}, clock: Clock = systemClock): Promise<AskOutcome> {
      const cli = testCli({ homeDir: home, env, json: true });
      const context: CliContext = { ...cli.context, clock, fetch: (input, init) => fetch(input, init) };
      const asked = { ...flags, prompt: [question] };
      await runAsk(context, asked, await chatDependencies(context, asked, "question"));
      return { stdout: cli.stdout(), stderr: cli.stderr(), data: JSON.parse(cli.stdout()).data };
    },
    async clear() {
      await Promise.all(sandboxes.map((sandbox) => sandbox.stop()));
      await rm(home, { recursive: true, force: true });
    },
  };
}

export type ChatWorld = Awaited<ReturnType<typeof chatWorld>>;
