import { createHash } from "node:crypto";
import { nanosClock } from "../../base/time.ts";
import type { CliContext } from "../../base/world.ts";
import { ZephError } from "../../errors.ts";
import { nodeClient } from "../../network/node.ts";
import { verifySignature } from "../../wire/classic.ts";
import { DEFAULT_PREFIX, parseAddress } from "../../wire/endpoint.ts";
import { toAddress } from "../../wire/secp256k1.ts";
import type { Flags, Run } from "../command-table.ts";
import { readBody } from "../input.ts";
import { nativeProvider, networkSource, openOwnSigner, setupOf } from "../setup.ts";
import { writeResult } from "../terminal.ts";

/**
 * `zeph gonka sign`: the signature of a body, as a request to a node would carry it. For debugging; sends nothing and
 * never shows the key. `inferenced signature verify` accepts it: that program wants the SHA-256 of the body, in hex, as
 * its TEXT.
 */
export const runGonkaSign: Run<"gonka sign"> = async (context, flags) => {
  const setup = await setupOf(context);
  const config = nativeProvider(setup, flags.provider);
  const detail = "no native provider is configured, so there is no key to sign with";
  if (config === undefined) throw new ZephError("config_not_found", { detail });
  const transferAddress = needed(flags.endpointAccount ?? config.nodes[0]?.address, "--endpoint-account ADDRESS");
  parseAddress(transferAddress, { prefix: config.chainPrefix });
  const timestampNanos = timestampOf(flags.timestamp) ?? nanosClock(context.clock, context.random).next();
  const signer = await openOwnSigner(setup, config);
  const body = await readBody(context, flags.file);
  const signature = signer.sign({ body, timestampNanos, transferAddress });
  const bodySha256 = createHash("sha256").update(body).digest("hex");
  const shared = `--timestamp ${timestampNanos} --endpoint-account ${transferAddress}`;
  return writeResult(context, {
    data: {
      address: signer.address,
      publicKey: Buffer.from(signer.publicKey).toString("base64"),
      signature,
      timestamp: timestampNanos,
      endpointAccount: transferAddress,
      bodySha256,
      headers: { Authorization: signature, "X-Requester-Address": signer.address, "X-Timestamp": `${timestampNanos}` },
    },
    answer: `Address: ${signer.address}\nSignature: ${signature}\nTimestamp: ${timestampNanos}\nEndpoint account: ${transferAddress}\nBody SHA-256: ${bodySha256}\n`,
    notice: `To check it elsewhere: inferenced signature verify ${bodySha256} --signature ${signature} --account-address ${signer.address} ${shared}\n`,
  });
};

function needed<T>(value: T | undefined, flag: string): T {
  if (value === undefined) throw new ZephError("missing_input", { detail: flag });
  return value;
}

/** Nanoseconds since 1970; the flag's name and unit are `inferenced`'s. */
function timestampOf(text: string | undefined): bigint | undefined {
  if (text === undefined) return undefined;
  if (/^\d{1,19}$/.test(text) && BigInt(text) >= 1n && BigInt(text) < 2n ** 63n) return BigInt(text);
  throw new ZephError("usage", { detail: "--timestamp takes nanoseconds since 1970, from 1 to 9223372036854775807" });
}

/**
 * `zeph gonka verify`: would a node accept this signature? Judged by OpenSSL with the rules of a node, not by the code
 * that signs. Throws `signature_invalid` when it would not.
 */
export const runGonkaVerify: Run<"gonka verify"> = async (context, flags) => {
  const authorization = needed(flags.signature, "--signature TEXT");
  const transferAddress = needed(flags.endpointAccount, "--endpoint-account ADDRESS");
  const timestamp = needed(timestampOf(flags.timestamp), "--timestamp NANOSECONDS");
  const publicKey = await publicKeyOf(context, flags);
  const body = await readBody(context, flags.file);
  const verdict = verifySignature({ publicKey, body, timestamp: `${timestamp}`, transferAddress, authorization });
  const address = flags.accountAddress ?? toAddress(publicKey, { prefix: prefixOf(transferAddress) });
  const hint = "Check body bytes, timestamp, node address, and that the public key is the signer's.";
  if (!verdict.valid) throw new ZephError("signature_invalid", { detail: verdict.reason, hint });
  return writeResult(context, {
    data: { valid: true, address, timestamp, endpointAccount: transferAddress },
    answer: "Signature verified\n",
  });
};

async function publicKeyOf(context: CliContext, flags: Flags<"gonka verify">): Promise<Uint8Array> {
  const { accountAddress, publicKey } = flags;
  if (publicKey !== undefined) return checkedKey(parseKey(publicKey), accountAddress);
  if (flags.sourceUrl === undefined) {
    const setup = await setupOf(context);
    const config = nativeProvider(setup, flags.provider);
    const own = config && (await openOwnSigner(setup, config));
    if (own !== undefined && (accountAddress === undefined || own.address === accountAddress)) return own.publicKey;
  }
  if (accountAddress === undefined) {
    throw new ZephError("missing_input", { detail: "--account-address ADDRESS or --public-key BASE64 of the signer" });
  }
  const { source, prefix, reading } = await networkSource(context, flags);
  parseAddress(accountAddress, { prefix });
  const state = await nodeClient(source, reading).account(accountAddress);
  if (state.kind === "not-found") throw new ZephError("account_not_found", { detail: accountAddress });
  if (state.kind === "no-public-key" || state.account.publicKey === undefined) {
    throw new ZephError("account_no_public_key", { detail: accountAddress });
  }
  return state.account.publicKey;
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
