import { describe, expect, it } from "vitest";
import { findConfigFiles } from "./find-config-files.ts";

const USER = "/home/ann/.config/zeph/config.toml";

async function find(files: Record<string, string>, more: object = {}) {
  const { found, writePath } = await findConfigFiles({
    env: {},
    homeDir: "/home/ann",
    platform: "linux",
    cwd: "/work",
    readFile: async (path) => files[path],
    ...more,
  });
  return { found: found.map(({ role, path }) => `${role} ${path}`), writePath };
}

describe("findConfigFiles", () => {
  it("reads the project's file above the user's and writes the user's", async () => {
    expect(await find({ [USER]: "", "/work/config/default.toml": "[llm]\n", "/work/config.toml": "[llm]\n" })).toEqual({
      found: ["project /work/config/default.toml", `user ${USER}`],
      writePath: USER,
    });
  });

  it.each(["[llm]", "[[llm.providers]]", "[ llm . router ]", "  [llm.router]", "llm.routing = 1", "llm = {}"])(
    "knows a project file by %j",
    async (line) => {
      expect((await find({ "/work/config.toml": `title = "x"\n${line}\n` })).found).toEqual([
        "project /work/config.toml",
      ]);
    },
  );

  it.each(['[package]\nname = "llm"\n', "[llm_settings]\n", "# [llm]\n", "this is not toml at all ["])(
    "ignores the file of another program: %j",
    async (text) => {
      expect((await find({ "/work/config.toml": text, "/work/config/default.toml": text })).found).toEqual([]);
    },
  );

  it("reads nothing but a file that is named", async () => {
    const files = { [USER]: "", "/work/config.toml": "[llm]", "/x.toml": "" };
    expect(await find(files, { flags: { config: "/x.toml" } })).toEqual({
      found: ["explicit /x.toml"],
      writePath: "/x.toml",
    });
  });

  it("does not take the user file for a project file", async () => {
    expect((await find({ [USER]: "[llm]" }, { cwd: "/home/ann/.config/zeph" })).found).toEqual([`user ${USER}`]);
  });

  it("writes where it reads, also on macOS", async () => {
    const mac = "/home/ann/Library/Application Support/zeph/config.toml";
    expect(await find({ [mac]: "" }, { platform: "darwin" })).toEqual({ found: [`user ${mac}`], writePath: mac });
    expect(await find({}, { platform: "darwin" })).toEqual({ found: [], writePath: USER });
  });
});
