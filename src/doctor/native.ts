import { fileURLToPath } from "node:url";
import { readRegularText } from "../base/files.ts";
import type { GonkaProvider } from "../config/providers.ts";
import { CATALOGUE, ZephError } from "../errors.ts";
import { type Discovery, discoverEndpoints, proofAge, provenAt, readParticipants } from "../network/discovery.ts";
import { type ChainFacts, nameNodeError, nodeClient, nodeRoot, type ReadNodeOptions } from "../network/node.ts";
import { answerLimitTokens, findListed, rememberedModels } from "../provider/models.ts";
import { nodeSource, openProvider } from "../provider/open.ts";
import type { Setup } from "../provider/setup.ts";
import type { RequestSigner } from "../signer/signer.ts";
import { NATIVE_BASE_URL } from "../transport/native.ts";
import { verifySignature } from "../wire/classic.ts";
import {
  compareVersions,
  formatGnk,
  isClassicInferenceRetired,
  isTransferAgentAllowed,
  type NetworkPricing,
  NGONKA_PER_GNK,
  type NodeIdentity,
  type NodeVersions,
  parseIdentity,
  type Version,
} from "../wire/documents.ts";
import { type Endpoint, endpointLabel, isLoopback, normalizeBaseURL, parseAddress } from "../wire/endpoint.ts";
import type { ProofLabel } from "../wire/participants.ts";
import {
  broken,
  type Check,
  type CheckResult,
  checkOf,
  type DoctorFacts,
  failed,
  judgeModel,
  noteServerTime,
  passed,
  secretSource,
  singleAttempt,
  skipped,
  smokeCheck,
  warned,
} from "./check.ts";
import { devshardChecks } from "./devshard.ts";

const SLOW_MS = 2_000;

/** Bytes of a short prompt: they count like tokens in the escrow. */
const PROMPT_BYTES = 200n;

/** So many answers should be affordable before the balance counts as low. */
const ENOUGH_ANSWERS = 20n;
const LOW_NGONKA = 100_000_000n;

interface NativeChecksOptions {
  /** The first native provider's checks have Zeph's names; further ones carry the provider's name. */
  readonly isFirst: boolean;
  readonly isSmokeWanted: boolean;
}

/**
 * Everything that can be asked about one provider that signs, in the order in which one check needs what another found.
 * All but `smoke` is free, and nothing else is signed.
 */
