import { inspect } from "node:util";
import { Decrypter, Encrypter } from "age-encryption";
import { describe, expect, it } from "vitest";
import { Secret } from "../base/secret.ts";
import {
  formatKeyFile,
  generateKeyPair,
  passphraseIdentity,
  passphraseRecipient,
  protectKeyFile,
  readKeyFile,
} from "./key.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const keyPair = await generateKeyPair();
const identity = keyPair.identity.reveal();
const WORK_FACTOR = 4;

describe("formatKeyFile", () => {
  it("writes the public key as a comment and the identity", () => {
    expect(formatKeyFile(keyPair)).toBe(`# public key: ${keyPair.recipient}\n${identity}\n`);
    expect(formatKeyFile(keyPair)).toMatch(/^# public key: age1[02-9ac-hj-np-z]{58}\nAGE-SECRET-KEY-1[0-9A-Z]{58}\n$/);
  });
});

describe("readKeyFile", () => {
  it.each([
    ["its own form", formatKeyFile(keyPair)],
    ["the identity alone", identity],
    ["CRLF, blank lines, comments and spaces", `# created: 2026\r\n\r\n# note\r\n  ${identity}  \r\n# end\r\n`],
    ["a byte order mark", `\uFEFF${identity}\n`],
    ["only the first of two identities", `${identity}\nAGE-SECRET-KEY-1SECOND\n`],
  ])("reads %s", async (_name, text) => {
    const file = await readKeyFile(bytes(text));
    expect(file.identity.reveal()).toBe(identity);
    expect(file).toMatchObject({ recipient: keyPair.recipient, passphraseProtected: false });
  });

  it("reports what the comment claims", async () => {
    expect((await readKeyFile(bytes(`# public key: age1other\n${identity}\n`))).statedRecipient).toBe("age1other");
    expect((await readKeyFile(bytes(identity))).statedRecipient).toBeUndefined();
  });

  it.each([
    ["AGE-SECRET-KEY-PQ-1QQQQ", "holds a post-quantum age key"],
    ["AGE-PLUGIN-YUBIKEY-1QQQQ", "holds a key of an age plugin"],
    ["-----BEGIN OPENSSH PRIVATE KEY-----\nplanted", "holds an OpenSSH private key"],
    ["-----BEGIN EC PRIVATE KEY-----\nplanted", "holds a PEM private key"],
    ["ssh-ed25519 AAAA", "holds an SSH public key"],
    [keyPair.recipient, "holds the public half of an age key only"],
    [identity.toLowerCase(), "holds an age key in lower case; it must be upper case"],
    ["planted-secret", "holds something that is not an age key"],
    [
      `${identity.slice(0, -1)}${identity.endsWith("Q") ? "P" : "Q"}`,
      "holds an age key with a typing fault: its checksum does not fit",
    ],
    ["AGE-SECRET-KEY-1", "holds an age key with a typing fault: its checksum does not fit"],
    ["# only a comment\n", "holds no key"],
    ["", "holds no key"],
    ["-----BEGIN AGE ENCRYPTED FILE-----\nplanted\n", "is an age file, but damaged"],
  ])("refuses %j by name and repeats nothing of it", async (text, fault) => {
    const error = await readKeyFile(bytes(text)).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: "vault_unreadable", detail: `the key file ${fault}` });
    const shown = JSON.stringify(error) + inspect(error, { depth: 9 });
    expect(shown).not.toContain("planted");
    expect(shown.toUpperCase()).not.toContain(identity.slice(16, 40));
  });
});

describe("a key file with a passphrase", async () => {
  const passphrase = new Secret("open sesame ключ");
  const text = await protectKeyFile(new Secret(formatKeyFile(keyPair)), passphrase, WORK_FACTOR);

  it("is armoured and shows nothing of the key", () => {
    expect(text).toMatch(/^-----BEGIN AGE ENCRYPTED FILE-----\n[\s\S]+\n-----END AGE ENCRYPTED FILE-----\n$/);
    expect(Buffer.from(text.split("\n").slice(1, -2).join(""), "base64").toString("latin1")).not.toContain(
      "AGE-SECRET",
    );
  });

  it("opens with the passphrase and says that it was protected", async () => {
    const file = await readKeyFile(bytes(text), async () => passphrase);
    expect(file).toMatchObject({ recipient: keyPair.recipient, passphraseProtected: true });
    expect(file.identity.reveal()).toBe(identity);
  });

  it("stays locked without one, and tells a wrong one from a damaged file", async () => {
    await expect(readKeyFile(bytes(text))).rejects.toMatchObject({ code: "vault_locked" });
    await expect(readKeyFile(bytes(text), async () => undefined)).rejects.toMatchObject({ code: "vault_locked" });
    await expect(readKeyFile(bytes(text), async () => new Secret("planted"))).rejects.toMatchObject({
      code: "vault_wrong_passphrase",
      detail: undefined,
    });
    const binary = Buffer.from(text.split("\n").slice(1, -2).join(""), "base64");
    binary[binary.length - 1] = (binary.at(-1) ?? 0) ^ 1;
    await expect(readKeyFile(binary, async () => passphrase)).rejects.toMatchObject({
      code: "vault_unreadable",
      detail: "the key file is encrypted with this passphrase, but damaged",
    });
  });

  it("is not asked for when the file is plain", async () => {
    const ask = () => Promise.reject(new Error("asked"));
    await expect(readKeyFile(bytes(identity), ask)).resolves.toMatchObject({ passphraseProtected: false });
  });

  it("must not be empty", async () => {
    await expect(protectKeyFile(new Secret(identity), new Secret(""))).rejects.toMatchObject({ code: "missing_input" });
  });
});

const PASSPHRASE_WORK_FACTOR = 5;
const passphrase = new Secret("pässword");

/** age-encryption's own scrypt is another implementation (noble) than Node's: an oracle in both directions. */
describe("passphraseRecipient and passphraseIdentity", () => {
  it("write what age-encryption's own scrypt opens", async () => {
    const encrypter = new Encrypter();
    encrypter.addRecipient(passphraseRecipient(passphrase, PASSPHRASE_WORK_FACTOR));
    const decrypter = new Decrypter();
    decrypter.addPassphrase(passphrase.reveal());
    expect(await decrypter.decrypt(await encrypter.encrypt("text"), "text")).toBe("text");
  });

  it("open what age-encryption's own scrypt wrote", async () => {
    const encrypter = new Encrypter();
    encrypter.setPassphrase(passphrase.reveal());
    encrypter.setScryptWorkFactor(PASSPHRASE_WORK_FACTOR);
    const decrypter = new Decrypter();
    decrypter.addIdentity(passphraseIdentity(passphrase));
    expect(await decrypter.decrypt(await encrypter.encrypt("text"), "text")).toBe("text");
  });

  it("do not take more memory than a vault is worth", async () => {
    const [stanza] = await passphraseRecipient(passphrase, PASSPHRASE_WORK_FACTOR).wrapFileKey(new Uint8Array(16));
    stanza?.args.splice(2, 1, "30");
    await expect(passphraseIdentity(passphrase).unwrapFileKey(stanza ? [stanza] : [])).rejects.toMatchObject({
      code: "vault_unreadable",
      detail: expect.stringContaining("work factor 30, more than 20"),
    });
  });
});
