import { describe, expect, it } from "vitest";
import { vaultPaths } from "./files.ts";

const home = { homeDir: "/home/me", platform: "linux" } as const;

describe("vaultPaths", () => {
  it.each([
    ["nothing set", {}, "/home/me/.config/zeph"],
    ["XDG_CONFIG_HOME", { XDG_CONFIG_HOME: "/xdg", APPDATA: "/appdata" }, "/xdg/zeph"],
    ["APPDATA", { APPDATA: "/appdata" }, "/appdata/zeph"],
    ["an empty XDG_CONFIG_HOME", { XDG_CONFIG_HOME: "" }, "/home/me/.config/zeph"],
    ["a relative XDG_CONFIG_HOME", { XDG_CONFIG_HOME: "here" }, "/home/me/.config/zeph"],
  ])("takes the default folder with %s", (_name, env, folder) => {
    expect(vaultPaths({ env, ...home })).toEqual({
      keyFile: `${folder}/vault-key.txt`,
      vaultFile: `${folder}/secrets.age`,
    });
  });

  it("prefers flags to variables to the default, for each file by itself", () => {
    const env = { ZEPH_VAULT_KEY: "/env/key", ZEPH_VAULT_PATH: "/env/vault", XDG_CONFIG_HOME: "/xdg" };
    expect(vaultPaths({ env, ...home })).toEqual({ keyFile: "/env/key", vaultFile: "/env/vault" });
    expect(vaultPaths({ env, ...home, flags: { vaultFile: "/flag/vault" } })).toEqual({
      keyFile: "/env/key",
      vaultFile: "/flag/vault",
    });
    expect(vaultPaths({ env: {}, ...home, flags: { vaultKey: "/flag/key" } })).toEqual({
      keyFile: "/flag/key",
      vaultFile: "/home/me/.config/zeph/secrets.age",
    });
    expect(vaultPaths({ env: { ZEPH_VAULT_PATH: "" }, ...home }).vaultFile).toBe("/home/me/.config/zeph/secrets.age");
  });

  it("refuses an empty flag instead of falling back to another vault", () => {
    expect(() => vaultPaths({ env: {}, ...home, flags: { vaultFile: "" } })).toThrow(
      expect.objectContaining({ code: "usage", detail: "--vault-path is empty" }),
    );
  });

  it("joins as Windows does on Windows", () => {
    const env = { APPDATA: "C:\\Users\\me\\AppData\\Roaming" };
    expect(vaultPaths({ env, homeDir: "C:\\Users\\me", platform: "win32" }).keyFile).toBe(
      "C:\\Users\\me\\AppData\\Roaming\\zeph\\vault-key.txt",
    );
  });
});
