import { redactUrl } from "../../base/secret.ts";
import type { CliContext } from "../../base/world.ts";
import { ZephError } from "../../errors.ts";
import { proofAge, provenAt, readParticipants } from "../../network/discovery.ts";
import { type AccountState, type DeveloperAccess, nameNodeError, nodeClient } from "../../network/node.ts";
import {
  formatGnk,
  isClassicInferenceRetired,
  isTransferAgentAllowed,
  type LatestEpoch,
} from "../../wire/documents.ts";
import { parseAddress } from "../../wire/endpoint.ts";
import type { ProofLabel } from "../../wire/participants.ts";
import type { Run } from "../command-table.ts";
import { type NetworkSource, nativeProvider, networkSource, openOwnSigner, setupOf } from "../setup.ts";
import { renderTable, style, writeResult } from "../terminal.ts";

/** `zeph gonka status`: version, chain, epoch, and who may ask whom. */
export const runGonkaStatus: Run<"gonka status"> = async (context, flags) => {
  const { source, reading } = await networkSource(context, flags);
  const node = nodeClient(source, reading);
  const versions = await node.versions();
  const [chain, status, epoch] = await Promise.all([node.chainFacts(), node.status(), node.epoch()]);
  const nowMs = status?.serverDateMs ?? context.clock.nowMs();
  const retired = isClassicInferenceRetired(versions?.apiVersion);
  const data = {
    source: redactUrl(source),
    apiVersion: versions?.apiVersionText ?? null,
    chainVersion: versions?.chainVersionText ?? null,
    takesSignedRequests: versions?.apiVersion === undefined ? null : !retired,
    chain:
      status === undefined
        ? null
        : {
            id: status.chainId,
            latestBlockHeight: status.latestBlockHeight,
            latestBlockTime: new Date(status.latestBlockTimeMs).toISOString(),
            latestBlockAgeSeconds: Math.round((nowMs - status.latestBlockTimeMs) / 1000),
            catchingUp: status.catchingUp,
          },
    epoch: epoch ?? null,
    transferAgents: chain.told ? chain.params.allowedTransferAddresses : null,
    developers: chain.told ? chain.developers : null,
    timestampWindowSeconds: {
      past: chain.params.timestampExpirationSeconds,
      future: chain.params.timestampAdvanceSeconds,
    },
  };
  return writeResult(context, { data, answer: render(data, context.color) });
};

interface StatusData {
  readonly source: string;
  readonly apiVersion: string | null;
  readonly takesSignedRequests: boolean | null;
  readonly chain: {
    readonly id: string;
    readonly latestBlockHeight: bigint;
    readonly latestBlockAgeSeconds: number;
  } | null;
  readonly epoch: Pick<LatestEpoch, "epochIndex" | "phase"> | null;
  readonly transferAgents: readonly string[] | null;
  readonly developers: DeveloperAccess | null;
}

function render(data: StatusData, color: boolean): string {
  const { dim } = style(color);
  const { chain, epoch, transferAgents, developers } = data;
  const rows: readonly (readonly [string, string])[] = [
    ["source", data.source],
    ["version", data.apiVersion ?? "not told"],
    ["signed requests", signedWords(data)],
    ["chain", chain === null ? "not told" : chain.id],
    ["latest block", chain === null ? "not told" : `${chain.latestBlockHeight}, ${chain.latestBlockAgeSeconds} s old`],
    [
      "epoch",
      epoch === null ? "not told" : `${epoch.epochIndex}${epoch.phase === undefined ? "" : ` (${epoch.phase})`}`,
    ],
    ["transfer agents", transferAgents === null ? "not told" : listWords(transferAgents, "every node")],
    ["developers", developers === null ? "not told" : developerWords(developers)],
  ];
  return renderTable(rows.map(([name, value]) => [dim(name), value]));
}

function signedWords({ takesSignedRequests }: StatusData): string {
  if (takesSignedRequests === null) return "not told";
  return takesSignedRequests ? "taken" : "refused with 410 since v0.2.14; use a broker: `zeph init`";
}

function listWords(list: readonly string[], whenEmpty: string): string {
  return list.length === 0 ? whenEmpty : `${list.length} listed`;
}

function developerWords({ untilBlockHeight, allowed }: NonNullable<StatusData["developers"]>): string {
  return untilBlockHeight === 0n ? "everybody" : `${allowed.length} listed, until block ${untilBlockHeight}`;
}

