import { type AccountState, readAccount } from "../../client/read-account.ts";
import { readNode } from "../../client/read-node.ts";
import { rootOf } from "../../doctor/native/network-reads.ts";
import { nameNodeError } from "../../doctor/native/node-error.ts";
import { ZephError } from "../../errors/zeph-error.ts";
import { redactUrl } from "../../internal/redact.ts";
import { formatGnk, parseBalance } from "../../protocol/accounts.ts";
import { parseAddress } from "../../protocol/address.ts";
import type { CliContext, RunCommand } from "../context.ts";
import { type NetworkFlags, type NetworkSource, nativeProvider, networkSource } from "../network-source.ts";
import { openOwnSigner } from "../own-signer.ts";
import { style } from "../render/style.ts";
import { renderTable } from "../render/table.ts";
import { setupOf } from "../setup.ts";
import { writeResult } from "../write-result.ts";

export interface AccountFlags extends NetworkFlags {
  /** Default: the address of the configured key. */
  readonly address?: string;
}

/**
 * `zeph gonka account [ADDRESS]`: what the network knows of an account, its balance exact. Throws `account_not_found`
 * for one it does not know.
 */
export const runGonkaAccount: RunCommand<AccountFlags> = async (context, flags) => {
  const network = await networkSource(context, flags);
  const address = flags.address ?? (await ownAddress(context, flags.provider));
  parseAddress(address, { prefix: network.prefix });
  const state = await readState(network, address);
  if (state.kind === "not-found") {
    throw new ZephError("account_not_found", {
      detail: address,
      hint: `Send some GNK to ${address}; this command shows when it arrived.`,
    });
  }
  const isReady = state.kind === "ready";
  const balance = isReady ? state.account.balanceNgonka : await bankBalance(network, address);
  const { dim } = style(context.color);
  const rows: readonly (readonly [string, string])[] = [
    ["address", address],
    ["balance", balance === undefined ? "not told" : `${formatGnk(balance)} (${balance} ngonka)`],
    [
      "public key",
      isReady
        ? "published"
        : "not published: run `inferenced publish-pubkey --from NAME --keyring-backend BACKEND` once",
    ],
  ];
  return writeResult(context, {
    data: {
      source: redactUrl(network.source),
      address,
      balanceNgonka: balance ?? null,
      balanceGnk: balance === undefined ? null : formatGnk(balance).replace(/ GNK$/, ""),
      publicKeyPublished: isReady,
      publicKey: isReady ? Buffer.from(state.account.publicKey ?? []).toString("base64") : null,
    },
    answer: renderTable(rows.map(([name, value]) => [dim(name), value])),
  });
};

async function ownAddress(context: CliContext, provider: string | undefined): Promise<string> {
  const setup = await setupOf(context);
  const config = nativeProvider(setup, provider);
  if (config === undefined) {
    throw new ZephError("missing_input", {
      detail: "no native provider is configured, so there is no address of your own",
      hint: "Give the address: `zeph gonka account ADDRESS`.",
    });
  }
  return (await openOwnSigner(setup, config)).address;
}

async function readState({ source, reading }: NetworkSource, address: string): Promise<AccountState> {
  try {
    return await readAccount(source, address, reading);
  } catch (error) {
    throw nameNodeError(error);
  }
}

/** Nodes tell nothing of accounts without a key; the chain does, where its API is not switched off. */
async function bankBalance({ source, reading }: NetworkSource, address: string): Promise<bigint | undefined> {
  try {
    const url = `${rootOf(source)}/chain-api/cosmos/bank/v1beta1/balances/${address}`;
    return parseBalance((await readNode(url, reading)).json);
  } catch (error) {
    if (ZephError.is(error) && error.code === "bad_response") return undefined;
    throw error;
  }
}
