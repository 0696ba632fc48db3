import { readdir, utimes, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { type DoctorJson, newStage, type Stage } from "./doctor-stage.ts";

/* What a process leaves that is killed while it writes: the doctor lists it, and takes it away when it is told to. */

let stage: Stage;
beforeEach(async () => {
  stage = await newStage();
});
afterEach(() => stage.clear());

const CONFIG_LEFT = [
  ".config.toml.0123456789ab.tmp",
  ".key-origins.json.0123456789ab.tmp",
  ".trusted-projects.json.lock.0123456789ab.tmp",
  "config.toml.lock",
];
const VAULT_LEFT = [".secrets.age.0123456789ab.tmp", ".vault-key.txt.ba9876543210.tmp", "secrets.age.lock"];

async function leave(names: readonly string[]): Promise<void> {
  const past = Date.now() / 1000 - 100;
  for (const name of names) {
    await writeFile(join(dirname(stage.configPath), name), "");
    await utimes(join(dirname(stage.configPath), name), past, past);
  }
}

async function doctor(...more: string[]): Promise<DoctorJson> {
  return JSON.parse((await stage.run(["doctor", "--json", ...more])).stdout);
}

it.each([
  ["the config, which is there", "config.leftovers", CONFIG_LEFT, '[llm]\n# "zeph"\n'],
  ["the config, which is not there yet", "config.leftovers", CONFIG_LEFT, undefined],
  ["the config, which is broken", "config.leftovers", CONFIG_LEFT, "[llm"],
  ["the vault, which is not there yet", "vault.leftovers", VAULT_LEFT, undefined],
])("beside %s", async (_what, check, left, config) => {
  if (config !== undefined) await stage.writeConfig(config);
  const sound = await doctor();
  expect(sound.checks.map(({ name }) => name)).not.toContain(check);
  await leave(left);
  const told = (await doctor()).checks.find(({ name }) => name === check);
  expect(told).toMatchObject({ status: "warn", hint: expect.stringContaining("zeph doctor --fix") });
  for (const name of left) expect(JSON.stringify(told?.data)).toContain(name);
  const fixed = await doctor("--fix", "--yes");
  expect(fixed.checks.map(({ name }) => name)).toEqual(sound.checks.map(({ name }) => name));
  expect(await readdir(dirname(stage.configPath))).toEqual(config === undefined ? [] : ["config.toml"]);
});
