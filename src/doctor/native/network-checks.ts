import { readVersions } from "../../client/discover-endpoints.ts";
import { CATALOGUE } from "../../errors/catalogue.ts";
import { ZephError } from "../../errors/zeph-error.ts";
import { normalizeBaseURL } from "../../protocol/endpoint.ts";
import {
  compareVersions,
  isClassicInferenceRetired,
  type NodeVersions,
  type Version,
} from "../../protocol/versions.ts";
import type { Check } from "../check.ts";
import { noteServerTime } from "../facts.ts";
import { passed, skipped, warned } from "../results.ts";
import { type NativeSighting, readingOf, sourceOf } from "./native-sighting.ts";
import { readChainFacts, readChainStatus } from "./network-reads.ts";

/** What holds for the network as a whole: its version, who may ask, and whether its clock goes. */
export function networkChecks(sighting: NativeSighting): readonly Check[] {
  return [networkCheck(sighting), accessCheck(sighting), blockTimeCheck(sighting)];
}

/** Since 2025-12-22 the hash of the body is signed; before, the body itself was (gonka-ai/gonka v0.2.6). */
const OLDEST: Version = { major: 0, minor: 2, patch: 6 };

/** Which version answers? From 0.2.14 on signed requests are refused with 410. Whoever answers first is asked the rest. */
function networkCheck(sighting: NativeSighting): Check {
  const { config, names, nodes } = sighting;
  return {
    name: names.network,
    provider: config.name,
    async run(facts, signal) {
      const { sourceUrl } = config;
      const candidates = [
        ...(sourceUrl === undefined ? [] : [normalizeBaseURL(sourceUrl)]),
        ...nodes.map(({ baseURL }) => baseURL),
      ];
      const reading = readingOf(facts, signal);
      const { source, versions } = await firstOpen([...new Set(candidates)], async (candidate) => ({
        source: candidate,
        versions: await readVersions(candidate, reading),
      }));
      sighting.source = source;
      return judgeVersion(versions);
    },
  };
}

function judgeVersion(versions: NodeVersions | undefined) {
  const text = versions?.apiVersionText;
  if (text === undefined || versions?.apiVersion === undefined) {
    return warned(
      "the network does not tell its version; a node's own answer will show whether it takes signed requests",
    );
  }
  const data = { api_version: text, chain_version: versions.chainVersionText ?? null };
  if (isClassicInferenceRetired(versions.apiVersion)) {
    const { summary, hint } = CATALOGUE.native_closed;
    return { status: "fail", code: "native_closed", detail: `${summary}: it runs ${text}`, hint, data } as const;
  }
  if (compareVersions(versions.apiVersion, OLDEST) >= 0) return passed(`version ${text}`, { data });
  const detail = `version ${text} takes another signed text than networks since v0.2.6, which zeph does not write`;
  const hint = "Ask for a node of v0.2.6 or later.";
  return { status: "fail", code: "signature_invalid", detail, hint, data } as const;
}

interface NodeAnswer {
  readonly source: string;
  readonly versions: NodeVersions | undefined;
}

/**
 * The first that answers and still takes signed requests, as a chat puts the others aside; else the first that answers,
 * however slow or dead the others are; with the first one's error when none does.
 */
async function firstOpen(
  candidates: readonly string[],
  ask: (candidate: string) => Promise<NodeAnswer>,
): Promise<NodeAnswer> {
  const answers = candidates.map(ask);
  const open = answers.map(async (answer) => {
    const found = await answer;
    if (isClassicInferenceRetired(found.versions?.apiVersion)) throw new ZephError("native_closed");
    return found;
  });
  try {
    return await Promise.any(open).catch(() => Promise.any(answers));
  } catch (error) {
    const [first] = error instanceof AggregateError ? error.errors : [error];
    throw first ?? new ZephError("no_endpoints");
  }
}

/** May this user ask, and which nodes may answer? */
function accessCheck(sighting: NativeSighting): Check {
  const { config, names } = sighting;
  return {
    name: names.access,
    dependsOn: [names.network],
    after: [names.signer],
    provider: config.name,
    async run(facts, signal) {
      const reading = readingOf(facts, signal);
      const chain = await readChainFacts(sourceOf(sighting), reading);
      sighting.chain = chain;
      if (!chain.told) return skipped("the chain API is switched off here, so the lists cannot be read");
      const { developers, params } = chain;
      const agents = params.allowedTransferAddresses.length;
      const detail = agents === 0 ? "every node may take requests" : `${agents} node(s) may take requests`;
      const data = { transfer_agents: agents, developers: developers.allowed.length };
      const status = await readChainStatus(sourceOf(sighting), reading);
      const isRestricted =
        developers.untilBlockHeight > 0n && (status?.latestBlockHeight ?? 0n) < developers.untilBlockHeight;
      const address = sighting.signer?.address;
      if (!isRestricted || address === undefined || developers.allowed.includes(address))
        return passed(detail, { data });
      const { summary, hint } = CATALOGUE.developer_not_allowed;
      const until = `${summary}: until block ${developers.untilBlockHeight}`;
      return { status: "fail", code: "developer_not_allowed", detail: until, hint, data };
    },
  };
}

/** Nodes judge timestamps by the latest block, so a chain that stands still refuses correct ones. */
function blockTimeCheck(sighting: NativeSighting): Check {
  const { config, names } = sighting;
  return {
    name: names.blockTime,
    dependsOn: [names.network],
    after: [names.access],
    provider: config.name,
    async run(facts, signal) {
      const status = await readChainStatus(sourceOf(sighting), readingOf(facts, signal));
      if (status === undefined)
        return skipped("the chain RPC is switched off here, so the latest block cannot be read");
      const source = new URL(sourceOf(sighting)).host;
      noteServerTime(facts, source, status.serverDateMs);
      const nowMs = status.serverDateMs ?? facts.world.clock.nowMs();
      const ageSeconds = Math.round((nowMs - status.latestBlockTimeMs) / 1000);
      const data = { height: status.latestBlockHeight, age_s: ageSeconds, chain_id: status.chainId };
      const detail = `block ${status.latestBlockHeight} of ${status.chainId}, ${ageSeconds} s old`;
      const limit = sighting.chain?.params.timestampAdvanceSeconds ?? 30;
      if (ageSeconds > limit) {
        const { summary, hint } = CATALOGUE.chain_stalled;
        return { status: "fail", code: "chain_stalled", detail: `${summary}: ${detail}`, hint, data };
      }
      return ageSeconds > limit / 2 ? warned(`${detail}: slow blocks`, { data }) : passed(detail, { data });
    },
  };
}
