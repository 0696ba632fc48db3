import { execFileSync } from "node:child_process";
import { lstat, mkdir, mkdtemp, readdir, readFile, readlink, stat, symlink, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { writeFileAtomic } from "./files.ts";

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

  it("leaves a link that leads nowhere a link, and makes the file it stands for", async () => {
    await mkdir(join(folder, "dotfiles"));
    const link = join(folder, "config.toml");
    await symlink("dotfiles/mine.toml", link);
    await writeFileAtomic(link, "new");
    expect(await readlink(link)).toBe("dotfiles/mine.toml");
    expect(await readFile(join(folder, "dotfiles", "mine.toml"), "utf8")).toBe("new");
  });

  it("does not put a file in the place of a link whose disk is not there", async () => {
    const link = join(folder, "config.toml");
    await symlink("not-mounted/config.toml", link);
    await expect(writeFileAtomic(link, "new")).rejects.toMatchObject({ code: "file_unwritable" });
    expect(await readlink(link)).toBe("not-mounted/config.toml");
    expect(await readdir(folder)).toEqual(["config.toml"]);
  });

  it.runIf(process.platform === "linux")(
    "never replaces what is no file, as a history that leads to a device",
    async () => {
      const pipe = join(folder, "pipe");
      execFileSync("mkfifo", [pipe]);
      const link = join(folder, "history");
      await symlink(pipe, link);
      for (const path of [pipe, link]) {
        await expect(writeFileAtomic(path, "x", { backup: "timestamped" })).rejects.toMatchObject({
          code: "file_unwritable",
          detail: `${pipe} is a named pipe, not a file`,
        });
      }
      expect((await lstat(pipe)).isFIFO()).toBe(true);
      expect((await readdir(folder)).sort()).toEqual(["history", "pipe"]);
    },
  );

  it("keeps no empty backup", async () => {
    const path = join(folder, "config.toml");
    await writeFile(path, "");
    expect(await writeFileAtomic(path, "x", { backup: "timestamped", clock })).toEqual({ path, backupPath: undefined });
    expect(await readdir(folder)).toEqual(["config.toml"]);
  });

  it("sweeps up what a killed write of the same file left a minute ago, and nothing else", async () => {
    const path = join(folder, "config.toml");
    const old = ["0123456789ab", "ba9876543210"].map((mark) => join(folder, `.config.toml.${mark}.tmp`));
    const others = [".other.toml.0123456789ab.tmp", ".config.toml.mine.tmp", ".config.toml.aaaaaaaaaaaa.tmp"];
    for (const left of [...old, ...others.map((name) => join(folder, name))]) await writeFile(left, "half");
    const past = Date.now() / 1000 - 90;
    for (const left of [...old, join(folder, others[0] ?? ""), join(folder, others[1] ?? "")])
      await utimes(left, past, past);
    await writeFileAtomic(path, "x");
    expect((await readdir(folder)).sort()).toEqual([...others, "config.toml"].sort());
  });
});
