import { readNode } from "../../client/read-node.ts";
import { readPricing } from "../../client/read-pricing.ts";
import { nameNodeError } from "../../doctor/native/node-error.ts";
import { redactUrl } from "../../internal/redact.ts";
import { type NodeModel, parseNodeModels } from "../../protocol/node-models.ts";
import type { RunCommand } from "../context.ts";
import { type NetworkFlags, type NetworkSource, networkSource } from "../network-source.ts";
import { style } from "../render/style.ts";
import { renderTable } from "../render/table.ts";
import { writeResult } from "../write-result.ts";

/** `zeph gonka models`: what the network serves now, with its own prices. */
export const runGonkaModels: RunCommand<NetworkFlags> = async (context, flags) => {
  const network = await networkSource(context, flags);
  const [models, pricing] = await Promise.all([readModels(network), readPricing(network.source, network.reading)]);
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
    data: { source: redactUrl(network.source), models: priced },
    ...(rows.length === 0
      ? { notice: "The network lists no models now.\n" }
      : { answer: renderTable([["model", "context", "longest answer", "ngonka per token"].map(dim), ...rows]) }),
  });
};

async function readModels({ source, reading }: NetworkSource): Promise<readonly NodeModel[]> {
  try {
    return parseNodeModels((await readNode(`${source}/models`, reading)).json);
  } catch (error) {
    throw nameNodeError(error);
  }
}
