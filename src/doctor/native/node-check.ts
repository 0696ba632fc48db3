import { readVersions } from "../../client/discover-endpoints.ts";
import { type ReadNodeOptions, readNode } from "../../client/read-node.ts";
import { CATALOGUE } from "../../errors/catalogue.ts";
import { ZephError } from "../../errors/zeph-error.ts";
import { isTransferAgentAllowed } from "../../protocol/chain-params.ts";
import { type Endpoint, endpointLabel, isLoopback } from "../../protocol/endpoint.ts";
import { type NodeIdentity, parseIdentity } from "../../protocol/identity.ts";
import { isClassicInferenceRetired } from "../../protocol/versions.ts";
import type { Check } from "../check.ts";
import { noteServerTime } from "../facts.ts";
import { passed, warned } from "../results.ts";
import { type NativeSighting, readingOf } from "./native-sighting.ts";
import { nameNodeError } from "./node-error.ts";

const SLOW_MS = 2_000;

/** One node of the config: is it there, is it who it should be, and may it take requests? Nothing is signed or sent. */
export function nodeCheck(sighting: NativeSighting, node: Endpoint, index: number): Check {
  const { config, names } = sighting;
  return {
    name: names.node(index),
    after: [names.access],
    provider: config.name,
    oneOf: `nodes of ${config.name}`,
    async run(facts, signal) {
      const label = endpointLabel(node);
      const { identity, latencyMs, serverDateMs } = await askNode(node, config.chainPrefix, readingOf(facts, signal));
      noteServerTime(facts, label, serverDateMs);
      if (identity !== undefined && identity.address !== node.address) {
        throw new ZephError("identity_mismatch", {
          detail: `${label} says it is ${identity.address}, the config says ${node.address}`,
          hint: `Correct the address of ${label} in gonka_nodes, or run \`zeph init\` to find the nodes anew.`,
        });
      }
      const { chain } = sighting;
      if (chain !== undefined && !isTransferAgentAllowed(chain.params, node.address ?? "")) {
        const { summary, hint } = CATALOGUE.transfer_agent_not_allowed;
        return { status: "fail", code: "transfer_agent_not_allowed", detail: `${label}: ${summary}`, hint };
      }
      const versions = await readVersions(node.baseURL, readingOf(facts, signal)).catch(() => undefined);
      if (isClassicInferenceRetired(versions?.apiVersion)) {
        throw new ZephError("native_closed", { detail: `${label} runs ${versions?.apiVersionText}` });
      }
      const data = { url: node.baseURL, address: node.address ?? null, latency_ms: Math.round(latencyMs) };
      const detail = `${label}: ${Math.round(latencyMs)} ms, ${identity === undefined ? "tells no identity" : "identity fits"}`;
      if (node.baseURL.startsWith("http:") && !isLoopback(node.baseURL)) {
        return warned(`${detail}; plain http: prompts and answers travel in clear`, { data });
      }
      if (latencyMs > SLOW_MS) return warned(`${detail}; slow`, { data });
      return passed(detail, { data });
    },
  };
}

interface NodeAnswer {
  /** Undefined for nodes before v0.2.6, which have no such route. */
  readonly identity: NodeIdentity | undefined;
  readonly latencyMs: number;
  readonly serverDateMs: number | undefined;
}

async function askNode({ baseURL }: Endpoint, prefix: string, reading: ReadNodeOptions): Promise<NodeAnswer> {
  try {
    const { json, ...rest } = await readNode(`${baseURL}/identity`, reading);
    return { identity: parseIdentity(json, { prefix }), ...rest };
  } catch (error) {
    if (!ZephError.is(error) || error.status !== 404) throw nameNodeError(error);
  }
  try {
    return { identity: undefined, ...(await readNode(`${baseURL}/versions`, reading)) };
  } catch (error) {
    throw nameNodeError(error);
  }
}
