import { createHash } from "node:crypto";
import { ZephError } from "../../errors/zeph-error.ts";
import { nanosClock } from "../../internal/clock.ts";
import { parseAddress } from "../../protocol/address.ts";
import type { RunCommand } from "../context.ts";
import { nativeProvider } from "../network-source.ts";
import { openOwnSigner } from "../own-signer.ts";
import { readBody } from "../read-body.ts";
import { setupOf } from "../setup.ts";
import { writeResult } from "../write-result.ts";

export interface SignFlags {
  /** `--file PATH`: the body, byte for byte; default standard input. */
  readonly file?: string;
  /** `--endpoint-account ADDRESS`: the node the request is for; default the first configured one. */
  readonly endpointAccount?: string;
  /** `--timestamp NANOSECONDS`; default now. */
  readonly timestamp?: string;
  readonly provider?: string;
}

/**
 * `zeph gonka sign`: the signature of a body, as a request to a node would carry it. For debugging; sends nothing and
 * never shows the key. `inferenced signature verify` accepts it: that program wants the SHA-256 of the body, in hex, as
 * its TEXT.
 */
export const runGonkaSign: RunCommand<SignFlags> = async (context, flags) => {
  const setup = await setupOf(context);
  const config = nativeProvider(setup, flags.provider);
  if (config === undefined) {
    throw new ZephError("config_not_found", {
      detail: "no native provider is configured, so there is no key to sign with",
    });
  }
  const transferAddress = flags.endpointAccount ?? config.nodes[0]?.address;
  if (transferAddress === undefined) throw new ZephError("missing_input", { detail: "--endpoint-account ADDRESS" });
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
      headers: {
        Authorization: signature,
        "X-Requester-Address": signer.address,
        "X-Timestamp": timestampNanos.toString(),
      },
    },
    answer: `Address: ${signer.address}\nSignature: ${signature}\nTimestamp: ${timestampNanos}\nEndpoint account: ${transferAddress}\nBody SHA-256: ${bodySha256}\n`,
    notice: `To check it elsewhere: inferenced signature verify ${bodySha256} --signature ${signature} --account-address ${signer.address} ${shared}\n`,
  });
};

/** Nanoseconds since 1970; the flag's name and unit are `inferenced`'s. */
export function timestampOf(text: string | undefined): bigint | undefined {
  if (text === undefined) return undefined;
  if (/^\d{1,19}$/.test(text) && BigInt(text) >= 1n && BigInt(text) < 2n ** 63n) return BigInt(text);
  throw new ZephError("usage", { detail: "--timestamp takes nanoseconds since 1970, from 1 to 9223372036854775807" });
}