export function nativeChecks(
  given: Setup,
  config: GonkaProvider,
  { isFirst, isSmokeWanted }: NativeChecksOptions,
): readonly Check[] {
  const setup = singleAttempt(given);
  const check = checkOf(config.name);
  const { chainPrefix: prefix, sourceUrl } = config;
  const gonka = (name: string) => (isFirst ? `gonka.${name}` : `gonka.${name}.${config.name}`);
  const [privateKeyName, addressName, signerName] = [
    gonka("vault.private_key"),
    gonka("vault.address"),
    gonka("signer"),
  ] as const;
  const nodes = config.nodes.map(({ url, address, name }) => ({
    baseURL: normalizeBaseURL(url),
    address,
    ...(name === undefined ? {} : { name }),
  }));

  const privateKeyCheck = check(privateKeyName, { isUntimed: true }, async (facts) => {
    const { secret, ...found } = await setup.privateKey(config);
    facts.secrets.push(secret);
    if (found.notice !== undefined) return warned(found.notice, { hint: "See `zeph vault list`." });
    return passed(secretSource(found), { data: { source: found.source, name: found.name } });
  });

  let storedAddress: string | undefined;
  const addressCheck = check(addressName, { isUntimed: true }, async () => {
    const found = await setup.optionalSecret(config.addressNames, `provider "${config.name}"`);
    storedAddress = found?.secret.reveal().trim();
    if (found !== undefined) return passed(secretSource(found));
    const hint = `To compare the two at each start: zeph vault set ${config.addressNames.canonical}`;
    return warned("not stored; the address is derived from the key", { hint });
  });

  const prefixCheck = check(gonka("prefix"), {}, async () => {
    for (const { address } of nodes) parseAddress(address, { prefix });
    return passed(`${prefix}1…`, { data: { prefix } });
  });

  // Derives the address, and compares it with the stored one (B23).
  let signer: RequestSigner | undefined;
  const signerOrder = { dependsOn: [privateKeyName], after: [addressName] };
  const signerCheck = check(signerName, signerOrder, async () => {
    const { secret } = await setup.privateKey(config);
    const { RequestSigner } = await import("../signer/signer.ts");
    const derived = RequestSigner.fromHex(secret.reveal(), { prefix });
    if (storedAddress !== undefined && storedAddress !== derived.address) {
      throw new ZephError("address_mismatch", {
        detail: `the key gives ${derived.address}, stored is ${storedAddress}`,
        hint: `If the key is the right one, run: zeph vault rm ${config.addressNames.canonical} (the address is then derived)`,
      });
    }
    signer = derived;
    return passed(derived.address, { data: { address: derived.address } });
  });

  const keyChecks = [privateKeyCheck, addressCheck, prefixCheck, signerCheck, ...(isFirst ? [selfTestCheck()] : [])];
  if (config.access === "devshard") {
    const escrow = devshardChecks(setup, config, { signer: signerName, address: () => signer?.address });
    const smoke = smokeCheck(setup, config, { dependsOn: escrow.map(({ name }) => name), after: [] });
    return [...keyChecks, ...escrow, ...(isSmokeWanted ? [smoke] : [])];
  }

  // Can the connection be made the way a chat makes it?
  const clientName = gonka("client");
  const clientCheck = check(clientName, { dependsOn: [signerName] }, async () => {
    const { address } = await openProvider(setup, { name: config.name });
    return passed(`ready to sign as ${address ?? "nobody"}`);
  });

  // Which version answers? From 0.2.14 on signed requests are refused with 410. Whoever answers first is asked the rest.
  let source = "";
  const networkName = gonka("network");
  const networkCheck = check(networkName, {}, async (facts, signal) => {
    const reading = readingOf(facts, signal);
    const named = sourceUrl === undefined ? [] : [normalizeBaseURL(sourceUrl)];
    const found = await firstOpen([...new Set([...named, ...nodes.map(({ baseURL }) => baseURL)])], reading);
    source = found.source;
    return judgeVersion(found.versions);
  });

  // May this user ask, and which nodes may answer?
  let chain: ChainFacts | undefined;
  const accessName = gonka("access");
  const accessOrder = { dependsOn: [networkName], after: [signerName] };
  const accessCheck = check(accessName, accessOrder, async (facts, signal) => {
    const reading = readingOf(facts, signal);
    chain = await nodeClient(source, reading).chainFacts();
    if (!chain.told) return skipped("the chain API is switched off here, so the lists cannot be read");
    const { developers, params } = chain;
    const agents = params.allowedTransferAddresses.length;
    const data = { transfer_agents: agents, developers: developers.allowed.length };
    const status = await nodeClient(source, reading).status();
    const isRestricted =
      developers.untilBlockHeight > 0n && (status?.latestBlockHeight ?? 0n) < developers.untilBlockHeight;
    if (isRestricted && signer !== undefined && !developers.allowed.includes(signer.address))
      return broken("developer_not_allowed", `until block ${developers.untilBlockHeight}`, { data });
    return passed(`${agents === 0 ? "every node" : `${agents} node(s)`} may take requests`, { data });
  });

  // Nodes judge timestamps by the latest block, so a chain that stands still refuses correct ones.
  const blockOrder = { dependsOn: [networkName], after: [accessName] };
  const blockTimeCheck = check(gonka("block_time"), blockOrder, async (facts, signal) => {
    const status = await nodeClient(source, readingOf(facts, signal)).status();
    if (status === undefined) return skipped("the chain RPC is switched off here, so the latest block cannot be read");
    noteServerTime(facts, new URL(source).host, status.serverDateMs);
    const nowMs = status.serverDateMs ?? facts.world.clock.nowMs();
    const ageSeconds = Math.round((nowMs - status.latestBlockTimeMs) / 1000);
    const data = { height: status.latestBlockHeight, age_s: ageSeconds, chain_id: status.chainId };
    const detail = `block ${status.latestBlockHeight} of ${status.chainId}, ${ageSeconds} s old`;
    const limit = chain?.params.timestampAdvanceSeconds ?? 30;
    if (ageSeconds > limit) return broken("chain_stalled", detail, { data });
    return ageSeconds > limit / 2 ? warned(`${detail}: slow blocks`, { data }) : passed(detail, { data });
  });

  // Each node of the config: is it there, is it who it should be, and may it take requests? Nothing is signed or sent.
  const nodeChecks = nodes.map((node, index) => {
    const name = isFirst ? `gonka.node[${index}]` : `gonka.node.${config.name}[${index}]`;
    return check(name, { after: [accessName], oneOf: `nodes of ${config.name}` }, async (facts, signal) => {
      const label = endpointLabel(node);
      const reading = readingOf(facts, signal);
      const { identity, latencyMs, serverDateMs } = await askNode(node, prefix, reading);
      noteServerTime(facts, label, serverDateMs);
      if (identity !== undefined && identity.address !== node.address) {
        throw new ZephError("identity_mismatch", {
          detail: `${label} says it is ${identity.address}, the config says ${node.address}`,
          hint: `Correct the address of ${label} in gonka_nodes, or run \`zeph init\` to find the nodes anew.`,
        });
      }
      if (chain !== undefined && !isTransferAgentAllowed(chain.params, node.address)) {
        const { summary } = CATALOGUE.transfer_agent_not_allowed;
        return { ...broken("transfer_agent_not_allowed", undefined), detail: `${label}: ${summary}` };
      }
      const versions = await nodeClient(node.baseURL, reading)
        .versions()
        .catch(() => undefined);
      if (isClassicInferenceRetired(versions?.apiVersion))
        throw new ZephError("native_closed", { detail: `${label} runs ${versions?.apiVersionText}` });
      const data = { url: node.baseURL, address: node.address, latency_ms: Math.round(latencyMs) };
      const detail = `${label}: ${Math.round(latencyMs)} ms, ${identity === undefined ? "tells no identity" : "identity fits"}`;
      if (node.baseURL.startsWith("http:") && !isLoopback(node.baseURL))
        return warned(`${detail}; plain http: prompts and answers travel in clear`, { data });
      return latencyMs > SLOW_MS ? warned(`${detail}; slow`, { data }) : passed(detail, { data });
    });
  });

  // For a provider that names only a source: which nodes would a chat find there? Each is asked who it is.
  const discoveryCheck = check(gonka("discovery"), {}, async ({ world }, signal) => {
    const { fetch, clock, random } = world;
    const { model, trust } = config;
    try {
      const reading = { sourceUrl: sourceUrl ?? "", prefix, trust, fetch, clock, random, signal, model };
      return judgeDiscovery(await discoverEndpoints(reading));
    } catch (error) {
      if (!ZephError.is(error) || !error.retryable) throw error;
      // A chat goes on with the list of an earlier run while the source is away.
      const remembered = await nodeSource(setup, config)
        .discover?.(signal)
        .catch((again: unknown) => {
          if (ZephError.is(again)) return undefined;
          throw again;
        });
      if (remembered === undefined) return failed(error);
      return warned(
        `${remembered.length} node(s) of an earlier list; the source cannot be read now (${error.message})`,
      );
    }
  });
  const findingChecks = nodes.length === 0 && sourceUrl !== undefined ? [discoveryCheck] : nodeChecks;

  // How far the list of nodes is proven, and whether the configured nodes are on it.
  const proofCheck = check(gonka("proof"), { dependsOn: [networkName] }, async (facts, signal) => {
    try {
      const list = await readParticipants(nodeClient(source, readingOf(facts, signal)), config.trust);
      const active = new Set(list.participants.map(({ address }) => address));
      const strangers = nodes.filter(({ address }) => !active.has(address)).map(({ address }) => address);
      const { label, epochId: epoch, reasons } = list;
      const data = { label, provenAt: provenAt(list), epoch, participants: active.size, reasons };
      const words = `${active.size} participants of epoch ${epoch}: ${LABELS[label]}${proofAge(list, facts.world.clock.nowMs())}`;
      if (strangers.length > 0) {
        const hint = "Run `zeph init` to find the nodes anew.";
        return warned(`${words}; not among them: ${strangers.join(", ")}`, { data, hint });
      }
      return label === "unverified" ? warned(words, { data }) : passed(words, { data });
    } catch (error) {
      if (!ZephError.is(error)) throw error;
      // Named nodes are used whatever a list says; a discovered list is not used when its proof is broken.
      return nodes.length > 0 ? { ...failed(error), status: "warn" } : failed(error);
    }
  });

  // Does the network know this account, can it check its signatures, and can it pay?
  let pricing: NetworkPricing | undefined;
  const priceOf = () => pricing?.models.find(({ id }) => id === config.model)?.pricePerTokenNgonka;
  const accountName = gonka("account");
  const accountCheck = check(accountName, { dependsOn: [signerName, networkName] }, async (facts, signal) => {
    if (signer === undefined) return warned("the address is not known");
    const { address } = signer;
    const reading = readingOf(facts, signal);
    const state = await nodeClient(source, reading)
      .account(address)
      .catch((error: unknown) => {
        throw nameNodeError(error);
      });
    if (state.kind === "not-found") {
      const hint = `Send some GNK to ${address}; \`zeph gonka account\` shows when it arrived.`;
      return broken("account_not_found", address, { hint });
    }
    if (state.kind === "no-public-key") {
      const chainId = (await nodeClient(source, reading).status())?.chainId ?? "CHAIN-ID";
      const hint = `Run: inferenced publish-pubkey --from NAME --gas-prices 10ngonka --node ${nodeRoot(source)}/chain-rpc/ --chain-id ${chainId} --yes --keyring-backend BACKEND`;
      return broken("account_no_public_key", undefined, { hint });
    }
    if (!Buffer.from(state.account.publicKey ?? []).equals(signer.publicKey)) {
      const detail = "the network has another public key for this address";
      return { ...broken("signature_invalid", undefined), detail };
    }
    pricing = await nodeClient(source, reading).pricing();
    const { balanceNgonka } = state.account;
    const balance = formatGnk(balanceNgonka);
    const price = priceOf();
    // What a node sets aside for a chat's request before it asks anybody.
    const perAnswer = price === undefined ? undefined : price * (BigInt(config.maxTokens) + PROMPT_BYTES);
    const data = { balance_ngonka: balanceNgonka, ...(perAnswer === undefined ? {} : { escrow_ngonka: perAnswer }) };
    const hint = `Send GNK to ${address}, or ask for fewer tokens with max_tokens.`;
    if (balanceNgonka === 0n || balanceNgonka < (perAnswer ?? 0n)) {
      const wanted = perAnswer === undefined ? "" : `; one request sets aside up to ${formatGnk(perAnswer)}`;
      return broken("insufficient_balance", `${balance}${wanted}`, { hint, data });
    }
    const isLow = balanceNgonka < (perAnswer === undefined ? LOW_NGONKA : perAnswer * ENOUGH_ANSWERS);
    return isLow ? warned(`low: ${balance}`, { hint, data }) : passed(`${balance}, public key published`, { data });
  });

  const modelName = `llm.${config.name}.model`;
  const modelCheck = check(modelName, { dependsOn: [networkName] }, async (facts, signal) => {
    const models = await nodeClient(source, readingOf(facts, signal)).models();
    const remembered = await rememberedModels({ config, gonka: { baseURL: NATIVE_BASE_URL } }, setup.world);
    const verdict = judgeModel(setup, config, models, remembered);
    const { model = "" } = config;
    // A node adds the longest answer to the prompt, and refuses what does not fit; a chat that knows the window asks for less.
    const windowTokens = models.find(({ id }) => id === model)?.contextLengthTokens;
    const limitTokens = answerLimitTokens(config, findListed(remembered, model));
    if (verdict.status !== "ok" || windowTokens === undefined || limitTokens < windowTokens) return verdict;
    const detail = `answers of ${limitTokens} tokens do not fit into the ${windowTokens} tokens ${model} reads`;
    const hint = `Set max_tokens = ${Math.floor(windowTokens / 2)} for ${config.name}; \`zeph models\` lets a chat know it too.`;
    return { status: "fail", code: "context_length", detail, hint, data: { model } };
  });

  const priceOrder = { dependsOn: [modelName], after: [accountName] };
  const priceCheck = check(`llm.${config.name}.price`, priceOrder, async (facts, signal) => {
    pricing ??= await nodeClient(source, readingOf(facts, signal)).pricing();
    const price = priceOf();
    if (price === undefined) return passed("not told; costs are shown as unknown");
    const words = `${price} ngonka per token (${Number(price * 1_000_000n) / Number(NGONKA_PER_GNK)} GNK per 1M tokens)`;
    return passed(words, { data: { price_per_token_ngonka: price } });
  });

  const smokeOrder = { dependsOn: [clientName, networkName, modelName], after: findingChecks.map(({ name }) => name) };
  return [
    ...keyChecks,
    ...[clientCheck, networkCheck, accessCheck, blockTimeCheck],
    ...findingChecks,
    ...[proofCheck, accountCheck, modelCheck, priceCheck],
    ...(isSmokeWanted ? [smokeCheck(setup, config, smokeOrder)] : []),
  ];
}

