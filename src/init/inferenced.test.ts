import { chmod, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Writable } from "node:stream";
import { describe, expect, it } from "vitest";
import { manualClock } from "../base/time.ts";
import { ZephError } from "../errors.ts";
import {
  findProgram,
  inferencedAt,
  judgeVersion,
  type ProgramResult,
  parseKeyList,
  publishKeyArgs,
  type RunProgram,
  type RunProgramOptions,
  runProgram,
  versionAdvice,
} from "./inferenced.ts";

describe("inferenced", () => {
  const KEY = "4c".repeat(32);
  const TEST_KEYRING = { backend: "test" };

  function program(answer: (options: RunProgramOptions) => Partial<ProgramResult>, interactive = false) {
    const runs: RunProgramOptions[] = [];
    const shown: string[] = [];
    const run: RunProgram = async (options) => {
      runs.push(options);
      return { exitCode: 0, timedOut: false, stdout: "", stderr: "", ...answer(options) };
    };
    const stderr = new Writable({
      write(chunk, _encoding, done) {
        shown.push(String(chunk));
        done();
      },
    });
    const { signal } = new AbortController();
    const world = { env: {}, platform: "linux", clock: manualClock(), signal, interactive, stderr } as const;
    return { inferenced: inferencedAt("/bin/inferenced", world, run), runs, shown };
  }

  async function failureOf(call: Promise<unknown>): Promise<ZephError> {
    return call.then(
      () => {
        throw new Error("nothing was thrown");
      },
      (error: unknown) => {
        if (ZephError.is(error)) return error;
        throw error;
      },
    );
  }

  describe("the version", () => {
    it.each([
      ["v0.2.13", "ok"],
      ["0.2.12", "ok"],
      ["release/v0.2.15-post1", "ok"],
      ["v1.0.0", "ok"],
      ["v0.2.11", "too-old"],
      ["0.1.99", "too-old"],
      ["7f2c9aa", "unreadable"],
      ["", "unreadable"],
    ])("%s is %s", (text, fit) => {
      expect(judgeVersion(text).fit).toBe(fit);
    });

    it("is advice with the release page, never more", () => {
      expect(versionAdvice(judgeVersion("v0.2.13"))).toBeUndefined();
      for (const text of ["v0.2.1", "a hash"]) {
        expect(versionAdvice(judgeVersion(text))).toContain("https://github.com/gonka-ai/gonka/releases");
      }
    });

    it.each([
      ["hangs", { timedOut: true, exitCode: undefined }],
      ["fails", { exitCode: 1, stderr: "panic" }],
    ])("is unreadable when the program %s, which ends nothing", async (_how, result) => {
      const { inferenced, runs } = program(() => result);
      expect((await inferenced.version()).fit).toBe("unreadable");
      expect(runs[0]?.timeLimitMs).toBeLessThanOrEqual(5_000);
    });

    it("is read from either stream", async () => {
      expect(await program(() => ({ stderr: "v0.2.13\n" })).inferenced.version()).toEqual({
        text: "v0.2.13",
        fit: "ok",
      });
    });
  });

  describe("the list of keys", () => {
    const json = JSON.stringify([
      { name: "a", type: "local", address: "gonka1a", pubkey: "{}" },
      { name: "b", type: "ledger", address: "gonka1b" },
      { name: 1 },
    ]);

    it("is read from JSON, with what is printed around it", () => {
      const expected = [
        { name: "a", address: "gonka1a" },
        { name: "b", address: "gonka1b" },
      ];
      expect(parseKeyList(json)).toEqual(expected);
      expect(parseKeyList(`warning: something\n${json}\n`)).toEqual(expected);
    });

    it.each(["", "[]\n", "No records were found in keyring\n"])("is empty for %j", (text) => {
      expect(parseKeyList(text)).toEqual([]);
    });

    it("is refused as YAML, whose lines are no names", () => {
      const yaml = '- address: gonka1a\n  name: a\n  pubkey: \'{"@type":"x"}\'\n  type: local\n';
      expect(() => parseKeyList(yaml)).toThrow(ZephError);
    });

    it.each([
      "Error: too many failed passphrase attempts\n",
      "incorrect passphrase\nincorrect passphrase\ntoo many failed passphrase attempts\n",
      "Error: failed to unlock the collection\n",
    ])("that is empty beside %j is a locked keyring", async (stderr) => {
      const { inferenced } = program(() => ({ stdout: "[]\n", stderr }));
      const error = await failureOf(inferenced.list({ backend: "file", home: "/keys" }));
      expect(error.code).toBe("inferenced_failed");
      expect(error.detail).toContain("the keyring (file, /keys) did not open");
      expect(error.hint).toContain("passphrase");
      expect(error.hint).toContain("--keyring-backend file --home /keys");
    });

    it("is believed where a wrong passphrase was followed by the right one", async () => {
      const { inferenced } = program(() => ({ stdout: json, stderr: "incorrect passphrase\n" }));
      expect(await inferenced.list({ backend: "file" })).toHaveLength(2);
    });

    it("is asked for with backend and folder", async () => {
      const { inferenced, runs } = program(() => ({ stdout: json }));
      await inferenced.list({ backend: "file", home: "/keys" });
      expect(runs[0]?.args).toEqual(
        "keys list --output json --keyring-backend file --home /keys --keyring-dir /keys".split(" "),
      );
    });
  });

  describe("the export", () => {
    it("takes exactly one line of 64 hex digits from either stream", async () => {
      const exported = (result: Partial<ProgramResult>) =>
        program(() => result).inferenced.exportKey(TEST_KEYRING, "a");
      expect((await exported({ stdout: `${KEY}\n` })).reveal()).toBe(KEY);
      expect((await exported({ stdout: `note\r\n${KEY.toUpperCase()}\r\n` })).reveal()).toBe(KEY);
      expect((await exported({ stderr: `WARNING [y/N]: \n${KEY}\n` })).reveal()).toBe(KEY);
      for (const stdout of ["", "no key", `${KEY}\n${KEY}\n`, `${KEY}00\n`, `key: ${KEY}\n`]) {
        const error = await failureOf(exported({ stdout }));
        expect(error.code).toBe("inferenced_failed");
        expect(JSON.stringify(error)).not.toContain(KEY);
      }
    });

    it("answers the question, and leaves out flags that this build does not know", async () => {
      const { inferenced, runs } = program(({ args }) => {
        if (args.includes("--indiscreet")) return { exitCode: 1, stderr: "Error: unknown flag: --indiscreet\n" };
        if (args.includes("-y")) return { exitCode: 1, stderr: "Error: unknown shorthand flag: 'y' in -y\n" };
        return { stdout: `${KEY}\n` };
      });
      expect((await inferenced.exportKey(TEST_KEYRING, "a")).reveal()).toBe(KEY);
      expect(runs).toHaveLength(3);
      expect(runs.map(({ stdin }) => stdin)).toEqual(Array(3).fill({ text: "y\n" }));
      expect(runs.at(-1)?.args).toEqual("keys export a --unarmored-hex --unsafe --keyring-backend test".split(" "));
    });

    it("lets the terminal through for a passphrase, and no key onto it", async () => {
      const { inferenced, runs, shown } = program(({ onStderr }) => {
        onStderr?.("Enter keyring pass");
        onStderr?.(`phrase:\n${KEY.slice(0, 20)}`);
        onStderr?.(`${KEY.slice(20)}\nthe end\n`);
        return { stderr: `Enter keyring passphrase:\n${KEY}\nthe end\n` };
      }, true);
      expect((await inferenced.exportKey({ backend: "file" }, "a")).reveal()).toBe(KEY);
      expect(runs[0]?.stdin).toBe("terminal");
      expect(shown.join("")).toBe("Enter keyring passphrase:\nthe end\n");
    });

    it("shows the user nothing of the flags that were tried", async () => {
      const { inferenced, runs, shown } = program(({ args, onStderr }) => {
        if (args.includes("--indiscreet")) {
          const complaint = ["Err", "or: unknown flag: --indiscreet\nUsage:\n", "  inferenced keys export <name>\n"];
          for (const text of complaint) onStderr?.(text);
          return { exitCode: 1, stderr: complaint.join("") };
        }
        onStderr?.("Enter keyring passphrase:\n");
        return { stdout: `${KEY}\n` };
      }, true);
      expect((await inferenced.exportKey({ backend: "file" }, "a")).reveal()).toBe(KEY);
      expect(runs).toHaveLength(2);
      expect(shown.join("")).toBe("Enter keyring passphrase:\n");
    });

    it("shows the user nothing of a usage text that comes before the complaint", async () => {
      const usage = [
        "Usa",
        "ge:\n  inferenced keys export <name> [flags]\n\nFlags:\n",
        "  -h, --help   help for export\n\n",
      ];
      const { inferenced, shown } = program(({ args, onStderr }) => {
        if (args.includes("--indiscreet")) {
          const complaint = [...usage, "unknown flag: --indiscreet\n"];
          for (const text of complaint) onStderr?.(text);
          return { exitCode: 1, stderr: complaint.join("") };
        }
        onStderr?.("Enter keyring passphrase:\nUse it well\n");
        return { stdout: `${KEY}\n` };
      }, true);
      expect((await inferenced.exportKey({ backend: "file" }, "a")).reveal()).toBe(KEY);
      expect(shown.join("")).toBe("Enter keyring passphrase:\nUse it well\n");
    });

    it("repeats the complaint, not the last line of a usage text behind it", async () => {
      const stderr =
        "Error: a: key not found\nUsage:\n  inferenced keys export <name> [flags]\n\n  -h, --help   help\n";
      const error = await failureOf(program(() => ({ exitCode: 1, stderr })).inferenced.exportKey(TEST_KEYRING, "a"));
      expect(error.detail).toContain("Error: a: key not found");
      expect(error.detail).not.toContain("--help");
    });

    it("ends in time and says what to run by hand", async () => {
      const { inferenced } = program(() => ({ timedOut: true, exitCode: undefined as never }));
      const error = await failureOf(inferenced.exportKey(TEST_KEYRING, "a"));
      expect(error.detail).toContain("did not end in time");
      expect(error.hint).toContain("`inferenced keys export a --unarmored-hex --unsafe");
    });

    it("repeats the program's complaint, without what looks like a key", async () => {
      const { inferenced } = program(() => ({ exitCode: 1, stderr: `Error: no ${KEY}\n` }));
      const error = await failureOf(inferenced.exportKey(TEST_KEYRING, "a"));
      expect(error.detail).toContain("Error: no [redacted]");
    });
  });

  it("names of keys cannot become flags", async () => {
    const { inferenced, runs } = program(() => ({}));
    for (const name of ["--home", "a b", ""]) {
      expect((await failureOf(inferenced.address(TEST_KEYRING, name))).code).toBe("inferenced_failed");
    }
    expect(runs).toEqual([]);
  });

  it("making a key happens at the user's own terminal, where nothing is captured", async () => {
    const { inferenced, runs } = program(() => ({}), true);
    await inferenced.add({ backend: "file" }, "zeph");
    expect(runs[0]).toMatchObject({ stdin: "terminal", stdout: "terminal", stderr: "terminal" });
    expect(runs[0]?.args.slice(0, 3)).toEqual(["keys", "add", "zeph"]);
  });

  it("publishing the key names a backend even where nobody knows which", () => {
    const args = publishKeyArgs("NAME", { nodeUrl: "https://n.example", chainId: "c-1", keyring: undefined });
    expect(args.join(" ")).toMatch(/ --keyring-backend BACKEND$/);
  });

  it("publishing the key names chain and node", () => {
    const args = publishKeyArgs("zeph", { nodeUrl: "https://n.example", chainId: "c-1", keyring: TEST_KEYRING });
    expect(args.join(" ")).toBe(
      "publish-pubkey --from zeph --gas-prices 10ngonka --node https://n.example/chain-rpc/ --chain-id c-1 --yes --keyring-backend test",
    );
  });
});

