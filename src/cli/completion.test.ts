import { execFileSync } from "node:child_process";
import { chmod, mkdir, mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Command } from "commander";
import { beforeEach, describe, expect, it } from "vitest";
import { testCli } from "../../test/support/cli-context.ts";
import { completeWords, runCompletion } from "./completion.ts";
import { buildProgram } from "./program.ts";

let homeDir: string;

beforeEach(async () => {
  homeDir = await mkdtemp(join(tmpdir(), "zeph-completion-"));
});

/** What `zeph completion -- …` prints; the last word is the one under the cursor. */
async function complete(line: string): Promise<readonly string[]> {
  const cli = testCli({ homeDir });
  await completeWords(cli.context, line.split(" ").slice(1));
  return cli.stdout().split("\n").slice(0, -1);
}
const wordsOf = async (line: string) => (await complete(line)).map((each) => each.split("\t")[0]);

describe("what may come next", () => {
  it.each([
    ["zeph doc", ["doctor"]],
    ["zeph vault in", ["init"]],
    ["zeph gonka par", ["participants"]],
    ["zeph doctor --sm", ["--smoke"]],
    ["zeph --json gonka ver", ["verify"]],
    ["zeph --config x.toml gonka ver", ["verify"]],
    ["zeph ask --color al", ["always"]],
    ["zeph ask --color = al", ["always"]],
    ["zeph ask --color =", ["auto", "always", "never"]],
    ["zeph doctor --timeout-secs ", []],
    ["zeph doctor --bundle ", []],
    ["zeph launch codex -- --mo", []],
    ["zeph config set mo", ["model"]],
    ["zeph completion fi", ["fish"]],
    ["zeph migr", []],
    ['zeph --load ""', []],
  ])("completes %s", async (line, expected) => {
    expect(await wordsOf(line)).toEqual(expected);
  });

  it("is every command and every option, with what they are", async () => {
    const { program } = buildProgram(testCli({ homeDir: "/nowhere" }).context);
    const visit = async (command: Command, path: string): Promise<void> => {
      const found = await complete(`${path} `);
      const help = command.createHelp();
      const below = help.visibleCommands(command).filter((each) => each.name() !== "help");
      for (const each of below) expect(found).toContain(`${each.name()}\t${each.description()}`);
      for (const { long, short, description } of [...help.visibleOptions(command), ...program.options]) {
        if (long === "--version" && command !== program) continue;
        for (const flag of [long, short]) if (flag != null) expect(found).toContain(`${flag}\t${description}`);
      }
      for (const each of below) await visit(each, `${path} ${each.name()}`);
    };
    await visit(program, "zeph");
  });

  it("knows models from the cache only, and passes on nothing that a shell would run", async () => {
    const folder = join(homeDir, ".cache", "zeph");
    await mkdir(folder, { recursive: true });
    const models = [{ id: "b/model" }, { id: "a:model-1.0" }, { id: "$(rm -rf /)" }, { id: "x y" }, {}];
    await writeFile(join(folder, "models-0123456789abcdef.json"), JSON.stringify({ readAtMs: 1, models }));
    await writeFile(join(folder, "models-ffffffffffffffff.json"), "{");
    await writeFile(join(folder, "nodes-ffffffffffffffff.json"), JSON.stringify({ models: [{ id: "not-this" }] }));
    expect(await complete("zeph ask --model ")).toEqual(["a:model-1.0", "b/model"]);
    expect((await complete("zeph config set model ")).slice(0, 2)).toEqual(["a:model-1.0", "b/model"]);
  });

  it("is silent about a broken configuration", async () => {
    expect(await complete("zeph ask -m ")).toEqual([]);
    await mkdir(join(homeDir, ".config", "zeph"), { recursive: true });
    const path = join(homeDir, ".config", "zeph", "config.toml");
    await writeFile(path, "[[");
    expect(await complete("zeph ask -p ")).toEqual([]);
    await writeFile(path, '[[llm.providers]]\ntype = "compatible"\nname = "mine"\nbase_url = "https://a.example"\n');
    expect(await complete("zeph ask -p ")).toEqual(["mine"]);
  });
});

describe("zeph completion", () => {
  const scriptFor = async (shell: string | undefined) => {
    const cli = testCli({ homeDir });
    const exitCode = await runCompletion(cli.context, shell === undefined ? {} : { shell });
    return { exitCode, stdout: cli.stdout() };
  };

  it("gives bash what zeph says, the word and not what it is", async () => {
    const { stdout } = await scriptFor("bash");
    await writeFile(
      join(homeDir, "zeph"),
      '#!/bin/sh\nprintf "%s|" "$@" > "$(dirname "$0")/asked"\nprintf "one\\tthe first\\ntwo words\\n"\n',
    );
    await chmod(join(homeDir, "zeph"), 0o755);
    await writeFile(join(homeDir, "stub.bash"), stdout);
    const code = `source ${homeDir}/stub.bash; COMP_WORDS=(zeph ask --model "" x); COMP_CWORD=3; _zeph; printf '%s\\n' "\${COMPREPLY[@]}"; cat ${homeDir}/asked`;
    const env = { ...process.env, PATH: `${homeDir}:${process.env.PATH ?? ""}` };
    expect(execFileSync("bash", ["-c", code], { encoding: "utf8", env })).toBe(
      "one\ntwo words\ncompletion|--|ask|--model||",
    );
  });

  it.each(["bash", "zsh", "fish", "powershell"])("%s asks for nothing but what may come next", async (shell) => {
    const { exitCode, stdout } = await scriptFor(shell);
    expect(exitCode).toBe(0);
    expect([...stdout.matchAll(/zeph completion -- \S+/g)]).toHaveLength(1);
    expect((await scriptFor(shell.toUpperCase())).stdout).toBe(stdout);
  });

  it.each([
    [{ SHELL: "/usr/bin/zsh" }, "linux", "zsh"],
    [{ SHELL: "/opt/homebrew/bin/fish" }, "darwin", "fish"],
    [{ SHELL: "C:\\Program Files\\Git\\usr\\bin\\bash.exe" }, "win32", "bash"],
    [{}, "win32", "powershell"],
    [{ SHELL: "/usr/bin/pwsh" }, "linux", "powershell"],
  ] as const)("without a name it is the user's own shell: %j on %s is %s", async (env, platform, shell) => {
    const cli = testCli({ homeDir });
    expect(await runCompletion({ ...cli.context, env, platform }, {})).toBe(0);
    expect(cli.stdout()).toBe((await scriptFor(shell)).stdout);
    expect(cli.stderr()).toContain(`zeph completion ${shell}`);
  });

  it("does not guess a shell it does not know", async () => {
    const { context } = testCli({ homeDir });
    const run = runCompletion({ ...context, env: { SHELL: "/bin/tcsh" }, platform: "linux" }, {});
    await expect(run).rejects.toMatchObject({ code: "usage", detail: "which shell?" });
  });

  it.each([undefined, "tcsh"])("says which shells it knows: %s", async (shell) => {
    await expect(scriptFor(shell)).rejects.toMatchObject({ code: "usage", hint: /bash, zsh, fish, powershell/ });
  });
});
