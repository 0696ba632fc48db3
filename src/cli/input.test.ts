import { chmod, mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough, Readable } from "node:stream";
import { stripVTControlCharacters } from "node:util";
import { beforeEach, describe, expect, it } from "vitest";
import { testCli } from "../../test/support/cli-context.ts";
import { Secret } from "../base/secret.ts";
import { manualClock } from "../base/time.ts";
import { Vault } from "../vault/vault.ts";
import {
  openVault,
  promptConfirm,
  promptHidden,
  promptText,
  readQuestion as readParts,
  readStdinSecret,
  vaultPathsOf,
} from "./input.ts";

const homeDir = "/nowhere";

describe("promptHidden", () => {
  it("takes what is typed and shows none of it", async () => {
    const cli = testCli({ homeDir, keys: [[/Your key/, "planted-key\r"]] });
    expect((await promptHidden(cli.context, "Your key")).reveal()).toBe("planted-key");
    expect(stripVTControlCharacters(cli.stderr())).toContain("Your key");
    expect(cli.stderr()).not.toMatch(/planted|key-|nted/);
    expect(cli.stdout()).toBe("");
  });

  it("asks again in place, for nothing and for what does not pass", async () => {
    const cli = testCli({
      homeDir,
      keys: [
        [/Your key/, "\r"],
        [/Nothing was typed/, "wrong\r"],
        [/This begins with gp-/, "\u0015gp-right\r"],
      ],
    });
    const key = await promptHidden(cli.context, "Your key", (value) =>
      value.reveal().startsWith("gp-") ? undefined : "This begins with gp-",
    );
    expect(key.reveal()).toBe("gp-right");
    expect(cli.stderr()).not.toMatch(/wrong|right/);
  });
});

describe("every prompt", () => {
  const prompts = [
    ["promptHidden", promptHidden],
    ["promptText", promptText],
    ["promptConfirm", promptConfirm],
  ] as const;

  it.each(prompts)("%s: Ctrl-C is `cancelled`", async (_name, prompt) => {
    const cli = testCli({ homeDir, keys: [[/Question/, "\u0003"]] });
    await expect(prompt(cli.context, "Question")).rejects.toMatchObject({ code: "cancelled" });
  });

  it.each(prompts)("%s: is refused where nobody can answer", async (_name, prompt) => {
    const cli = testCli({ homeDir });
    await expect(prompt(cli.context, "Question")).rejects.toMatchObject({ code: "not_interactive" });
    expect(cli.stderr()).toBe("");
  });
});

describe("promptText and promptConfirm", () => {
  it("give what was typed, or nothing for plain Enter", async () => {
    const typed = testCli({ homeDir, keys: [[/Name/, "zeph\r"]] });
    expect(await promptText(typed.context, "Name")).toBe("zeph");
    const empty = testCli({ homeDir, keys: [[/Name/, "\r"]] });
    expect(await promptText(empty.context, "Name")).toBe("");
  });

  it.each([
    ["y", false, true],
    ["n", true, false],
    ["\r", true, true],
    ["\r", false, false],
  ])("confirm: key %j with preset %s means %s", async (key, initial, answer) => {
    const cli = testCli({ homeDir, keys: [[/Sure/, key]] });
    expect(await promptConfirm(cli.context, "Sure?", { initial })).toBe(answer);
  });
});

