import { PassThrough, Readable, Writable } from "node:stream";
import { manualClock } from "../../src/base/time.ts";
import type { CliContext } from "../../src/base/world.ts";

export interface CliContextOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly homeDir: string;
  /** What is piped in. Without it and without `keys` standard input is empty. */
  readonly stdin?: string | Uint8Array;
  /** A person at a terminal: each entry waits for a question and then presses keys (`\r` is Enter). */
  readonly keys?: readonly (readonly [question: RegExp, keys: string])[];
  readonly json?: boolean;
  readonly paths?: CliContext["paths"];
  readonly fetch?: CliContext["fetch"];
}

export interface TestCli {
  readonly context: CliContext;
  stdout(): string;
  stderr(): string;
}

/** A context without the outside world; a terminal when `keys` are given. */
export function testCli({
  env = {},
  homeDir,
  stdin = "",
  keys,
  json = false,
  paths = {},
  fetch,
}: CliContextOptions): TestCli {
  const interactive = keys !== undefined;
  const input = interactive ? terminalInput() : Readable.from([Buffer.from(stdin)]);
  const stdout = new Recorder();
  const stderr = new Recorder();
  const person = [...(keys ?? [])];
  let seen = 0;
  stderr.onText = (text) => {
    const [question, answer] = person[0] ?? [];
    if (question === undefined || answer === undefined || !question.test(text.slice(seen))) return;
    seen = text.length;
    person.shift();
    setImmediate(() => input.push(answer));
  };
  const context: CliContext = {
    stdin: input,
    stdout,
    stderr,
    env,
    cwd: homeDir,
    homeDir,
    platform: process.platform,
    clock: manualClock(),
    random: () => 0.5,
    fetch: fetch ?? (() => Promise.reject(new Error("this test reaches no network"))),
    signal: new AbortController().signal,
    interactive,
    json,
    verbose: false,
    color: false,
    paths,
  };
  return { context, stdout: () => stdout.text, stderr: () => stderr.text };
}

/** What clack needs of a terminal. */
function terminalInput() {
  return Object.assign(new PassThrough(), { isTTY: true, setRawMode: () => {} });
}

class Recorder extends Writable {
  readonly isTTY = true;
  readonly columns = 80;
  text = "";
  onText: (text: string) => void = () => {};

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.text += chunk.toString();
    this.onText(this.text);
    done();
  }
}
