import { type ReadNodeOptions, readNode } from "../../client/read-node.ts";
import { readIfOffered } from "../../client/read-pricing.ts";
import { type ChainParams, DEFAULT_CHAIN_PARAMS, parseChainParams } from "../../protocol/chain-params.ts";
import { type ChainStatus, parseChainStatus } from "../../protocol/chain-status.ts";
import { type LatestEpoch, parseLatestEpoch } from "../../protocol/epochs.ts";
import { type Model, parseModels } from "../../protocol/models.ts";
import { type DeveloperAccess, parseDeveloperAccess } from "./developer-access.ts";
import { nameNodeError } from "./node-error.ts";

/** What a network says about itself. `source` is the base URL of a node, ending in `/v1`; nothing is signed. */
export interface ChainFacts {
  readonly params: ChainParams;
  readonly developers: DeveloperAccess;
  /** False where the chain API is switched off, which says nothing against the network. */
  readonly told: boolean;
}

/** The parameters that decide who may ask and who may answer. */
export async function readChainFacts(source: string, reading: ReadNodeOptions): Promise<ChainFacts> {
  const url = `${rootOf(source)}/chain-api/productscience/inference/inference/params`;
  const document = await readIfOffered(url, reading);
  if (document === undefined) {
    return { params: DEFAULT_CHAIN_PARAMS, developers: parseDeveloperAccess({}), told: false };
  }
  return { params: parseChainParams(document.json), developers: parseDeveloperAccess(document.json), told: true };
}

/** The chain's latest block, and the server's own time; undefined where the RPC is switched off. */
export async function readChainStatus(
  source: string,
  reading: ReadNodeOptions,
): Promise<(ChainStatus & { readonly serverDateMs: number | undefined }) | undefined> {
  const document = await readIfOffered(`${rootOf(source)}/chain-rpc/status`, reading);
  return document === undefined
    ? undefined
    : { ...parseChainStatus(document.json), serverDateMs: document.serverDateMs };
}

export async function readLatestEpoch(source: string, reading: ReadNodeOptions): Promise<LatestEpoch | undefined> {
  const document = await readIfOffered(`${source}/epochs/latest`, reading);
  return document === undefined ? undefined : parseLatestEpoch(document.json);
}

export async function readNodeModels(source: string, reading: ReadNodeOptions): Promise<readonly Model[]> {
  try {
    return parseModels((await readNode(`${source}/models`, reading)).json);
  } catch (error) {
    throw nameNodeError(error);
  }
}

/** A node's base URL without `/v1`. */
export function rootOf(source: string): string {
  return source.slice(0, -"/v1".length);
}
