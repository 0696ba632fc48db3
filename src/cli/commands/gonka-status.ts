import { readVersions } from "../../client/discover-endpoints.ts";
import type { DeveloperAccess } from "../../doctor/native/developer-access.ts";
import { readChainFacts, readChainStatus, readLatestEpoch } from "../../doctor/native/network-reads.ts";
import { redactUrl } from "../../internal/redact.ts";
import type { LatestEpoch } from "../../protocol/epochs.ts";
import { isClassicInferenceRetired } from "../../protocol/versions.ts";
import type { RunCommand } from "../context.ts";
import { type NetworkFlags, networkSource } from "../network-source.ts";
import { style } from "../render/style.ts";
import { renderTable } from "../render/table.ts";
import { writeResult } from "../write-result.ts";

/** `zeph gonka status`: version, chain, epoch, and who may ask whom. */
export const runGonkaStatus: RunCommand<NetworkFlags> = async (context, flags) => {
  const { source, reading } = await networkSource(context, flags);
  const versions = await readVersions(source, reading);
  const [chain, status, epoch] = await Promise.all([
    readChainFacts(source, reading),
    readChainStatus(source, reading),
    readLatestEpoch(source, reading),
  ]);
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
