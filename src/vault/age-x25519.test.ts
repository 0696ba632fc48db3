import { Decrypter, Encrypter, generateX25519Identity, identityToRecipient } from "age-encryption";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readX25519File, recipientOf } from "./key.ts";

async function sealed(plain: Uint8Array, ...identities: readonly string[]): Promise<Uint8Array> {
  const encrypter = new Encrypter();
  for (const identity of identities) encrypter.addRecipient(await identityToRecipient(identity));
  return encrypter.encrypt(plain);
}

const identity = await generateX25519Identity();
const other = await generateX25519Identity();

describe("files for X25519 keys", () => {
  // age-encryption, another implementation, wrote them.
  it.each([0, 1, 17, 65_535, 65_536, 65_537, 131_072, 200_000])(
    "of %i bytes are read as they were written",
    async (size) => {
      const plain = new Uint8Array(size).map((_, index) => index % 251);
      const opened = readX25519File(await sealed(plain, identity))?.open([identity]);
      expect(opened?.equals(plain)).toBe(true);
    },
  );

  it("open for whichever key fits, and for no other", async () => {
    const file = readX25519File(await sealed(Buffer.from("x"), other, identity));
    expect(file?.open([await generateX25519Identity(), identity])?.toString()).toBe("x");
    expect(file?.open([await generateX25519Identity()])).toBeUndefined();
  });

  it("that were changed or cut anywhere are never read as something else", async () => {
    const bytes = await sealed(Buffer.from("a secret of some length"), identity);
    const agrees = async (changed: Uint8Array) => {
      const decrypter = new Decrypter();
      decrypter.addIdentity(identity);
      const theirs = await decrypter.decrypt(changed, "text").catch(() => undefined);
      let ours: string | undefined;
      try {
        ours = readX25519File(changed)?.open([identity])?.toString();
      } catch {
        // Told as damaged.
      }
      expect(theirs).toBeUndefined();
      expect(ours).toBeUndefined();
    };
    await fc.assert(
      fc.asyncProperty(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), async (at, mask) => {
        await agrees(bytes.map((byte, index) => (index === at ? byte ^ mask : byte)));
        await agrees(bytes.subarray(0, at));
        await agrees(Buffer.concat([bytes, bytes.subarray(0, at + 1)]));
      }),
      { numRuns: 200 },
    );
  });

  it("whose share is of low order are refused", async () => {
    const bytes = Buffer.from(await sealed(Buffer.from("x"), identity));
    const text = bytes.toString("latin1").replace(/X25519 \S{43}/, `X25519 ${"A".repeat(43)}`);
    expect(() => readX25519File(Buffer.from(text, "latin1"))?.open([identity])).toThrow();
  });

  it("of other kinds are left to others", async () => {
    const encrypter = new Encrypter();
    encrypter.setPassphrase("long enough");
    encrypter.setScryptWorkFactor(2);
    expect(readX25519File(await encrypter.encrypt("x"))).toBeUndefined();
    expect(readX25519File(Buffer.from("age-encryption.org/v2\n"))).toBeUndefined();
  });
});

it("the public half is the one age-encryption makes", async () => {
  for (let round = 0; round < 20; round += 1) {
    const key = await generateX25519Identity();
    expect(recipientOf(key)).toBe(await identityToRecipient(key));
  }
  expect(() => recipientOf(identity.replace(/.$/, (last) => (last === "Q" ? "P" : "Q")))).toThrow();
});
