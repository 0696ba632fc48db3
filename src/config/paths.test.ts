import { describe, expect, it } from "vitest";
import { configPaths, zephFolders } from "./paths.ts";

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
