import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { readTextFile } from "../base/files.ts";
import { Secret } from "../base/secret.ts";
import { systemClock } from "../base/time.ts";
import { ZephError } from "../errors.ts";
import { setModel } from "./edit.ts";
import { changeConfig, readTrust, rememberTrust, writeConfig } from "./files.ts";
import { bindKey, readKeyOrigins, unbindKey } from "./trust.ts";

/* Two of everything at the same moment. Every change holds a lock of its own, so that one process is as good as many. */

let homeDir: string;
beforeEach(async () => {
  homeDir = await mkdtemp(join(tmpdir(), "zeph-at-once-"));
});
afterEach(() => rm(homeDir, { recursive: true }));

const world = () => ({ env: {}, homeDir, platform: "linux", clock: systemClock }) as const;
const folder = () => join(homeDir, ".config/zeph");
const NUMBERS = Array.from({ length: 12 }, (_, number) => number);

describe("at the same moment", () => {
  it("keys are bound and forgotten, and none is lost", async () => {
    await bindKey(world(), { name: "OLD", secret: new Secret("old"), origins: ["https://old.example"] });
    await Promise.all([
      ...NUMBERS.map((number) =>
        bindKey(world(), {
          name: `K${number}`,
          secret: new Secret(`k${number}`),
          origins: [`https://${number}.example`],
        }),
      ),
      unbindKey(world(), "OLD"),
    ]);
    const origins = await readKeyOrigins(world());
    expect(NUMBERS.map((number) => origins.named(`K${number}`))).toEqual(NUMBERS.map((n) => [`https://${n}.example`]));
    expect(origins.named("OLD")).toBeUndefined();
    expect(await readdir(folder())).toEqual(["key-origins.json"]);
  });

  it("files are trusted, and none is lost", async () => {
    await Promise.all(
      NUMBERS.map((number) => rememberTrust(world(), readTextFile, { path: `/p${number}`, text: "x" }, "trusted")),
    );
    const paths = (await readTrust(world(), readTextFile)).map(({ path }) => path);
    expect(paths.sort()).toEqual(NUMBERS.map((number) => `/p${number}`).sort());
  });

  it("fields of a config are changed, and each change stays", async () => {
    const path = join(homeDir, "config.toml");
    const record = (name: string) => `[[llm.providers]]\ntype = "compatible"\nname = "${name}"\nmodel = "old"\n`;
    await writeConfig(path, NUMBERS.map((number) => record(`p${number}`)).join("\n"), world());
    await Promise.all(
      NUMBERS.map((number) => changeConfig(path, (now) => setModel(now ?? "", `p${number}`, `m${number}`), world())),
    );
    const text = await readFile(path, "utf8");
    for (const number of NUMBERS) expect(text).toContain(`model = "m${number}"`);
  });

  it("a config that was changed meanwhile is not overwritten with what was read before", async () => {
    const path = join(homeDir, "config.toml");
    await writeFile(path, "[llm]\n# by an editor\n");
    const late = writeConfig(path, "[llm]\n# late\n", { ...world(), previous: "[llm]\n" });
    await expect(late).rejects.toMatchObject({ code: "file_unwritable", detail: expect.stringContaining("meanwhile") });
    expect(await readFile(path, "utf8")).toBe("[llm]\n# by an editor\n");
  });

  it("a lock that was left empty hinders nobody for long", async () => {
    await rememberTrust(world(), readTextFile, { path: "/p", text: "x" }, "trusted");
    for (const name of ["key-origins.json", "trusted-projects.json"])
      await writeFile(join(folder(), `${name}.lock`), "");
    const key = { name: "K", secret: new Secret("k"), origins: ["https://k.example"] };
    await Promise.all([
      bindKey(world(), key),
      rememberTrust(world(), readTextFile, { path: "/q", text: "x" }, "refused"),
    ]);
    expect((await readdir(folder())).sort()).toEqual(["key-origins.json", "trusted-projects.json"]);
  });

  it("a folder that nobody can write to says so", async () => {
    await writeFile(join(homeDir, ".config"), "a file in the place of the folder");
    const bound = bindKey(world(), { name: "K", secret: new Secret("k"), origins: [] });
    await expect(bound).rejects.toSatisfy((error) => ZephError.is(error) && error.code === "file_unwritable");
  });
});
