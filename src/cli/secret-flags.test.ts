import { describe, expect, it } from "vitest";
import { refuseSecretArguments } from "./secret-flags.ts";

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
