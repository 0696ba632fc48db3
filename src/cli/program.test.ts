import { readFileSync } from "node:fs";
import { PassThrough } from "node:stream";
import { describe, expect, it } from "vitest";
import { manualClock } from "../base/time.ts";
import { VERSION } from "../version.ts";
import { refuseSecretArguments, runCli } from "./program.ts";

describe("run", () => {
  async function cli(argv: readonly string[], env: Record<string, string> = {}) {
    const stdout = new PassThrough();
    const stderr = new PassThrough();
    const text = { out: "", err: "" };
    stdout.on("data", (chunk) => (text.out += String(chunk)));
    stderr.on("data", (chunk) => (text.err += String(chunk)));
    const exitCode = await runCli(argv, {
      stdin: Object.assign(new PassThrough().end(), { isTTY: false }),
      stdout,
      stderr,
      env,
      cwd: "/nonexistent",
      homeDir: "/nonexistent",
      platform: "linux",
      clock: manualClock(),
      random: () => 0,
      fetch: () => Promise.reject(new Error("nothing may be sent")),
      signal: new AbortController().signal,
    });
    return { exitCode, ...text };
  }

  describe("the command line", () => {
    it("shows help and version with exit code 0", async () => {
      expect(await cli(["--help"])).toMatchObject({ exitCode: 0, out: expect.stringContaining("zeph init") });
      expect(await cli(["--version", "--json"])).toMatchObject({ exitCode: 0, out: `${VERSION}\n` });
    });

    it("names Node and the system with --verbose", async () => {
      for (const argv of [
        ["--version", "--verbose"],
        ["--verbose", "-V"],
      ]) {
        const { exitCode, out } = await cli(argv);
        expect(exitCode).toBe(0);
        expect(out.split("\n")).toEqual([
          VERSION,
          `node ${process.versions.node}`,
          expect.stringMatching(/^linux \S+ \S+$/),
          "",
        ]);
      }
    });

    it("explains a code that an error card names, where nothing is remembered", async () => {
      const { err } = await cli(["models"]);
      const command = /more: zeph (explain config_not_found)/.exec(err)?.[1] ?? "";
      expect(await cli(command.split(" "))).toMatchObject({ exitCode: 0, out: expect.stringMatching(/zeph init/) });
      const { out } = await cli(["explain", "rate_limited", "--json"]);
      expect(JSON.parse(out)).toMatchObject({ data: { code: "rate_limited", exitCode: 15, next: expect.any(String) } });
    });

    it("names the nearest command and exits with 2", async () => {
      const { exitCode, err } = await cli(["modles"]);
      expect(exitCode).toBe(2);
      expect(err).toContain("unknown command");
      expect(err).toContain("models");
    });

    it("says what to do without a configuration, in words and as JSON", async () => {
      expect(await cli(["models"])).toMatchObject({ exitCode: 17, err: expect.stringContaining("zeph init") });
      const { exitCode, out } = await cli(["ask", "hi", "--json"]);
      expect(exitCode).toBe(17);
      expect(JSON.parse(out)).toMatchObject({
        ok: false,
        error: { code: "config_not_found", hint: expect.any(String) },
      });
    });

    it("takes the flags of every command before and after its name", async () => {
      for (const argv of [
        ["--json", "models"],
        ["models", "--json"],
      ]) {
        expect(JSON.parse((await cli(argv)).out)).toMatchObject({ ok: false, error: { code: "config_not_found" } });
      }
      expect((await cli(["--config", "/nonexistent/zeph.toml", "config", "show"])).err).toContain(
        "/nonexistent/zeph.toml",
      );
    });

    it("chats when there is no command, and never takes a mistyped one for a question", async () => {
      expect(await cli([])).toMatchObject({ exitCode: 2, err: expect.stringContaining("zeph ask") });
      expect(await cli(["--provider", "x"])).toMatchObject({ exitCode: 2, err: expect.stringContaining("zeph ask") });
      expect(await cli(["vualt", "list"])).toMatchObject({ exitCode: 2, err: expect.stringContaining("vault") });
    });

    it.each([
      [["--json", "vualt"]],
      [["--config", "/nonexistent/zeph.toml", "modles"]],
      [["--color=never", "modles"]],
      [["--vault", "env", "--verbose", "modles"]],
    ])("takes no mistyped command for a question behind options of every command either: %j", async (argv) => {
      const { exitCode, out, err } = await cli(argv);
      expect(exitCode).toBe(2);
      expect(out + err).toContain("unknown command");
    });

    it("chats with words behind an option of chat, and behind a provider called like a command", async () => {
      for (const argv of [
        ["-m", "x", "hello"],
        ["--provider", "models"],
      ]) {
        expect((await cli(argv)).err).not.toContain("unknown");
      }
      expect((await cli(["--provider", "models"])).err).toContain("zeph ask");
    });

    it.each([
      ["why is the sky blue?"],
      ["explain quantum physics"],
      ["hello?"],
      ["привет"],
      ["what does `vault list` do"],
    ])("asks what can only be a question: %j", async (question) => {
      for (const argv of [[question], ["--json", question], [question, "--no-stream"]]) {
        const { exitCode, out, err } = await cli(argv);
        expect(exitCode).toBe(17);
        expect(out + err).not.toContain("unknown command");
      }
    });

    it.each([["hello"], ["vault list"], ["./notes.txt"]])("does not take %j for one", async (word) => {
      expect(await cli([word])).toMatchObject({ exitCode: 2, err: expect.stringContaining("unknown command") });
    });

    it("names the commands of a group that stands alone, and what help does not know", async () => {
      expect((await cli(["vault"])).err).toMatch(/`zeph vault` needs one of: init, set, get,/);
      const json = JSON.parse((await cli(["config", "--json"])).out);
      expect(json).toMatchObject({
        error: { code: "usage", detail: expect.stringContaining("`zeph config` needs one of: show") },
      });
      expect((await cli(["help", "modles"])).err).toContain('there is no "modles" to help with');
    });

    it.each([
      [["ask", "--api-key", "gp-planted-secret-value"]],
      [["init", "--api-key=gp-planted-secret-value"]],
      [["init", "--private-key", "a1".repeat(32)]],
      [["gp-planted-secret-value"]],
      [["vault", "set", "NAME", "gp-planted-secret-value"]],
      [["ask", `0x${"a1".repeat(32)}`]],
    ])("refuses a secret in the arguments and does not repeat it: %j", async (argv) => {
      const { exitCode, out, err } = await cli(argv);
      expect(exitCode).toBe(2);
      expect(err).toContain("secret was given on the command line");
      expect(out + err).not.toMatch(/planted|a1a1a1/);
    });

    it("does not repeat an unknown word that is long enough to be a secret", async () => {
      const { err } = await cli([`obk-${"z".repeat(20)}`]);
      expect(err).not.toContain("zzzz");
    });
  });

  it("has the version of package.json", () => {
    const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));
    expect(VERSION).toBe(version);
  });
});

