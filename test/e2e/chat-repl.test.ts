import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { stripVTControlCharacters } from "node:util";
import { type IPty, spawn } from "@lydell/node-pty";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type CompiledSources, compileSources } from "../support/compile-sources.ts";

const SCRIPT = join(import.meta.dirname, "../support/chat-repl.mjs");
const ENTER = "\r";
const CTRL_C = "\u0003";
const CTRL_D = "\u0004";

let sources: CompiledSources;
let folder: string;

beforeAll(async () => {
  sources = await compileSources(["cli/commands/ask.ts", "base/time.ts", "errors.ts"]);
}, 60_000);

afterAll(() => sources.remove());

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "zeph-repl-"));
});

afterEach(async () => {
  for (const terminal of terminals) terminal.kill();
  terminals.clear();
  await rm(folder, { recursive: true, force: true });
});

/** Those that still run; a test that fails leaves one behind. */
const terminals = new Set<IPty>();

/** The chat in a real pseudo-terminal, with a scripted model. */
function startChat() {
  const terminal = spawn(process.execPath, [SCRIPT, sources.folder, folder], {
    cols: 80,
    rows: 30,
    cwd: folder,
    env: { PATH: process.env.PATH ?? "", HOME: folder, TERM: "xterm-256color" },
  });
  terminals.add(terminal);
  let output = "";
  let seen = 0;
  const checks = new Set<() => void>();
  terminal.onData((data) => {
    output += data;
    for (const check of checks) check();
  });
  const exitCode = new Promise<number>((resolve) =>
    terminal.onExit((exit) => {
      terminals.delete(terminal);
      resolve(exit.exitCode);
    }),
  );
  const waitFor = (words: string) =>
    new Promise<void>((resolve) => {
      const check = () => {
        const at = output.indexOf(words, seen);
        if (at === -1) return;
        seen = at + words.length;
        checks.delete(check);
        resolve();
      };
      checks.add(check);
      check();
    });
  return {
    exitCode,
    waitFor,
    resize: (columns: number) => terminal.resize(columns, 30),
    write: (keys: string) => terminal.write(keys),
    async type(keys: string) {
      await waitFor("› ");
      terminal.write(keys);
    },
    output: () => output,
    screen: () => stripVTControlCharacters(output),
  };
}

describe("the chat in a terminal", () => {
  it("streams Markdown in style, tells usage, and gives the terminal back as it was", async () => {
    const chat = startChat();
    await chat.type(`markdown please${ENTER}`);
    await chat.waitFor("12 in · 48 out · $0.00031");
    await chat.type(CTRL_D);
    expect(await chat.exitCode).toBe(0);
    expect(chat.output()).toContain("\u001b[1;4;35mTitle\u001b[0m");
    expect(chat.output()).toMatch(/\u001b\[1mbold text\u001b\[0m/);
    expect(chat.screen()).toContain("• one");
    const [on, off] = ["\u001b[?2004h", "\u001b[?2004l"].map((mode) => chat.output().lastIndexOf(mode));
    expect(on).toBeGreaterThan(-1);
    expect(off).toBeGreaterThan(on ?? 0);
  });

  it("shows the waiting time, and takes it away before the answer", async () => {
    const chat = startChat();
    await chat.type(`slow${ENTER}`);
    await chat.waitFor("waiting for testbroker … 0.");
    await chat.waitFor("waiting for testbroker … 1.");
    await chat.waitFor("\r\u001b[2KYou said: slow");
    await chat.type(CTRL_D);
    expect(await chat.exitCode).toBe(0);
  });

  it("shows thoughts dimmed, apart from the answer", async () => {
    const chat = startChat();
    await chat.type(`think${ENTER}`);
    await chat.waitFor("\u001b[2m┊ \u001b[0m\u001b[2mLet\u001b[0m");
    await chat.waitFor("\u001b[2;1mthis\u001b[0m");
    await chat.waitFor("You said: think");
    await chat.type(CTRL_D);
    expect(await chat.exitCode).toBe(0);
  });

  it("stops at Ctrl-C, keeps the text, and leaves at the second", async () => {
    const chat = startChat();
    await chat.type(`hang${ENTER}`);
    await chat.waitFor("This answer never ends");
    chat.write(CTRL_C);
    await chat.waitFor("Stopped. The text so far stays");
    await chat.type(CTRL_C);
    expect(await chat.exitCode).toBe(130);
  });

  it("takes a paste as one message and does not mind a smaller window", async () => {
    const chat = startChat();
    await chat.type("\u001b[200~first line\rsecond line\u001b[201~");
    await chat.waitFor("second line");
    chat.resize(40);
    chat.write(ENTER);
    await chat.waitFor("You said: first line\r\nsecond line\r\n");
    await chat.type(CTRL_D);
    expect(await chat.exitCode).toBe(0);
    expect(await readFile(join(folder, "chat-history.jsonl"), "utf8")).toBe('"first line\\nsecond line"\n');
  });
});
