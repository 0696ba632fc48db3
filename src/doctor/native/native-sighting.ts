import type { ReadNodeOptions } from "../../client/read-node.ts";
import type { GonkaProvider } from "../../config/provider.ts";
import { ZephError } from "../../errors/zeph-error.ts";
import type { Endpoint } from "../../protocol/endpoint.ts";
import type { Model } from "../../protocol/models.ts";
import type { NetworkPricing } from "../../protocol/pricing.ts";
import type { Setup } from "../../provider/setup.ts";
import type { RequestSigner } from "../../signer/request-signer.ts";
import type { DoctorFacts } from "../facts.ts";
import type { ChainFacts } from "./network-reads.ts";

/** What the checks of one native provider have seen so far; each writes what a later one reads. */
export interface NativeSighting {
  /** Asks every node once only. */
  readonly setup: Setup;
  readonly config: GonkaProvider;
  /** The nodes of the config, in its order. */
  readonly nodes: readonly Endpoint[];
  readonly names: NativeCheckNames;
  signer?: RequestSigner;
  storedAddress?: string;
  /** The node that network-wide questions go to: the first that answered. */
  source?: string;
  chain?: ChainFacts;
  pricing?: NetworkPricing;
  models?: readonly Model[];
}

/** Names of the checks of a native provider. Those of the first one are Zeph's; further ones carry the provider's name. */
export function nativeCheckNames(provider: string, isFirst: boolean) {
  const named = (name: string) => (isFirst ? `gonka.${name}` : `gonka.${name}.${provider}`);
  return {
    privateKey: named("vault.private_key"),
    address: named("vault.address"),
    prefix: named("prefix"),
    signer: named("signer"),
    client: named("client"),
    network: named("network"),
    access: named("access"),
    blockTime: named("block_time"),
    discovery: named("discovery"),
    proof: named("proof"),
    account: named("account"),
    node: (index: number) => (isFirst ? `gonka.node[${index}]` : `gonka.node.${provider}[${index}]`),
    discovered: `gonka.node.${provider}`,
    model: `llm.${provider}.model`,
    price: `llm.${provider}.price`,
    smoke: `llm.${provider}.smoke`,
  };
}

export type NativeCheckNames = ReturnType<typeof nativeCheckNames>;

/** How the doctor reads: the runner's deadline is the only one. */
export function readingOf({ world }: DoctorFacts, signal: AbortSignal): ReadNodeOptions {
  return { fetch: world.fetch, clock: world.clock, signal, timeoutMs: 24 * 3_600_000 };
}

export function sourceOf({ source }: NativeSighting): string {
  if (source === undefined) throw new ZephError("internal", { detail: "no node of the network was found" });
  return source;
}
