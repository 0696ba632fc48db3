import { createHash, generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { merkleRoot } from "./merkle.ts";
import { bytesField, messageField, numberField } from "./protobuf.ts";

export interface Validator {
  /** 32 bytes, ed25519. */
  readonly publicKey: Buffer;
  readonly power: number;
}

/** A validator of the sandbox, which can sign. */
export interface SigningValidator extends Validator {
  readonly address: Buffer;
  sign(message: Uint8Array): Buffer;
}

/** The first 20 bytes of the SHA-256 of the public key. */
export function validatorAddress(publicKey: Uint8Array): Buffer {
  return createHash("sha256").update(publicKey).digest().subarray(0, 20);
}

/** What a header's `validators_hash` is: the Merkle root over key and power of each validator. */
export function validatorsHash(validators: readonly Validator[]): Buffer {
  return merkleRoot(
    validators.map(({ publicKey, power }) =>
      Buffer.concat([messageField(1, bytesField(1, publicKey)), numberField(2, power)]),
    ),
  );
}

/** New validators in CometBFT's order: more power first, then by address. */
export function newValidators(powers: readonly number[]): readonly SigningValidator[] {
  const validators = powers.map((power) => {
    const { privateKey, publicKey } = generateKeyPairSync("ed25519");
    const raw = rawPublicKey(publicKey);
    return {
      publicKey: raw,
      power,
      address: validatorAddress(raw),
      sign: (message: Uint8Array) => sign(null, message, privateKey),
    };
  });
  return validators.sort((one, other) => other.power - one.power || Buffer.compare(one.address, other.address));
}

function rawPublicKey(key: KeyObject): Buffer {
  return Buffer.from(key.export({ format: "jwk" }).x ?? "", "base64url");
}
