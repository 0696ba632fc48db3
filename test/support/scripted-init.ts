import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable, Writable } from "node:stream";
import { Secret } from "../../src/base/secret.ts";
import { systemClock } from "../../src/base/time.ts";
import { ZephError } from "../../src/errors.ts";
import { type InitResult, setUp } from "../../src/init/init.ts";
import type { Ask, InitRequest, InitWorld, Tell } from "../../src/init/session.ts";
import { vaultPaths } from "../../src/vault/index.ts";

/** Ctrl-C. */
export const CTRL_C = Symbol("Ctrl-C");

/** What a person does at one question: text, yes or no, the label of a choice, or Ctrl-C. */
export type Answer = readonly [question: RegExp, answer: string | boolean | RegExp | typeof CTRL_C];

export interface InitRunOptions {
  readonly home: string;
  readonly request?: Partial<InitRequest>;
  /** A person at a terminal; without them nobody can be asked. */
  readonly answers?: readonly Answer[];
  readonly env?: Readonly<Record<string, string>>;
  readonly stdin?: string;
  readonly fetch?: InitWorld["fetch"];
  readonly paths?: InitWorld["paths"];
  readonly passphrase?: string;
}

export interface InitRun {
  readonly result: InitResult | undefined;
  readonly error: ZephError | undefined;
  /** Everything that was shown: questions, progress, complaints. Never what was typed. */
  readonly screen: string;
  /** Questions in order. */
  readonly asked: readonly string[];
}

/** Runs set-up as a command would, with a script in the place of the person. Questions left over fail the test. */
export async function runSetUp(options: InitRunOptions): Promise<InitRun> {
  const shown: string[] = [];
  const asked: string[] = [];
  const script = [...(options.answers ?? [])];
  const ask = options.answers === undefined ? undefined : scriptedAsk(script, shown, asked);
  const line = (words: string) => void shown.push(words);
  const tell: Tell = { info: line, done: line, warn: line, fail: line, work: (_label, task) => task() };
  const request = {
    test: true,
    force: false,
    full: false,
    ...options.request,
    native: { nodes: [], ...options.request?.native },
  };
  let result: InitResult | undefined;
  let error: ZephError | undefined;
  try {
    result = await setUp(testWorld(options), request, { ask, tell });
  } catch (thrown) {
    if (!(thrown instanceof ZephError)) throw thrown;
    error = thrown;
  }
  if (script.length > 0) {
    throw new Error(`never asked: ${script.map(([question]) => question).join(", ")}\n${error}\n${shown.join("\n")}`);
  }
  return { result, error, screen: [...shown, String(error ?? ""), error?.hint ?? ""].join("\n"), asked };
}

function testWorld({ home, env = {}, stdin = "", answers, paths = {}, ...options }: InitRunOptions): InitWorld {
  return {
    stdin: Readable.from([Buffer.from(stdin)]),
    stderr: new Writable({ write: (_chunk, _encoding, done) => done() }),
    env,
    cwd: home,
    homeDir: home,
    platform: process.platform,
    clock: systemClock,
    random: Math.random,
    fetch: options.fetch ?? ((input, init) => fetch(input, init)),
    signal: new AbortController().signal,
    interactive: answers !== undefined,
    paths,
    vaultPaths: vaultPaths({ env, homeDir: home, platform: process.platform, flags: paths }),
    askPassphrase: async () => (options.passphrase === undefined ? undefined : new Secret(options.passphrase)),
    readStdinSecret: async () => new Secret(stdin.replace(/\n$/, "")),
  };
}

function scriptedAsk(script: Answer[], shown: string[], asked: string[]): Ask {
  function next(message: string): Answer[1] {
    shown.push(message);
    asked.push(message);
    const entry = script.shift();
    if (entry === undefined) throw new Error(`asked without an answer: ${message}\n${shown.join("\n")}`);
    const [question, answer] = entry;
    if (!question.test(message)) throw new Error(`expected ${question}, asked: ${message}\n${shown.join("\n")}`);
    if (answer === CTRL_C) throw new ZephError("cancelled");
    return answer;
  }
  function typed(message: string, check: ((text: string) => string | undefined) | undefined, initial = ""): string {
    for (;;) {
      // What stands in the field already is taken by plain Enter.
      const answer = String(next(message)) || initial;
      const complaint = check?.(answer);
      if (complaint === undefined) return answer;
      shown.push(complaint);
    }
  }
  return {
    async select({ message, choices }) {
      const wanted = next(message);
      shown.push(...choices.map(({ label, hint }) => `${label} (${hint ?? ""})`));
      const chosen = choices.find(({ label }) => (wanted instanceof RegExp ? wanted.test(label) : label === wanted));
      if (chosen === undefined)
        throw new Error(`no choice ${String(wanted)}: ${choices.map(({ label }) => label).join(" | ")}`);
      return chosen.value;
    },
    hidden: async ({ message, check }) => new Secret(typed(message, check && ((text) => check(new Secret(text))))),
    text: async ({ message, check, initial }) => typed(message, check, initial),
    confirm: async ({ message }) => next(message) === true,
  };
}

/** A home folder of its own, removed after the test. */
export async function temporaryHome(): Promise<{ readonly path: string; remove(): Promise<void> }> {
  const path = await mkdtemp(join(tmpdir(), "zeph-init-"));
  return { path, remove: () => rm(path, { recursive: true, force: true }) };
}

/** The bytes of every file below a folder, by path. */
export async function readAll(folder: string): Promise<ReadonlyMap<string, Buffer>> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return new Map(await Promise.all(files.map(async (path) => [path, await readFile(path)] as const)));
}
