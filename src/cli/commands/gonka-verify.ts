import { readAccount } from "../../client/read-account.ts";
import { ZephError } from "../../errors/zeph-error.ts";
import { DEFAULT_PREFIX, parseAddress, toAddress } from "../../protocol/address.ts";
import { verifySignature } from "../../protocol/verify-signature.ts";
import type { CliContext, RunCommand } from "../context.ts";
import { type NetworkFlags, nativeProvider, networkSource } from "../network-source.ts";
import { openOwnSigner } from "../own-signer.ts";
import { readBody } from "../read-body.ts";
import { setupOf } from "../setup.ts";
import { writeResult } from "../write-result.ts";
import { timestampOf } from "./gonka-sign.ts";

export interface VerifyFlags extends NetworkFlags {
  /** `--file PATH`: the body, byte for byte; default standard input. */
  readonly file?: string;
  /** `--signature TEXT`: what `Authorization` would say. */
  readonly signature?: string;
  readonly timestamp?: string;
  /** `--endpoint-account ADDRESS`: the node the request is for. */
  readonly endpointAccount?: string;
  /** `--account-address ADDRESS`: who signed; default the configured key's. */
  readonly accountAddress?: string;
  /** `--public-key BASE64`: of the signer; default what the network has published, or the configured key's. */
  readonly publicKey?: string;
}

/**
 * `zeph gonka verify`: would a node accept this signature? Judged by OpenSSL with the rules of a node, not by the code
 * that signs. Throws `signature_invalid` when it would not.
 */
export const runGonkaVerify: RunCommand<VerifyFlags> = async (context, flags) => {
  const { signature: authorization, endpointAccount: transferAddress } = flags;
  const timestamp = timestampOf(flags.timestamp);
  if (authorization === undefined) throw new ZephError("missing_input", { detail: "--signature TEXT" });
  if (transferAddress === undefined) throw new ZephError("missing_input", { detail: "--endpoint-account ADDRESS" });
  if (timestamp === undefined) throw new ZephError("missing_input", { detail: "--timestamp NANOSECONDS" });
  const publicKey = await publicKeyOf(context, flags);
  const body = await readBody(context, flags.file);
  const verdict = verifySignature({
    publicKey,
    body,
    timestamp: timestamp.toString(),
    transferAddress,
    authorization,
  });
  const address = flags.accountAddress ?? toAddress(publicKey, { prefix: prefixOf(transferAddress) });
  if (!verdict.valid) {
    throw new ZephError("signature_invalid", {
      detail: verdict.reason,
      hint: "Check body bytes, timestamp, node address, and that the public key is the signer's.",
    });
  }
  return writeResult(context, {
    data: { valid: true, address, timestamp, endpointAccount: transferAddress },
    answer: "Signature verified\n",
  });
};

async function publicKeyOf(context: CliContext, flags: VerifyFlags): Promise<Uint8Array> {
  const { accountAddress, publicKey } = flags;
  if (publicKey !== undefined) return checkedKey(parseKey(publicKey), accountAddress);
  if (flags.sourceUrl === undefined) {
    const own = await ownKey(context, flags.provider);
    if (own !== undefined && (accountAddress === undefined || own.address === accountAddress)) return own.publicKey;
  }
  if (accountAddress === undefined) {
    throw new ZephError("missing_input", { detail: "--account-address ADDRESS or --public-key BASE64 of the signer" });
  }
  const { source, prefix, reading } = await networkSource(context, flags);
  parseAddress(accountAddress, { prefix });
  const state = await readAccount(source, accountAddress, reading);
  if (state.kind === "not-found") throw new ZephError("account_not_found", { detail: accountAddress });
  if (state.kind === "no-public-key" || state.account.publicKey === undefined) {
    throw new ZephError("account_no_public_key", { detail: accountAddress });
  }
  return state.account.publicKey;
}

async function ownKey(context: CliContext, provider: string | undefined) {
  const setup = await setupOf(context);
  const config = nativeProvider(setup, provider);
  return config === undefined ? undefined : openOwnSigner(setup, config);
}

function parseKey(text: string): Uint8Array {
  const bytes = Buffer.from(text, /^[0-9a-f]{66}$/i.test(text) ? "hex" : "base64");
  if (bytes.length === 33 && (bytes[0] === 2 || bytes[0] === 3)) return bytes;
  throw new ZephError("usage", { detail: "--public-key takes a compressed secp256k1 key, 33 bytes in base64 or hex" });
}

function checkedKey(publicKey: Uint8Array, address: string | undefined): Uint8Array {
  if (address === undefined || toAddress(publicKey, { prefix: prefixOf(address) }) === address) return publicKey;
  throw new ZephError("address_mismatch", {
    detail: `the public key belongs to ${toAddress(publicKey, { prefix: prefixOf(address) })}`,
    hint: "Leave --account-address out, or give the one that belongs to the public key.",
  });
}

function prefixOf(address: string): string {
  return /^([a-z][a-z02-9]*)1/.exec(address)?.[1] ?? DEFAULT_PREFIX;
}
