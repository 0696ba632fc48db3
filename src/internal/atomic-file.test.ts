import { mkdtemp, readdir, readFile, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { writeFileAtomic } from "./atomic-file.ts";

const clock = { nowMs: () => Date.UTC(2026, 10, 22, 20, 9, 5, 123) };
let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "zeph-atomic-"));
});

describe("writeFileAtomic", () => {
  it("makes the file and its folders readable by the owner only", async () => {
    const path = join(folder, "a", "b", "config.toml");
    const written = await writeFileAtomic(path, "x = 1\n");
    expect(written).toEqual({ path, backupPath: undefined });
    expect(await readFile(path, "utf8")).toBe("x = 1\n");
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect((await stat(join(folder, "a"))).mode & 0o777).toBe(0o700);
    expect(await readdir(join(folder, "a", "b"))).toEqual(["config.toml"]);
  });

  it("tightens the mode of a file that others could read", async () => {
    const path = join(folder, "open");
    await writeFile(path, "old", { mode: 0o644 });
    await writeFileAtomic(path, new Uint8Array([1, 2]));
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect([...(await readFile(path))]).toEqual([1, 2]);
  });

  it("keeps every earlier content, also of two changes in one second", async () => {
    const path = join(folder, "config.toml");
    await writeFileAtomic(path, "one", { backup: "timestamped", clock });
    const second = await writeFileAtomic(path, "two", { backup: "timestamped", clock });
    const third = await writeFileAtomic(path, "three", { backup: "timestamped", clock });
    expect(second.backupPath).toBe(`${path}.20261122T200905Z.bak`);
    expect(third.backupPath).toBe(`${path}.20261122T200905Z-2.bak`);
    expect(await readFile(`${path}.20261122T200905Z.bak`, "utf8")).toBe("one");
    expect(await readFile(`${path}.20261122T200905Z-2.bak`, "utf8")).toBe("two");
    expect((await stat(`${path}.20261122T200905Z.bak`)).mode & 0o777).toBe(0o600);
  });

  it("writes through a symbolic link", async () => {
    const real = join(folder, "dotfiles.toml");
    await writeFile(real, "old");
    const link = join(folder, "config.toml");
    await symlink(real, link);
    await writeFileAtomic(link, "new");
    expect(await readFile(real, "utf8")).toBe("new");
    expect((await readdir(folder)).sort()).toEqual(["config.toml", "dotfiles.toml"]);
  });

  it("names the path and leaves no temporary file when it cannot write", async () => {
    const path = join(folder, "occupied");
    await writeFileAtomic(join(path, "inside"), "x");
    await expect(writeFileAtomic(path, "y")).rejects.toMatchObject({
      code: "file_unwritable",
      detail: expect.stringContaining(path),
    });
    expect(await readdir(folder)).toEqual(["occupied"]);
  });
});
