import type { CliContext } from "../../base/world.ts";
import type { Broker } from "../../brokers/records.ts";
import { BROKERS, brokerForBaseURL, mergeBrokers } from "../../brokers/registry.ts";
import type { ChatModelListing } from "../../chat/session.ts";
import { zephFolders } from "../../config/files.ts";
import type { CompatibleProvider, GonkaProvider } from "../../config/providers.ts";
import { ZephError } from "../../errors.ts";
import type {
  PageBroker,
  PageEscrow,
  PageNetwork,
  PageNode,
  PageOffer,
  PageSources,
} from "../../gateway/page/sources.ts";
import { proofAge, readParticipants } from "../../network/discovery.ts";
import { nodeClient, type ReadNodeOptions } from "../../network/node.ts";
import type { Setup } from "../../provider/setup.ts";
import { escrowFolder, openEscrows } from "../../transport/devshard-index.ts";
import { DevshardJournal } from "../../transport/devshard-journal.ts";
import { formatVersion, isClassicInferenceRetired, parseVersions } from "../../wire/documents.ts";
import { toGnk } from "../terminal.ts";

interface PageNetworkOptions {
  readonly context: CliContext;
  readonly setup: Setup;
  /** What a provider lists now, and how people call it. */
  readonly listOf: (provider: string) => Promise<readonly ChatModelListing[]>;
  readonly labelOf: (provider: CompatibleProvider | GonkaProvider) => string;
}

/** What there is to choose from: models by provider, brokers, nodes, own escrows. Reads only; nothing is signed. */
export function pageNetwork(options: PageNetworkOptions): Pick<PageSources, "network" | "probe"> {
  const { context, setup } = options;
  const providers = setup.loaded.config.providers.filter((each) => each.type !== "other");
  const native = providers.filter((each) => each.type === "gonka");
  let measured: readonly PageNode[] | undefined;
  let measuring: Promise<unknown> | undefined;

  async function probe(signal: AbortSignal): Promise<readonly PageNode[]> {
    const { fetch, clock } = context;
    const reading = { fetch, clock, signal };
    measured = (await Promise.all(native.map((each) => nodesOf(each, reading)))).flat();
    return measured;
  }

  return {
    async network(): Promise<PageNetwork> {
      // Once, by itself; after that when somebody asks for it. What takes longer is there the next time.
      measuring ??= probe(context.signal).catch(() => {});
      const done = new AbortController();
      const wait = context.clock.sleep(FIRST_WAIT_MS, done.signal).catch(() => {});
      await Promise.race([measuring, wait]);
      done.abort();
      const [models, brokers, escrows] = await Promise.all([
        offers(options, providers),
        knownBrokers(setup),
        ownEscrows(context, setup),
      ]);
      return { models, brokers, nodes: measured ?? native.flatMap(configuredNodes), escrows };
    },
    probe,
  };
}

/** A page is not held up by a node that does not answer. */
const FIRST_WAIT_MS = 1_500;

/** Brokers spell the same model differently, as far as capitals go. */
async function offers(
  { context, listOf, labelOf }: PageNetworkOptions,
  providers: readonly (CompatibleProvider | GonkaProvider)[],
): Promise<PageNetwork["models"]> {
  const byId = new Map<string, { readonly id: string; readonly offers: PageOffer[] }>();
  const asOf = new Date(context.clock.nowMs()).toISOString();
  const lists = await Promise.all(providers.map(async (each) => ({ each, models: await listOf(each.name) })));
  for (const { each, models } of lists) {
    for (const model of models) {
      const key = model.id.toLowerCase();
      const known = byId.get(key) ?? { id: model.id, offers: [] };
      const { pricePerTokenNgonka } = model;
      known.offers.push({
        provider: each.name,
        label: labelOf(each),
        inputUsdPerMillion: each.pricing?.promptUsdPer1M ?? model.promptUsdPer1M,
        outputUsdPerMillion: each.pricing?.completionUsdPer1M ?? model.completionUsdPer1M,
        ngonkaPerToken: pricePerTokenNgonka === undefined ? undefined : Number(pricePerTokenNgonka),
        contextTokens: each.contextLength ?? model.contextLengthTokens,
        asOf,
      });
      byId.set(key, known);
    }
  }
  return [...byId.values()].sort((left, right) => left.id.localeCompare(right.id));
}

/** What zeph knows of the brokers, with the day it was looked up; those of the user first. */
async function knownBrokers(setup: Setup): Promise<readonly PageBroker[]> {
  const { config } = setup.loaded;
  const all = mergeBrokers(BROKERS, config.brokers);
  const own = new Map<string, CompatibleProvider>();
  for (const each of config.providers) {
    const broker = each.type === "compatible" ? brokerForBaseURL(each.baseURL, all) : undefined;
    if (broker !== undefined && each.type === "compatible" && !own.has(broker.id)) own.set(broker.id, each);
  }
  const listed = all.filter(({ baseURL }) => baseURL !== undefined);
  const shown = await Promise.all(listed.map((broker) => toBroker(broker, own.get(broker.id), setup)));
  return shown.sort((left, right) => Number(right.keyStored) - Number(left.keyStored));
}

