import { mkdtemp, readdir, readFile, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { configPaths, findConfigFiles, writeConfig, zephFolders } from "./files.ts";

const linux = { env: {}, homeDir: "/home/ann", platform: "linux", cwd: "/work" } as const;

describe("zephFolders", () => {
  it.each([
    ["the home folder", linux, ["/home/ann/.config/zeph", "/home/ann/.local/state/zeph", "/home/ann/.cache/zeph"]],
    [
      "the XDG variables",
      { ...linux, env: { XDG_CONFIG_HOME: "/c", XDG_STATE_HOME: "/s", XDG_CACHE_HOME: "/k" } },
      ["/c/zeph", "/s/zeph", "/k/zeph"],
    ],
    [
      "no relative variable",
      { ...linux, env: { XDG_CONFIG_HOME: "c", XDG_STATE_HOME: "" } },
      ["/home/ann/.config/zeph", "/home/ann/.local/state/zeph", "/home/ann/.cache/zeph"],
    ],
    [
      "the Windows folders",
      {
        env: { APPDATA: "C:\\Users\\ann\\AppData\\Roaming", LOCALAPPDATA: "C:\\Users\\ann\\AppData\\Local" },
        homeDir: "C:\\Users\\ann",
        platform: "win32",
      },
      [
        "C:\\Users\\ann\\AppData\\Roaming\\zeph",
        "C:\\Users\\ann\\AppData\\Local\\zeph",
        "C:\\Users\\ann\\AppData\\Local\\zeph",
      ],
    ],
    [
      "no Windows path under Linux",
      { ...linux, env: { APPDATA: "C:\\Users\\ann" } },
      ["/home/ann/.config/zeph", "/home/ann/.local/state/zeph", "/home/ann/.cache/zeph"],
    ],
  ] as const)("uses %s", (_what, context, [config, state, cache]) => {
    expect(zephFolders(context)).toEqual({ config, state, cache });
  });
});

describe("configPaths", () => {
  it("takes the flag before the variable, relative to the working folder", () => {
    const context = { ...linux, env: { ZEPH_CONFIG: "/env.toml" } };
    expect(configPaths(context, { config: "my.toml" }).explicit).toEqual({
      path: "/work/my.toml",
      from: "flag --config",
    });
    expect(configPaths(context).explicit).toEqual({ path: "/env.toml", from: "env ZEPH_CONFIG" });
    expect(configPaths({ ...linux, env: { ZEPH_CONFIG: " " } }).explicit).toBeUndefined();
  });

  it("looks in Zeph's folder on macOS after the common one", () => {
    expect(configPaths({ ...linux, homeDir: "/Users/ann", platform: "darwin" }).user).toEqual([
      "/Users/ann/.config/zeph/config.toml",
      "/Users/ann/Library/Application Support/zeph/config.toml",
    ]);
  });
});

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

describe("write", () => {
  const clock = { nowMs: () => Date.UTC(2026, 10, 22, 12, 0, 0) };
  let path: string;

  beforeEach(async () => {
    path = join(await mkdtemp(join(tmpdir(), "zeph-config-")), "zeph", "config.toml");
  });

  describe("writeConfig", () => {
    it("writes for the owner only and keeps what was there", async () => {
      await writeConfig(path, "[llm]\n", { clock });
      const second = await writeConfig(path, "[llm]\n# more\n", { clock, previous: "[llm]\n" });
      expect((await stat(path)).mode & 0o777).toBe(0o600);
      expect(second.backupPath).toBe(`${path}.20261122T120000Z.bak`);
      expect(await readFile(`${path}.20261122T120000Z.bak`, "utf8")).toBe("[llm]\n");
    });

    it("makes no backup of what did not change", async () => {
      await writeConfig(path, "[llm]\n", { clock });
      await writeConfig(path, "[llm]\n", { clock, previous: "[llm]\n" });
      expect(await readdir(join(path, ".."))).toEqual(["config.toml"]);
    });

    it("writes nothing that is not TOML", async () => {
      await expect(writeConfig(path, "[llm\n", { clock })).rejects.toMatchObject({ code: "config_invalid" });
      await expect(stat(path)).rejects.toMatchObject({ code: "ENOENT" });
    });
  });
});
