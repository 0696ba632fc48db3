import { type Discovery, discoverEndpoints } from "../../client/discover-endpoints.ts";
import { readParticipants } from "../../client/read-participants.ts";
import { ZephError } from "../../errors/zeph-error.ts";
import type { ProofLabel } from "../../protocol/proof/verify-participants.ts";
import { nodeSource } from "../../provider/node-source.ts";
import type { Check, CheckResult } from "../check.ts";
import type { DoctorFacts } from "../facts.ts";
import { failed, passed, warned } from "../results.ts";
import { type NativeSighting, readingOf, sourceOf } from "./native-sighting.ts";
import { proofAge, provenAt } from "./proof-age.ts";

/** For a provider that names only a source: which nodes would a chat find there? Each is asked who it is. */
export function discoveryCheck(sighting: NativeSighting, sourceUrl: string): Check {
  const { config, names } = sighting;
  return {
    name: names.discovery,
    provider: config.name,
    async run(facts, signal) {
      try {
        return judgeDiscovery(await discover(sighting, facts, sourceUrl, signal));
      } catch (error) {
        if (!ZephError.is(error) || !error.retryable) throw error;
        return rememberedNodes(sighting, error, signal);
      }
    },
  };
}

function discover({ config }: NativeSighting, { world }: DoctorFacts, sourceUrl: string, signal: AbortSignal) {
  const { fetch, clock, random } = world;
  const { chainPrefix: prefix, model, trust } = config;
  const wanted = model === undefined ? {} : { model };
  return discoverEndpoints({ sourceUrl, prefix, trust, fetch, clock, random, signal, ...wanted });
}

function judgeDiscovery({ endpoints, skipped, retired, apiVersionText }: Discovery): CheckResult {
  if (retired) {
    return failed(
      new ZephError("native_closed", { detail: `the network runs ${apiVersionText ?? "a newer version"}` }),
    );
  }
  const reasons = skipped.map(({ address, reason }) => `${address}: ${reason}`);
  const data = { nodes: endpoints.map(({ baseURL, address }) => ({ url: baseURL, address })), skipped: reasons };
  if (endpoints.length === 0) {
    const detail = reasons.length === 0 ? "the network lists none" : reasons.slice(0, 3).join("; ");
    return failed(new ZephError("no_endpoints", { detail }), { data });
  }
  const left = skipped.length === 0 ? "" : `; ${skipped.length} left out (${skipped[0]?.reason})`;
  return passed(`${endpoints.length} node(s) found${left}`, { data });
}

/** A chat goes on with the list of an earlier run while the source is away. */
async function rememberedNodes(
  { setup, config }: NativeSighting,
  error: ZephError,
  signal: AbortSignal,
): Promise<CheckResult> {
  const { discover: remembered } = nodeSource(setup, config);
  try {
    const nodes = (await remembered?.(signal)) ?? [];
    return warned(`${nodes.length} node(s) of an earlier list; the source cannot be read now (${error.message})`);
  } catch (again) {
    if (!ZephError.is(again)) throw again;
    return failed(error);
  }
}

/** How far the list of nodes is proven, and whether the configured nodes are on it. */
export function proofCheck(sighting: NativeSighting): Check {
  const { config, names, nodes } = sighting;
  return {
    name: names.proof,
    dependsOn: [names.network],
    provider: config.name,
    async run(facts, signal) {
      try {
        const list = await readParticipants(sourceOf(sighting), readingOf(facts, signal), config.trust);
        const active = new Set(list.participants.map(({ address }) => address));
        const strangers = nodes.filter(({ address }) => address !== undefined && !active.has(address));
        const data = {
          label: list.label,
          provenAt: provenAt(list),
          epoch: list.epochId,
          participants: active.size,
          reasons: list.reasons,
        };
        const age = proofAge(list, facts.world.clock.nowMs());
        const words = `${active.size} participants of epoch ${list.epochId}: ${LABELS[list.label]}${age}`;
        if (strangers.length > 0) {
          const named = strangers.map(({ address }) => address).join(", ");
          return warned(`${words}; not among them: ${named}`, {
            data,
            hint: "Run `zeph init` to find the nodes anew.",
          });
        }
        return list.label === "unverified" ? warned(words, { data }) : passed(words, { data });
      } catch (error) {
        if (!ZephError.is(error)) throw error;
        // Named nodes are used whatever a list says; a discovered list is not used when its proof is broken.
        return nodes.length > 0 ? { ...failed(error), status: "warn" } : failed(error);
      }
    },
  };
}

const LABELS: Readonly<Record<ProofLabel, string>> = {
  verified: "proven by a pinned hash",
  "self-consistent": "the proof holds, as far as one source can prove itself",
  unverified: "no proof; one server's word",
};