async function toBroker(broker: Broker, provider: CompatibleProvider | undefined, setup: Setup): Promise<PageBroker> {
  const { id: name, name: label, baseURL: baseUrl = "", money, quirks, checkedOn: asOf = "", signupUrl } = broker;
  const texts = [money, ...quirks, ...(signupUrl === undefined ? [] : [`Keys: ${signupUrl}`])];
  return {
    name,
    label,
    baseUrl,
    keyStored: await hasKey(provider, setup),
    facts: texts.map((text) => ({ text, asOf })),
  };
}

async function hasKey(provider: CompatibleProvider | undefined, setup: Setup): Promise<boolean> {
  if (provider === undefined) return false;
  if (provider.inlineApiKey !== undefined) return true;
  const found = await setup.optionalSecret(provider.apiKeyNames, `provider "${provider.name}"`).catch(() => undefined);
  return found !== undefined;
}

function configuredNodes({ nodes, sourceUrl }: GonkaProvider): readonly PageNode[] {
  const source = sourceUrl === undefined ? [] : [{ url: sourceUrl, address: null }];
  return [...nodes, ...source].map(({ url, address }) => ({
    address,
    host: hostOf(url),
    proof: "not asked yet",
    models: [],
  }));
}

function hostOf(url: string): string {
  return URL.canParse(url) ? new URL(url).host : url;
}

const MOST_NODES = 24;
const NODE_WAIT_MS = 4_000;

/** The nodes of one network: those that are configured and those that the source lists, each asked for its version. */
async function nodesOf(config: GonkaProvider, reading: ReadNodeOptions): Promise<readonly PageNode[]> {
  const source = config.sourceUrl ?? config.nodes[0]?.url;
  const configured = config.nodes.map(({ url, address }) => ({
    url,
    address,
    models: [] as readonly string[],
    proof: "configured",
  }));
  if (source === undefined) return [];
  const listed = await listedNodes(source, config, reading);
  if (ZephError.is(listed)) {
    const shown = await Promise.all(configured.map((node) => measure(node, reading)));
    return [...shown, { address: null, host: hostOf(source), proof: "no list", models: [], error: listed.message }];
  }
  const byAddress = new Map(configured.map((node) => [node.address, node]));
  for (const node of listed)
    byAddress.set(node.address, { ...node, url: byAddress.get(node.address)?.url ?? node.url });
  return Promise.all([...byAddress.values()].slice(0, MOST_NODES).map((node) => measure(node, reading)));
}

interface ListedNode {
  readonly url: string;
  readonly address: string;
  readonly models: readonly string[];
  readonly proof: string;
}

async function listedNodes(
  source: string,
  config: GonkaProvider,
  reading: ReadNodeOptions,
): Promise<readonly ListedNode[] | ZephError> {
  try {
    const list = await readParticipants(nodeClient(source, reading), config.trust);
    const proof = `${list.label}${proofAge(list, reading.clock.nowMs())}`;
    return list.participants.flatMap(({ address, inferenceUrl, models }) =>
      inferenceUrl === "" ? [] : [{ url: inferenceUrl, address, models, proof }],
    );
  } catch (error) {
    if (ZephError.is(error)) return error;
    throw error;
  }
}

async function measure({ url, address, models, proof }: ListedNode, reading: ReadNodeOptions): Promise<PageNode> {
  const shown = { address, host: hostOf(url), proof, models };
  try {
    const { json, latencyMs } = await nodeClient(url, { ...reading, timeoutMs: NODE_WAIT_MS }).read("/v1/versions");
    const { apiVersion } = parseVersions(json);
    const isRetired = isClassicInferenceRetired(apiVersion);
    const version = apiVersion === undefined ? undefined : formatVersion(apiVersion);
    return { ...shown, latencyMs, ...(isRetired ? { error: `version ${version} takes no signed requests` } : {}) };
  } catch (error) {
    if (ZephError.is(error)) return { ...shown, error: error.detail ?? error.summary };
    throw error;
  }
}

/** Escrows that were opened from this computer and are not settled, with what their journals say. */
async function ownEscrows({ clock }: CliContext, setup: Setup): Promise<readonly PageEscrow[]> {
  const stateFolder = zephFolders(setup.world).state;
  const shown: PageEscrow[] = [];
  for (const escrow of openEscrows(stateFolder)) {
    const { escrowId: id, model, settleByMs: deadline, chainId } = escrow;
    try {
      const journal = await DevshardJournal.open(escrowFolder(stateFolder, chainId, id), clock);
      const { nonce, balance, phase } = journal.ledger;
      await journal.close();
      shown.push({ id, model, nonce, balanceGnk: toGnk(balance), deadline, state: PHASES[phase] ?? "open" });
    } catch (error) {
      if (!ZephError.is(error)) throw error;
      shown.push({ id, model, deadline, state: error.message });
    }
  }
  return shown;
}

const PHASES = ["open", "being finalized", "settled"];
