import { Decrypter, Encrypter } from "age-encryption";
import { describe, expect, it } from "vitest";
import { Secret } from "../internal/secret.ts";
import { passphraseIdentity, passphraseRecipient } from "./passphrase.ts";

const WORK_FACTOR = 5;
const passphrase = new Secret("pässword");

/** age-encryption's own scrypt is another implementation (noble) than Node's: an oracle in both directions. */
describe("passphraseRecipient and passphraseIdentity", () => {
  it("write what age-encryption's own scrypt opens", async () => {
    const encrypter = new Encrypter();
    encrypter.addRecipient(passphraseRecipient(passphrase, WORK_FACTOR));
    const decrypter = new Decrypter();
    decrypter.addPassphrase(passphrase.reveal());
    expect(await decrypter.decrypt(await encrypter.encrypt("text"), "text")).toBe("text");
  });

  it("open what age-encryption's own scrypt wrote", async () => {
    const encrypter = new Encrypter();
    encrypter.setPassphrase(passphrase.reveal());
    encrypter.setScryptWorkFactor(WORK_FACTOR);
    const decrypter = new Decrypter();
    decrypter.addIdentity(passphraseIdentity(passphrase));
    expect(await decrypter.decrypt(await encrypter.encrypt("text"), "text")).toBe("text");
  });

  it("do not take more memory than a vault is worth", async () => {
    const [stanza] = await passphraseRecipient(passphrase, WORK_FACTOR).wrapFileKey(new Uint8Array(16));
    stanza?.args.splice(2, 1, "30");
    await expect(passphraseIdentity(passphrase).unwrapFileKey(stanza ? [stanza] : [])).rejects.toMatchObject({
      code: "vault_unreadable",
      detail: expect.stringContaining("work factor 30, more than 20"),
    });
  });
});
