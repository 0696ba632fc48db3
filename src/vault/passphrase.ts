import { createCipheriv, createDecipheriv, randomBytes, type ScryptOptions, scrypt } from "node:crypto";
import { promisify } from "node:util";
import type { Identity, Recipient, Stanza } from "age-encryption";
import { ZephError } from "../errors/zeph-error.ts";
import type { Secret } from "../internal/secret.ts";

/** Base-2 logarithm of scrypt's cost. The `age` tool writes 18 as well: about one second and 256 MiB. */
export const DEFAULT_WORK_FACTOR = 18;
/** Larger ones in a foreign file could take all memory; 20 takes 1 GiB. */
const MAX_WORK_FACTOR = 20;

const SALT_LABEL = "age-encryption.org/v1/scrypt";
const SALT_BYTES = 16;
const TAG_BYTES = 16;
/** Every wrapping key is used once, so the age specification fixes the nonce to zero. */
const NONCE = new Uint8Array(12);

const deriveWithScrypt = promisify<Buffer, Buffer, number, ScryptOptions, Buffer>(scrypt);

/**
 * Encrypts to a passphrase, as `age -p` does. Node's scrypt works on another thread; age-encryption's own would stop
 * the event loop for seconds.
 */
export function passphraseRecipient(passphrase: Secret, workFactor: number = DEFAULT_WORK_FACTOR): Recipient {
  return {
    async wrapFileKey(fileKey) {
      const { Stanza } = await import("age-encryption");
      const salt = randomBytes(SALT_BYTES);
      const key = await deriveKey(passphrase, salt, workFactor);
      const cipher = createCipheriv("chacha20-poly1305", key, NONCE, { authTagLength: TAG_BYTES });
      const body = Buffer.concat([cipher.update(fileKey), cipher.final(), cipher.getAuthTag()]);
      const saltText = salt.toString("base64").replace(/=+$/, "");
      return [new Stanza(["scrypt", saltText, String(workFactor)], new Uint8Array(body))];
    },
  };
}

/** Decrypts with a passphrase. Throws `vault_wrong_passphrase`, or `vault_unreadable` for another kind of file. */
export function passphraseIdentity(passphrase: Secret): Identity {
  return {
    async unwrapFileKey(stanzas) {
      const { salt, workFactor, body } = parseScryptStanza(stanzas);
      const key = await deriveKey(passphrase, salt, workFactor);
      const decipher = createDecipheriv("chacha20-poly1305", key, NONCE, { authTagLength: TAG_BYTES });
      decipher.setAuthTag(body.subarray(-TAG_BYTES));
      const fileKey = decipher.update(body.subarray(0, -TAG_BYTES));
      try {
        decipher.final();
      } catch {
        // The tag does not fit: that is what a wrong passphrase looks like.
        throw new ZephError("vault_wrong_passphrase");
      }
      return new Uint8Array(fileKey);
    },
  };
}

function parseScryptStanza(stanzas: readonly Stanza[]): { salt: Buffer; workFactor: number; body: Uint8Array } {
  const [stanza] = stanzas;
  const [type, saltText = "", workFactorText = ""] = stanza?.args ?? [];
  if (stanza === undefined || stanzas.length !== 1 || type !== "scrypt") {
    throw new ZephError("vault_unreadable", { detail: "the key file is encrypted, but not with a passphrase" });
  }
  const salt = Buffer.from(saltText, "base64");
  const workFactor = Number(workFactorText);
  const damaged = salt.length !== SALT_BYTES || stanza.body.length !== 32 || !/^[1-9]\d?$/.test(workFactorText);
  if (damaged || workFactor > MAX_WORK_FACTOR) {
    const fault = damaged ? "is damaged" : `asks for scrypt work factor ${workFactor}, more than ${MAX_WORK_FACTOR}`;
    throw new ZephError("vault_unreadable", { detail: `the passphrase header of the key file ${fault}` });
  }
  return { salt, workFactor, body: stanza.body };
}

function deriveKey(passphrase: Secret, salt: Buffer, workFactor: number): Promise<Buffer> {
  const cost = 2 ** workFactor;
  const saltWithLabel = Buffer.concat([Buffer.from(SALT_LABEL), salt]);
  // Node refuses by default beyond 32 MiB; the algorithm takes 128 * r * cost bytes and a little.
  const options = { cost, blockSize: 8, parallelization: 1, maxmem: 129 * 8 * cost + 65_536 };
  return deriveWithScrypt(Buffer.from(passphrase.reveal()), saltWithLabel, 32, options);
}
