import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { testCli } from "../../test/support/cli-context.ts";
import {
  allCommands,
  bashCompletion,
  fishCompletion,
  powershellCompletion,
  runCompletion,
  toCommandTree,
  zshCompletion,
} from "./completion.ts";
import { buildProgram } from "./program.ts";

let homeDir: string;

beforeEach(async () => {
  homeDir = await mkdtemp(join(tmpdir(), "zeph-completion-"));
});

const { program } = buildProgram(testCli({ homeDir: "/nowhere" }).context);
const tree = toCommandTree(program);

describe("the command tree", () => {
  it("holds the commands, their options and what follows these", () => {
    const paths = allCommands(tree).map(({ path }) => path.join(" "));
    expect(paths).toEqual(
      expect.arrayContaining(["", "vault", "vault set", "doctor", "gonka", "gonka doctor", "completion"]),
    );
    expect(paths).not.toContain("help");
    const doctor = allCommands(tree).find(({ path }) => path.join(" ") === "doctor");
    expect(doctor?.options).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ name: "--smoke", value: { kind: "none" } }),
        expect.objectContaining({ name: "--bundle", value: { kind: "file" } }),
        expect.objectContaining({ name: "--provider", value: { kind: "provider" } }),
        expect.objectContaining({ name: "--timeout-secs", value: { kind: "free" } }),
        expect.objectContaining({ name: "--color", value: { kind: "choice", choices: ["auto", "always", "never"] } }),
      ]),
    );
  });
});

describe.each([
  ["bash", bashCompletion],
  ["zsh", zshCompletion],
  ["fish", fishCompletion],
  ["powershell", powershellCompletion],
] as const)("the script for %s", (shell, render) => {
  const script = render(tree);

  it("knows every command and every option", () => {
    for (const { path, options } of allCommands(tree)) {
      expect(script).toContain(path.join(" "));
      for (const { name } of options) expect(script).toContain(shell === "fish" ? name.replace(/^-+/, "") : name);
    }
  });

  it("asks for models and providers, and for nothing else, when it is used", () => {
    const calls = [...script.matchAll(/zeph completion (\w+) 2>/g)].map(([, what]) => what);
    expect(new Set(calls)).toEqual(new Set(["models", "providers"]));
  });
});

describe("bash", () => {
  const path = join(tmpdir(), `zeph-completion-${process.pid}.bash`);

  function complete(line: string, bin = ""): string[] {
    const words = line.split(" ");
    const list = words.map((word) => `'${word}'`).join(" ");
    const code = `${bin}\nsource ${path}\nCOMP_WORDS=(${list}); COMP_CWORD=${words.length - 1}; _zeph; printf '%s\\n' "\${COMPREPLY[@]}"`;
    return execFileSync("bash", ["-c", code], { encoding: "utf8" })
      .split("\n")
      .filter((word) => word !== "");
  }

  beforeEach(() => writeFile(path, bashCompletion(tree)));

  it.each([
    ["zeph doc", ["doctor"]],
    ["zeph vault in", ["init"]],
    ["zeph gonka par", ["participants"]],
    ["zeph doctor --sm", ["--smoke"]],
    ["zeph --json gonka ver", ["verify"]],
    ["zeph ask --color al", ["always"]],
    ["zeph doctor --timeout-secs ", []],
  ])("completes %s", (line, expected) => {
    expect(complete(line)).toEqual(expected);
  });

  it("completes models and providers by asking zeph", () => {
    const zeph =
      'zeph() { [ "$1 $2" = "completion models" ] && echo example/model-a example/model-b || echo gonkagate; }';
    expect(complete("zeph ask --model example/model-b", zeph)).toEqual(["example/model-b"]);
    expect(complete("zeph config set model ex", zeph)).toEqual(["example/model-a", "example/model-b"]);
    expect(complete("zeph ask --provider g", zeph)).toEqual(["gonkagate"]);
  });
});

describe("zeph completion", () => {
  const run = async (shell: string | undefined) => {
    const cli = testCli({ homeDir });
    const exitCode = await runCompletion(cli.context, shell === undefined ? {} : { shell }, tree);
    return { exitCode, stdout: cli.stdout() };
  };

  it("prints the script", async () => {
    expect((await run("bash")).stdout).toBe(bashCompletion(tree));
    expect((await run("PowerShell")).stdout).toContain("Register-ArgumentCompleter");
  });

  it.each([
    [{ SHELL: "/usr/bin/zsh" }, "linux", "zsh"],
    [{ SHELL: "/opt/homebrew/bin/fish" }, "darwin", "fish"],
    [{ SHELL: "C:\\Program Files\\Git\\usr\\bin\\bash.exe" }, "win32", "bash"],
    [{}, "win32", "powershell"],
    [{ SHELL: "/usr/bin/pwsh" }, "linux", "powershell"],
  ] as const)("without a name it is the user's own shell: %j on %s is %s", async (env, platform, shell) => {
    const cli = testCli({ homeDir });
    expect(await runCompletion({ ...cli.context, env, platform }, {}, tree)).toBe(0);
    const named = testCli({ homeDir });
    await runCompletion(named.context, { shell }, tree);
    expect(cli.stdout()).toBe(named.stdout());
    expect(cli.stderr()).toContain(`zeph completion ${shell}`);
  });

  it("does not guess a shell it does not know", async () => {
    const { context } = testCli({ homeDir });
    const run = runCompletion({ ...context, env: { SHELL: "/bin/tcsh" }, platform: "linux" }, {}, tree);
    await expect(run).rejects.toMatchObject({ code: "usage", detail: "which shell?" });
  });

  it.each([undefined, "tcsh"])("says which shells it knows: %s", async (shell) => {
    await expect(run(shell)).rejects.toMatchObject({ code: "usage", hint: /bash, zsh, fish, powershell/ });
  });

  it("knows models from the cache only, and passes on nothing that a shell would run", async () => {
    const folder = join(homeDir, ".cache", "zeph");
    await mkdir(folder, { recursive: true });
    const models = [{ id: "b/model" }, { id: "a:model-1.0" }, { id: "$(rm -rf /)" }, { id: "x y" }, {}];
    await writeFile(join(folder, "models-0123456789abcdef.json"), JSON.stringify({ readAtMs: 1, models }));
    await writeFile(join(folder, "models-ffffffffffffffff.json"), "{");
    await writeFile(join(folder, "nodes-ffffffffffffffff.json"), JSON.stringify({ models: [{ id: "not-this" }] }));
    expect((await run("models")).stdout).toBe("a:model-1.0\nb/model\n");
  });

  it("is silent about a broken configuration", async () => {
    await mkdir(join(homeDir, ".config", "zeph"), { recursive: true });
    const path = join(homeDir, ".config", "zeph", "config.toml");
    await writeFile(path, "[[");
    expect(await run("providers")).toEqual({ exitCode: 0, stdout: "" });
    await writeFile(path, '[[llm.providers]]\ntype = "compatible"\nname = "mine"\nbase_url = "https://a.example"\n');
    expect((await run("providers")).stdout).toBe("mine\n");
    expect((await run("models")).stdout).toBe("");
  });
});
