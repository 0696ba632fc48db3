import { stripVTControlCharacters } from "node:util";
import { describe, expect, it } from "vitest";
import { testCli } from "../../test/support/cli-context.ts";
import { promptConfirm, promptHidden, promptText } from "./prompt.ts";

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
    const key = await promptHidden(cli.context, "Your key", {
      validate: (value) => (value.reveal().startsWith("gp-") ? undefined : "This begins with gp-"),
    });
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
  it("give what was typed, or the preset for plain Enter", async () => {
    const typed = testCli({ homeDir, keys: [[/Name/, "zeph\r"]] });
    expect(await promptText(typed.context, "Name")).toBe("zeph");
    const preset = testCli({ homeDir, keys: [[/Name/, "\r"]] });
    expect(await promptText(preset.context, "Name", { initial: "gonka" })).toBe("gonka");
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
