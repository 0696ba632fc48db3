import { chmod, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { findProgram } from "./find-program.ts";

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
