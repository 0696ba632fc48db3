import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { upsertProvider } from "./edit.ts";
import { type LoadedConfig, loadConfig } from "./load.ts";
import { secretNameFor } from "./secret-names.ts";

const template = readFileSync(new URL("../../docs/config-template.toml", import.meta.url), "utf8");
const uncommented = template.replace(/^#(?=\S)/gm, "");

function load(text: string): Promise<LoadedConfig> {
  return loadConfig({
    env: {},
    homeDir: "/home/ann",
    platform: "linux",
    cwd: "/",
    readFile: async (path) => (path.startsWith("/home/ann") ? text : undefined),
  });
}

describe("docs/config-template.toml (E4)", () => {
  it("changes nothing as it is", async () => {
    const { config, warnings } = await load(template);
    expect(config).toEqual((await load("")).config);
    expect(warnings).toEqual([]);
  });

  it("loads without a fault or warning when uncommented", async () => {
    const { config, warnings } = await load(uncommented);
    expect(warnings).toEqual([]);
    expect(config.providers).toMatchObject([
      { type: "compatible", name: "gonkagate", isDefault: true, baseURL: "https://api.gonkagate.com/v1" },
      { type: "gonka", name: "gonka", nodes: [{ url: "https://node.example/v1" }] },
    ]);
    expect(config).toMatchObject({ fallback: ["gonka"], cost: { maxDailyCents: 500 }, brokers: [{ id: "my-broker" }] });
  });

  it("shows the defaults as they are", async () => {
    const [template, none] = [(await load(uncommented)).config, (await load("")).config];
    for (const key of ["timeouts", "providerPersistence", "keepConversations"] as const) {
      expect(template[key]).toEqual(none[key]);
    }
  });

  it("names the sign-up page and the command that stores the key", () => {
    expect(template).toContain("https://gonkagate.com/en/register");
    expect(template).toContain(`zeph vault set ${secretNameFor("gonkagate")}`);
  });

  it("can be filled in by set-up with every comment kept", () => {
    const record = { type: "compatible", name: "gonkagate", base_url: "https://api.gonkagate.com/v1" };
    expect(upsertProvider(template, record).startsWith(template)).toBe(true);
  });
});
