import { chmod, mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { stateFile } from "./state-file.ts";

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "zeph-state-"));
});

afterEach(() => rm(folder, { recursive: true, force: true }));

const modeOf = async (path: string) => (await stat(path)).mode & 0o777;

describe("stateFile", () => {
  it("is absent at first, then readable by its owner only, as is its folder", async () => {
    const path = join(folder, "state", "history");
    const file = stateFile(path);
    expect(await file.read()).toBeUndefined();
    await file.append("a\n");
    await file.append("b\n");
    expect(await file.read()).toBe("a\nb\n");
    expect(await modeOf(path)).toBe(0o600);
    expect(await modeOf(join(folder, "state"))).toBe(0o700);
  });

  it("is replaced as a whole, and is private then even if it was not before", async () => {
    const path = join(folder, "ledger");
    await writeFile(path, "old");
    await chmod(path, 0o644);
    await stateFile(path).replace("new");
    expect(await stateFile(path).read()).toBe("new");
    expect(await modeOf(path)).toBe(0o600);
  });

  it("names the file it cannot write", async () => {
    await writeFile(join(folder, "file"), "");
    const path = join(folder, "file", "below");
    await expect(stateFile(path).append("x")).rejects.toMatchObject({ code: "file_unwritable", detail: path });
  });
});