describe("open vault", () => {
  let homeDir: string;
  let passphraseFile: string;

  beforeEach(async () => {
    homeDir = await mkdtemp(join(tmpdir(), "zeph-open-"));
    passphraseFile = join(homeDir, "passphrase");
    const paths = vaultPathsOf(testCli({ homeDir }).context);
    await Vault.init({ paths, passphrase: new Secret("right"), scryptWorkFactor: 4 });
    await writeFile(passphraseFile, "right\n", { mode: 0o600 });
  });

  describe("openVault", () => {
    it("asks at a terminal, again after a wrong passphrase", async () => {
      const cli = testCli({
        homeDir,
        keys: [
          [/Passphrase/, "planted\r"],
          [/does not open[\s\S]*Passphrase/, "right\r"],
        ],
      });
      expect((await openVault(cli.context)).names()).toEqual([]);
      expect(cli.stderr()).not.toMatch(/planted|right/);
    });

    it("gives up after three wrong ones", async () => {
      const keys = [1, 2, 3].map(() => [/Passphrase/, "planted\r"] as const);
      const cli = testCli({ homeDir, keys });
      await expect(openVault(cli.context)).rejects.toMatchObject({ code: "vault_wrong_passphrase" });
    });

    it("reads the file that is named, also at a terminal", async () => {
      const env = { ZEPH_VAULT_PASSPHRASE_FILE: passphraseFile };
      expect((await openVault(testCli({ homeDir, env }).context)).names()).toEqual([]);
      expect((await openVault(testCli({ homeDir, env, keys: [] }).context)).names()).toEqual([]);
    });

    it("is a clear error where nobody can answer", async () => {
      await expect(openVault(testCli({ homeDir }).context)).rejects.toMatchObject({
        code: "vault_locked",
        hint: expect.stringContaining("ZEPH_VAULT_PASSPHRASE_FILE"),
      });
    });

    it("takes no passphrase from a file that others can read, that is missing, empty or wrong", async () => {
      const open = (path: string) => openVault(testCli({ homeDir, env: { ZEPH_VAULT_PASSPHRASE_FILE: path } }).context);
      await chmod(passphraseFile, 0o644);
      await expect(open(passphraseFile)).rejects.toMatchObject({
        code: "vault_permissions",
        hint: `Run: chmod 600 ${passphraseFile}`,
      });
      await expect(open(join(homeDir, "missing"))).rejects.toMatchObject({ code: "vault_locked" });
      await writeFile(join(homeDir, "empty"), "\n", { mode: 0o600 });
      await expect(open(join(homeDir, "empty"))).rejects.toMatchObject({ code: "vault_locked" });
      await writeFile(join(homeDir, "wrong"), "planted", { mode: 0o600 });
      await expect(open(join(homeDir, "wrong"))).rejects.toMatchObject({ code: "vault_wrong_passphrase" });
    });
  });
});

function context(stdin: PassThrough & { isTTY?: boolean }) {
  const controller = new AbortController();
  const { signal } = controller;
  return { stdin, stderr: new PassThrough(), clock: manualClock(0, "manual"), signal, controller };
}

async function readQuestion(given: Parameters<typeof readParts>[0], words: readonly string[]): Promise<string> {
  const { typed, piped } = await readParts(given, words);
  return [typed, piped].filter((part) => part !== "").join("\n\n");
}

describe("readQuestion", () => {
  it("joins the words and what is piped in, words first", async () => {
    expect(await readQuestion(context(new PassThrough().end("a report\n")), ["summarise", "this"])).toBe(
      "summarise this\n\na report",
    );
    expect(await readQuestion(context(new PassThrough().end("only this")), [])).toBe("only this");
  });

  it("does not touch a terminal", async () => {
    expect(await readQuestion(context(Object.assign(new PassThrough(), { isTTY: true })), ["hi"])).toBe("hi");
  });

  it("asks for a question when there is none", async () => {
    await expect(readQuestion(context(new PassThrough().end("  \n")), [])).rejects.toMatchObject({
      code: "missing_input",
    });
  });

  it("stops waiting at Ctrl-C", async () => {
    const given = context(new PassThrough());
    const question = readQuestion(given, ["hi"]);
    given.controller.abort();
    await expect(question).rejects.toMatchObject({ code: "cancelled" });
    expect(given.clock.pendingTimers).toBe(0);
  });

  it("says what it waits for when a pipe stays open", async () => {
    const stdin = new PassThrough();
    const given = context(stdin);
    const question = readQuestion(given, ["hi"]);
    await given.clock.advance(1000);
    expect(String(given.stderr.read())).toContain("Waiting for standard input");
    stdin.end("late");
    expect(await question).toBe("hi\n\nlate");
  });
});

const read = (...chunks: (string | Uint8Array)[]) =>
  readStdinSecret({
    stdin: Readable.from(chunks.map((chunk) => Buffer.from(chunk))),
    signal: new AbortController().signal,
  });

describe("readStdinSecret", () => {
  it.each([
    ["gp-1", "gp-1"],
    ["gp-1\n", "gp-1"],
    ["gp-1\r\n", "gp-1"],
    ["gp-1\n\n", "gp-1\n"],
    [" spaces kept ", " spaces kept "],
    ["line\nline\n", "line\nline"],
  ])("reads %j as %j", async (input, value) => {
    expect((await read(input)).reveal()).toBe(value);
  });

  it("puts characters together that were cut apart", async () => {
    const bytes = Buffer.from("ключ 🔑");
    expect((await read(bytes.subarray(0, 3), bytes.subarray(3, 11), bytes.subarray(11))).reveal()).toBe("ключ 🔑");
  });

  it("refuses nothing, too much, and what is not text", async () => {
    await expect(read()).rejects.toMatchObject({ code: "missing_input", hint: expect.stringContaining("< key.txt") });
    await expect(read("\n")).rejects.toMatchObject({ code: "missing_input" });
    await expect(read("x".repeat(65_537))).rejects.toMatchObject({ code: "usage" });
    await expect(read(new Uint8Array([0x67, 0xff, 0xfe]))).rejects.toMatchObject({ code: "usage" });
  });
});