function find(env: Record<string, string>, platform: NodeJS.Platform, existing: readonly string[]) {
  return findProgram("inferenced", { env, platform, isExecutable: async (path) => existing.includes(path) });
}

describe("findProgram", () => {
  it("takes the first folder of PATH that has it", async () => {
    const env = { PATH: "/a:/b:/c" };
    expect(await find(env, "linux", ["/b/inferenced", "/c/inferenced"])).toBe("/b/inferenced");
    expect(await find(env, "linux", [])).toBeUndefined();
    expect(await find({}, "linux", ["/inferenced"])).toBeUndefined();
  });

  it("never looks in the working folder", async () => {
    expect(
      await find({ PATH: ".::bin:/b" }, "linux", ["inferenced", "bin/inferenced", "./inferenced"]),
    ).toBeUndefined();
    expect(await find({ Path: ".;C:\\b" }, "win32", ["inferenced.EXE", ".\\inferenced.EXE"])).toBeUndefined();
  });

  it("knows Windows: Path in any spelling, quotes, and the endings of PATHEXT in their order", async () => {
    const env = { Path: 'C:\\a;"C:\\b c"', PATHEXT: ".COM;.EXE;.CMD" };
    expect(await find(env, "win32", ["C:\\b c\\inferenced.EXE"])).toBe("C:\\b c\\inferenced.EXE");
    expect(await find(env, "win32", ["C:\\a\\inferenced.EXE", "C:\\a\\inferenced.COM"])).toBe("C:\\a\\inferenced.COM");
    expect(await find({ PATH: "C:\\a" }, "win32", ["C:\\a\\inferenced.EXE"])).toBe("C:\\a\\inferenced.EXE");
  });

  it("leaves scripts alone that would need a shell", async () => {
    const env = { Path: "C:\\a", PATHEXT: ".BAT;.CMD;.EXE" };
    expect(await find(env, "win32", ["C:\\a\\inferenced.CMD", "C:\\a\\inferenced.BAT"])).toBeUndefined();
  });

  it.skipIf(process.platform === "win32")("takes files that may be run, not folders and not others", async () => {
    const folder = await mkdtemp(join(tmpdir(), "zeph-path-"));
    try {
      const [one = "", two = "", three = ""] = ["1", "2", "3"].map((name) => join(folder, name));
      for (const each of [one, two, three]) await mkdir(each);
      await mkdir(join(one, "inferenced"));
      await writeFile(join(two, "inferenced"), "");
      await writeFile(join(three, "inferenced"), "");
      await chmod(join(three, "inferenced"), 0o755);
      const env = { PATH: `${one}:${two}:${three}` };
      expect(await findProgram("inferenced", { env, platform: "linux" })).toBe(join(three, "inferenced"));
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});

function run(script: string, options: Partial<RunProgramOptions> = {}) {
  const { signal } = new AbortController();
  return runProgram({
    file: process.execPath,
    args: ["-e", script],
    env: { PLANTED: "from the caller" },
    stdin: { text: "y\n" },
    clock: manualClock(),
    signal,
    ...options,
  });
}

describe("runProgram", () => {
  it("gives input and environment, and gathers output and exit code", async () => {
    const script = `process.stdin.on("data", (text) => { console.log(process.env.PLANTED, String(text).trim()); console.error("e"); process.exitCode = 3; })`;
    const seen: string[] = [];
    const result = await run(script, { onStderr: (text) => seen.push(text) });
    expect(result).toEqual({ exitCode: 3, timedOut: false, stdout: "from the caller y\n", stderr: "e\n" });
    expect(seen.join("")).toBe("e\n");
  });

  it("ends a program that hangs", async () => {
    const clock = manualClock();
    const ended = run("console.error('here'); setInterval(() => {}, 1000)", {
      clock,
      timeLimitMs: 5_000,
      onStderr: () => void clock.advance(5_000),
    });
    expect(await ended).toMatchObject({ timedOut: true, exitCode: undefined });
    expect(clock.pendingTimers).toBe(0);
  });

  it("ends with the caller", async () => {
    const controller = new AbortController();
    const ended = run("console.error('here'); setInterval(() => {}, 1000)", {
      signal: controller.signal,
      onStderr: () => controller.abort(new Error("enough")),
    });
    await expect(ended).rejects.toThrow("enough");
  });

  it("rejects for a program that is not there, and does not mind one that reads nothing", async () => {
    await expect(run("", { file: "/does/not/exist" })).rejects.toThrow("ENOENT");
    expect(await run("", { stdin: { text: "x".repeat(1_000_000) } })).toMatchObject({ exitCode: 0 });
  });
});
