import fc from "fast-check";
import { expect, it } from "vitest";
import { Secret } from "../base/secret.ts";
import { generateKeyPair } from "./key.ts";
import { openContents, sealContents } from "./vault.ts";

const keyPair = await generateKeyPair();

it("opens what it sealed, whatever the names and values", async () => {
  const text = fc.string({ unit: "grapheme" });
  await fc.assert(
    fc.asyncProperty(fc.uniqueArray(fc.tuple(text, text), { selector: ([name]) => name }), async (entries) => {
      const sealed = await sealContents(
        new Map(entries.map(([name, value]) => [name, new Secret(value)])),
        keyPair.recipient,
      );
      const opened = await openContents(sealed, { pairs: [keyPair] });
      expect(new Map([...opened].map(([name, value]) => [name, value.reveal()]))).toEqual(new Map(entries));
    }),
    { numRuns: 25 },
  );
});

it("refuses every file with one bit changed, and never with another error", async () => {
  const sealed = await sealContents(new Map([["NAME", new Secret("planted")]]), keyPair.recipient);
  await fc.assert(
    fc.asyncProperty(fc.nat(sealed.length * 8 - 1), async (bit) => {
      const changed = Uint8Array.from(sealed);
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      await expect(openContents(changed, { pairs: [keyPair] })).rejects.toMatchObject({ code: "vault_unreadable" });
    }),
    { numRuns: 60 },
  );
});
