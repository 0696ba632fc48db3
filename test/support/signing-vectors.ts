import { readFileSync } from "node:fs";

/** `vectors/signing.json`. Tests iterate over the arrays and depend on neither their length nor their order. */
export interface SigningVectors {
  readonly signing: readonly SigningVector[];
  readonly verification: readonly VerificationVector[];
  readonly address: readonly {
    readonly private_key_hex: string;
    readonly public_key_hex: string;
    readonly hash160_hex: string;
    readonly prefix: string;
    readonly expected_address: string;
    readonly same_key_cosmos_prefix: string;
    readonly same_key_gonkavaloper: string;
  }[];
  readonly public_key_to_address: readonly { readonly public_key_base64: string; readonly expected_address: string }[];
  readonly mnemonic: readonly {
    readonly mnemonic: string;
    readonly private_key_hex: string;
    readonly public_key_hex: string;
    readonly address: string;
  }[];
  readonly invalid_addresses: readonly { readonly address: string; readonly why: string }[];
  readonly invalid_private_keys: readonly { readonly private_key: string; readonly why: string }[];
  readonly accepted_private_key_spellings: readonly { readonly private_key: string; readonly same_as: string }[];
}

export interface SigningVector {
  readonly id: string;
  readonly phase: 1 | 3;
  readonly private_key_hex: string;
  readonly address_prefix: string;
  readonly expected_address: string;
  readonly expected_public_key_hex: string;
  readonly expected_public_key_base64: string;
  readonly body_base64: string;
  readonly body_length: number;
  readonly timestamp_ns: string;
  readonly transfer_address: string;
  readonly expected_signing_input_hex: string;
  readonly expected_signing_input_sha256_hex: string;
  readonly expected_signature_base64: string;
}

export interface VerificationVector {
  readonly id: string;
  readonly public_key_hex: string;
  readonly body_base64: string;
  readonly timestamp_ns: string;
  readonly transfer_address: string;
  readonly authorization: string;
  readonly expected_valid: boolean;
}

const all = JSON.parse(readFileSync(new URL("../../vectors/signing.json", import.meta.url), "utf8")) as SigningVectors;

/** Without the rows of phase 1, which networks before v0.2.6 took. */
export const signingVectors: SigningVectors = { ...all, signing: all.signing.filter(({ phase }) => phase === 3) };

export const fromHex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, "hex"));
export const fromBase64 = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, "base64"));
export const toHex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
