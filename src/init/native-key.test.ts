import { describe, expect, it } from "vitest";
import { Secret } from "../base/secret.ts";
import type { Inferenced } from "./inferenced.ts";
import { judgePrivateKey, pickFromKeyring } from "./native-key.ts";
import type { InitSession } from "./session.ts";

describe("keyring key", () => {
  const ADDRESS = "gonka1w508d6qejxtdg4y5r3zarvary0c5xw7k2gsyg6";

  /** Picks the key `alice`; every command on the keyring is noted, since each may ask for the passphrase. */
  async function pick(backend: string) {
    const commands: string[] = [];
    const told: string[] = [];
    const inferenced = {
      asksUser: (keyring) => keyring.backend !== "test",
      list: async () => {
        commands.push("list");
        return [{ name: "alice", address: ADDRESS }];
      },
      address: async () => {
        commands.push("show");
        return ADDRESS;
      },
      exportKey: async () => {
        commands.push("export");
        return new Secret("00");
      },
    } satisfies Partial<Inferenced>;
    const session = {
      world: { homeDir: "/home/ann" },
      request: { native: { nodes: [], keyringBackend: backend } },
      tell: { info: (text: string) => told.push(text) },
    };
    const { statedAddress } = await pickFromKeyring(
      session as unknown as InitSession,
      inferenced as unknown as Inferenced,
      "alice",
    );
    return { commands, statedAddress, told: told.join("\n") };
  }

  it("a locked keyring is opened twice only, and the user is told beforehand", async () => {
    const { commands, statedAddress, told } = await pick("file");
    expect(commands).toEqual(["list", "export"]);
    expect(statedAddress).toEqual({ address: ADDRESS, from: "inferenced keys list" });
    expect(told).toContain("passphrase twice");
  });

  it("an open one is asked for the address by name as well", async () => {
    const { commands, statedAddress, told } = await pick("test");
    expect(commands).toEqual(["list", "show", "export"]);
    expect(statedAddress).toEqual({ address: ADDRESS, from: "inferenced keys show alice" });
    expect(told).not.toContain("passphrase");
  });
});

const HEX = `${"0".repeat(62)}2a`;

describe("judgePrivateKey", () => {
  it.each([
    HEX,
    HEX.toUpperCase(),
    `0x${HEX}`,
    `0X${HEX.toUpperCase()}`,
    `  ${HEX}\n`,
    `export GONKA_PRIVATE_KEY="${HEX}"`,
    Buffer.from(HEX, "hex").toString("base64"),
  ])("gives the one form that Zeph reads for %s", (text) => {
    const judged = judgePrivateKey(new Secret(text));
    expect(judged.kind === "usable" && judged.key.reveal()).toBe(HEX);
  });

  it.each(["gp-0123456789", "sk-0123456789", "gpm-0123456789"])("knows a broker's key: %s", (text) => {
    expect(judgePrivateKey(new Secret(text)).kind).toBe("broker-key");
  });

  it.each([
    ["0".repeat(64), /outside the range/],
    ["f".repeat(64), /outside the range/],
    [HEX.slice(1), /63 hex digits/],
    [`zz${HEX.slice(2)}`, /not hex digits/],
    ["legal winner thank year wave sausage worth useful legal winner thank yellow", /keys add NAME --recover/],
    ["", /empty/],
  ])("refuses %s in words that do not repeat it", (text, words) => {
    const judged = judgePrivateKey(new Secret(text));
    if (judged.kind !== "refused") throw new Error(judged.kind);
    expect(judged.reason).toMatch(words);
    if (text !== "") expect(judged.reason).not.toContain(text);
  });
});