const KEYS = [
  "gp-Ab3dEf6hIj9kLm2nOp5q",
  "sk-abcdefghijklmnopqrst",
  `0x${"4f".repeat(32)}`,
  "AGE-SECRET-KEY-1QQQQQQQQ",
  "legal winner thank year wave sausage worth useful legal winner thank yellow",
];

describe("a key on the command line", () => {
  it.each(KEYS)("is refused wherever something is named, and not repeated: %s", async (key) => {
    const lines = [
      ["init", "--base-url", key],
      ["init", "--base-url", `https://${key}/v1`],
      ["init", `--name=${key}`],
      ["init", "--yes", "--node", `${key},gonka1x`],
      ["ask", "-m", key, "hello"],
      ["serve", "--alias", `a=${key}`],
      ["config", "set", "model", key],
      ["--config", "x.toml", "config", "set", key, "x"],
      ["config", "set", "provider", key, "--json"],
    ];
    for (const line of lines) {
      const error = await refuseSecretArguments(line).then(
        () => undefined,
        (thrown: unknown) => thrown,
      );
      expect([line, error]).toEqual([line, expect.objectContaining({ code: "secret_on_command_line" })]);
      expect(String(error)).not.toContain(key);
    }
  });

  it.each([
    [["ask", "legal winner thank year wave sausage worth useful legal winner thank yellow"]],
    [["ask", "--json", "tell what time does the train from rome city leave for paris"]],
    [["init", "--name", "jg-2", "--base-url", "http://127.0.0.1:1/v1"]],
    [["config", "set", "model", "moonshotai/Kimi-K2-Instruct-0905"]],
    [["ask", "-s", "You are a poet.", "hello"]],
  ])("is not seen where there is none: %j", async (line) => {
    await expect(refuseSecretArguments(line)).resolves.toBeUndefined();
  });
});
