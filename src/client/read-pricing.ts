import { ZephError } from "../errors/zeph-error.ts";
import { type NetworkPricing, parseNetworkPricing } from "../protocol/pricing.ts";
import { type NodeDocument, type ReadNodeOptions, readNode } from "./read-node.ts";

/**
 * Prices of a network that follow demand, else the fixed ones; undefined where neither is offered.
 * @param source base URL of a node, ending in `/v1`
 */
export async function readPricing(source: string, reading: ReadNodeOptions): Promise<NetworkPricing | undefined> {
  const document =
    (await readIfOffered(`${source}/governance/pricing`, reading)) ??
    (await readIfOffered(`${source}/pricing`, reading));
  return document === undefined ? undefined : parseNetworkPricing(document.json);
}

/** Undefined for what this node does not offer; an unreachable one is an error all the same. */
export async function readIfOffered(url: string, reading: ReadNodeOptions): Promise<NodeDocument | undefined> {
  try {
    return await readNode(url, reading);
  } catch (error) {
    if (ZephError.is(error) && error.code === "bad_response") return undefined;
    throw error;
  }
}