/** How the doctor reads: the runner's deadline is the only one. */
function readingOf({ world }: DoctorFacts, signal: AbortSignal): ReadNodeOptions {
  return { fetch: world.fetch, clock: world.clock, signal, timeoutMs: 24 * 3_600_000 };
}

/** Since 2025-12-22 the hash of the body is signed; before, the body itself was (gonka-ai/gonka v0.2.6). */
const OLDEST: Version = { major: 0, minor: 2, patch: 6 };

function judgeVersion(versions: NodeVersions | undefined): CheckResult {
  const text = versions?.apiVersionText;
  if (text === undefined || versions?.apiVersion === undefined) {
    return warned(
      "the network does not tell its version; a node's own answer will show whether it takes signed requests",
    );
  }
  const data = { api_version: text, chain_version: versions.chainVersionText ?? null };
  if (isClassicInferenceRetired(versions.apiVersion)) return broken("native_closed", `it runs ${text}`, { data });
  if (compareVersions(versions.apiVersion, OLDEST) >= 0) return passed(`version ${text}`, { data });
  const detail = `version ${text} takes another signed text than networks since v0.2.6, which zeph does not write`;
  const hint = "Ask for a node of v0.2.6 or later.";
  return { status: "fail", code: "signature_invalid", detail, hint, data };
}