/** `zeph gonka models`: what the network serves now, with its own prices. */
export const runGonkaModels: Run<"gonka models"> = async (context, flags) => {
  const { source, reading } = await networkSource(context, flags);
  const node = nodeClient(source, reading);
  const [models, pricing] = await Promise.all([node.nodeModels(), node.pricing()]);
  const priceOf = (id: string) => pricing?.models.find((price) => price.id === id)?.pricePerTokenNgonka;
  const priced = models.map((model) => ({ ...model, pricePerTokenNgonka: priceOf(model.id) ?? null }));
  const { dim } = style(context.color);
  const rows = priced.map(({ id, contextLengthTokens, maxOutputTokens, pricePerTokenNgonka }) => [
    id,
    contextLengthTokens === undefined ? dim("?") : String(contextLengthTokens),
    maxOutputTokens === undefined ? dim("?") : String(maxOutputTokens),
    pricePerTokenNgonka === null ? dim("?") : `${pricePerTokenNgonka}`,
  ]);
  return writeResult(context, {
    data: { source: redactUrl(source), models: priced },
    ...(rows.length === 0
      ? { notice: "The network lists no models now.\n" }
      : { answer: renderTable([["model", "context", "longest answer", "ngonka per token"].map(dim), ...rows]) }),
  });
};

/** `zeph gonka pricing`: what a token of each model costs on the network. Unknown prices are shown as unknown. */
export const runGonkaPricing: Run<"gonka pricing"> = async (context, flags) => {
  const { source, reading } = await networkSource(context, flags);
  const pricing = await nodeClient(source, reading).pricing();
  if (pricing === undefined) {
    throw new ZephError("pricing_unavailable", { detail: `${new URL(source).host} offers no price list` });
  }
  const { dim } = style(context.color);
  const rows = pricing.models.map(({ id, pricePerTokenNgonka: price, utilization }) => [
    id,
    price === undefined ? dim("?") : `${price} ngonka`,
    price === undefined ? dim("?") : formatGnk(price * 1_000_000n),
    utilization === undefined ? dim("?") : `${Math.round(utilization * 100)} %`,
  ]);
  const kind = pricing.dynamicPricing ? "Prices follow demand." : "Prices are fixed by the network.";
  return writeResult(context, {
    data: { source: redactUrl(source), ...pricing },
    answer: renderTable([["model", "per token", "per 1M tokens", "in use"].map(dim), ...rows]),
    notice: `${kind}\n`,
  });
};

/** `zeph gonka participants`: the hosts of this epoch, and how far the list is proven. */
export const runGonkaParticipants: Run<"gonka participants"> = async (context, flags) => {
  const { source, reading, trust } = await networkSource(context, flags);
  const node = nodeClient(source, reading);
  const [list, chain, versions] = await Promise.all([
    readParticipants(node, trust),
    node.chainFacts(),
    node.versions(),
  ]);
  const excluded = new Map(list.excluded.map(({ address, reason }) => [address, reason ?? null]));
  const participants = list.participants.map((participant) => ({
    ...participant,
    allowed: chain.told ? isTransferAgentAllowed(chain.params, participant.address) : null,
    excluded: excluded.has(participant.address),
  }));
  const { dim, yellow } = style(context.color);
  const rows = participants.map(({ address, weight, inferenceUrl, models, allowed, excluded: isOut }) => [
    address,
    String(weight),
    isOut ? yellow("excluded") : allowed === false ? yellow("not listed") : allowed === null ? dim("?") : "yes",
    inferenceUrl === "" ? "-" : inferenceUrl,
    `${models.length} model(s)`,
  ]);
  return writeResult(context, {
    data: {
      source: redactUrl(source),
      apiVersion: versions?.apiVersionText ?? null,
      epoch: list.epochId,
      proof: { label: list.label, provenAt: provenAt(list), reasons: list.reasons },
      participants,
      excluded: list.excluded,
    },
    answer: renderTable([["address", "weight", "may serve", "url", ""].map(dim), ...rows]),
    notice: `Epoch ${list.epochId}: ${WORDS[list.label]}${proofAge(list, context.clock.nowMs())}.\n`,
  });
};

const WORDS: Readonly<Record<ProofLabel, string>> = {
  verified: "the list follows from a pinned hash",
  "self-consistent": "the proof of the list holds, as far as one source can prove itself",
  unverified: "the source offers no proof for the list, it is one server's word",
};

/**
 * `zeph gonka account [ADDRESS]`: what the network knows of an account, its balance exact. Throws `account_not_found`
 * for one it does not know.
 */
export const runGonkaAccount: Run<"gonka account"> = async (context, flags) => {
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
  const balance = isReady
    ? state.account.balanceNgonka
    : await nodeClient(network.source, network.reading).balance(address);
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
    return await nodeClient(source, reading).account(address);
  } catch (error) {
    throw nameNodeError(error);
  }
}
