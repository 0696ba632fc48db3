import { mkdtemp, readdir, readFile, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { writeConfig } from "./write.ts";

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