/**
 * The first that answers and still takes signed requests, as a chat puts the others aside; else the first that answers,
 * however slow or dead the others are; with the first one's error when none does.
 */
async function firstOpen(candidates: readonly string[], reading: ReadNodeOptions) {
  const answers = candidates.map(async (source) => ({
    source,
    versions: await nodeClient(source, reading).versions(),
  }));
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

/** Nodes before v0.2.6 have no route for their identity. */
async function askNode({ baseURL }: Endpoint, prefix: string, reading: ReadNodeOptions) {
  let identity: NodeIdentity | undefined;
  try {
    const node = nodeClient(baseURL, reading);
    const { json, ...rest } = await node.identity().catch((error: unknown) => {
      if (ZephError.is(error) && error.status === 404)
        return node.read("/v1/versions").then((old) => ({ ...old, json: undefined }));
      throw error;
    });
    if (json !== undefined) identity = parseIdentity(json, { prefix });
    return { identity, ...rest };
  } catch (error) {
    throw nameNodeError(error);
  }
}

function judgeDiscovery({ endpoints, skipped, retired, apiVersionText }: Discovery): CheckResult {
  if (retired) return broken("native_closed", `the network runs ${apiVersionText ?? "a newer version"}`);
  const reasons = skipped.map(({ address, reason }) => `${address}: ${reason}`);
  const data = { nodes: endpoints.map(({ baseURL, address }) => ({ url: baseURL, address })), skipped: reasons };
  if (endpoints.length === 0) {
    const detail = reasons.length === 0 ? "the network lists none" : reasons.slice(0, 3).join("; ");
    return broken("no_endpoints", detail, { data });
  }
  const left = skipped.length === 0 ? "" : `; ${skipped.length} left out (${skipped[0]?.reason})`;
  return passed(`${endpoints.length} node(s) found${left}`, { data });
}

const LABELS: Readonly<Record<ProofLabel, string>> = {
  verified: "proven by a pinned hash",
  "self-consistent": "the proof holds, as far as one source can prove itself",
  unverified: "no proof; one server's word",
};

/** For `zeph gonka doctor`: is there a native provider at all? */
export function gonkaConfigCheck(providers: readonly GonkaProvider[]): Check {
  return {
    name: "gonka.config",
    dependsOn: ["config.parse"],
    async run() {
      if (providers.length === 0) {
        const hint =
          "Run `zeph init` and choose Gonka (native), or `zeph gonka status --source-url URL` to look at a network.";
        return warned("no Gonka entry: nothing to probe", { hint });
      }
      const words = providers.map(({ name, nodes, sourceUrl }) => {
        if (nodes.length > 0) return `${name} (${nodes.length} node(s))`;
        if (sourceUrl === undefined) throw new ZephError("no_endpoints", { detail: `provider "${name}"` });
        return `${name} (nodes found from ${new URL(normalizeBaseURL(sourceUrl)).host})`;
      });
      return passed(words.join(", "));
    },
  };
}

/** One row of `vectors/signing.json`: published test keys, never to be funded. */
interface KnownAnswer {
  readonly id: string;
  readonly phase: number;
  readonly private_key_hex: string;
  readonly address_prefix: string;
  readonly expected_address: string;
  readonly expected_public_key_hex: string;
  readonly body_base64: string;
  readonly timestamp_ns: string;
  readonly transfer_address: string;
  readonly expected_signature_base64: string;
}

/** Enough to exercise padding, high s and all kinds of bodies, and over in a moment. */
const MOST_ANSWERS = 24;
const MAX_VECTORS_BYTES = 4 * 1024 * 1024;
const VECTORS = new URL("../../vectors/signing.json", import.meta.url);

/**
 * Does this installation sign right? Offline: recomputes known answers that five independent implementations agree on,
 * and has OpenSSL verify each (`vectors/signing.json`).
 */
export function selfTestCheck(vectors: URL = VECTORS): Check {
  return {
    name: "gonka.selftest",
    async run() {
      const { RequestSigner } = await import("../signer/signer.ts");
      const answers = await readAnswers(vectors);
      for (const answer of answers) {
        using signer = RequestSigner.fromHex(answer.private_key_hex, { prefix: answer.address_prefix });
        const body = Buffer.from(answer.body_base64, "base64");
        const { transfer_address: transferAddress, timestamp_ns: timestamp } = answer;
        const authorization = signer.sign({ body, timestampNanos: BigInt(timestamp), transferAddress });
        const publicKey = Buffer.from(answer.expected_public_key_hex, "hex");
        const isRight =
          signer.address === answer.expected_address &&
          authorization === answer.expected_signature_base64 &&
          verifySignature({ publicKey, body, timestamp, transferAddress, authorization }).valid;
        if (!isRight) throw new ZephError("internal", { detail: `the known answer ${answer.id} does not come out` });
      }
      return passed(`${answers.length} known answers come out, and OpenSSL accepts them`);
    },
  };
}

async function readAnswers(vectors: URL): Promise<readonly KnownAnswer[]> {
  const text = await readRegularText(fileURLToPath(vectors), { maxBytes: MAX_VECTORS_BYTES }).catch(() => undefined);
  if (text === undefined) {
    throw new ZephError("internal", {
      detail: "the known answers are missing from this installation",
      hint: "Install zeph again; its package holds vectors/signing.json.",
    });
  }
  const { signing } = JSON.parse(text) as { readonly signing: readonly KnownAnswer[] };
  // Rows without a real address test the arithmetic below address checks.
  return signing
    .filter(({ phase, transfer_address }) => phase === 3 && transfer_address.length > 38)
    .slice(0, MOST_ANSWERS);
}
