import { inspect } from "node:util";
import { Encrypter } from "age-encryption";
import { describe, expect, it } from "vitest";
import { Secret } from "../internal/secret.ts";
import { inspectAgeFile } from "./age-file.ts";
import { openContents, sealContents } from "./contents.ts";
import { generateKeyPair } from "./key-file.ts";

const keyPair = await generateKeyPair();
const reveal = (contents: ReadonlyMap<string, Secret>) => [...contents].map(([name, value]) => [name, value.reveal()]);

async function encrypt(plaintext: string): Promise<Uint8Array> {
  const encrypter = new Encrypter();
  encrypter.addRecipient(keyPair.recipient);
  return encrypter.encrypt(plaintext);
}

describe("sealContents and openContents", () => {
  it("writes binary age v1 with exactly one X25519 recipient", async () => {
    const file = await sealContents(new Map(), keyPair.recipient);
    expect(inspectAgeFile(file)).toMatchObject({ armored: false, recipientTypes: ["X25519"] });
    expect(Buffer.from(file).toString("latin1")).toMatch(
      /^age-encryption\.org\/v1\n-> X25519 \S{43}\n\S{43}\n--- \S{43}\n/,
    );
  });

  it("keeps every name and value, sorted, also those that JavaScript objects treat apart", async () => {
    const entries = [
      ["b", "2"],
      ["__proto__", "p"],
      ["10", "ten"],
      ["9", "nine"],
      ['a "quoted" 🔑', "line\nline\u2028"],
    ] as const;
    const file = await sealContents(
      new Map(entries.map(([name, value]) => [name, new Secret(value)])),
      keyPair.recipient,
    );
    expect(reveal(await openContents(file, { pairs: [keyPair] }))).toEqual(
      [...entries].sort(([a], [b]) => (a < b ? -1 : 1)),
    );
  });

  it("tells a foreign key from a damaged file", async () => {
    const file = await sealContents(new Map([["A", new Secret("x")]]), keyPair.recipient);
    await expect(openContents(file, { pairs: [await generateKeyPair()] })).rejects.toMatchObject({
      code: "vault_unreadable",
      detail: expect.stringContaining("another key"),
    });
    for (const damaged of [file.with(-1, (file.at(-1) ?? 0) ^ 1), file.subarray(0, -1), file.with(170, 0)]) {
      await expect(openContents(damaged, { pairs: [keyPair] })).rejects.toMatchObject({
        detail: expect.stringContaining("damaged"),
      });
    }
    await expect(openContents(Buffer.from("{}"), { pairs: [keyPair] })).rejects.toMatchObject({
      detail: expect.stringContaining("not an age file"),
    });
  });

  it.each([
    ['{"GOOD":"planted","BAD":4711}', 'the entry "BAD" is a JSON number, not text'],
    ['{"BAD":{"deep":"planted"}}', 'the entry "BAD" is a JSON object, not text'],
    ['{"BAD":["planted"]}', 'the entry "BAD" is a list, not text'],
    ['{"BAD":null}', 'the entry "BAD" is null, not text'],
    ['["planted"]', "what the vault file decrypts to is not a JSON object of names and values"],
    ['{"A":"planted"', "what the vault file decrypts to is not JSON"],
    ["planted", "what the vault file decrypts to is not JSON"],
  ])("refuses %s without showing a value", async (plaintext, detail) => {
    const error = await openContents(await encrypt(plaintext), { pairs: [keyPair] }).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: "vault_unreadable", detail });
    expect(JSON.stringify(error) + inspect(error, { depth: 9 })).not.toContain("planted");
  });
});
