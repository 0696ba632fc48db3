import { expect, it } from "vitest";
import { Secret } from "../internal/secret.ts";
import type { Inferenced } from "./inferenced.ts";
import type { InitSession } from "./init-session.ts";
import { pickFromKeyring } from "./keyring-key.ts";

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
