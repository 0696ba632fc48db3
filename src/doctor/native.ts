import { fileURLToPath } from "node:url";
import { readRegularText } from "../base/files.ts";
import type { GonkaProvider } from "../config/providers.ts";
import { CATALOGUE, ZephError } from "../errors.ts";
import { nameNodeError, readAccount, readChainStatus, readNodeModels, readPricing, rootOf } from "../network/node.ts";
import { answerLimitTokens, findListed, rememberedModels } from "../provider/models.ts";
import { openProvider } from "../provider/open.ts";
import type { Setup } from "../provider/setup.ts";
import { NATIVE_BASE_URL } from "../transport/native.ts";
import { verifySignature } from "../wire/classic.ts";
import { type Account, formatGnk, NGONKA_PER_GNK } from "../wire/documents.ts";
import { normalizeBaseURL, parseAddress } from "../wire/endpoint.ts";
import type { Model } from "../wire/models.ts";
import {
  type Check,
  type CheckResult,
  judgeModel,
  passed,
  secretSource,
  singleAttempt,
  smokeCheck,
  warned,
} from "./check.ts";
import { devshardChecks } from "./devshard.ts";
import {
  discoveryCheck,
  type NativeSighting,
  nativeCheckNames,
  networkChecks,
  nodeCheck,
  proofCheck,
  readingOf,
  sourceOf,
} from "./nodes.ts";

interface NativeChecksOptions {
  /** The first native provider's checks have Zeph's names. */
  readonly isFirst: boolean;
  readonly isSmokeWanted: boolean;
}

/** Everything that can be asked about signed requests. All but `smoke` is free, and nothing else is signed. */
export function nativeChecks(setup: Setup, config: GonkaProvider, options: NativeChecksOptions): readonly Check[] {
  const once = singleAttempt(setup);
  const names = nativeCheckNames(config.name, options.isFirst);
  const nodes = config.nodes.map(({ url, address, name }) => ({
    baseURL: normalizeBaseURL(url),
    address,
    ...(name === undefined ? {} : { name }),
  }));
  const sighting: NativeSighting = { setup: once, config, nodes, names };
  if (config.access === "devshard") {
    const keys = { signer: names.signer, address: () => sighting.signer?.address };
    const of = devshardChecks(once, config, keys);
    const order = { dependsOn: of.map(({ name }) => name), after: [] };
    return [
      ...keyChecks(sighting),
      ...(options.isFirst ? [selfTestCheck()] : []),
      ...of,
      ...(options.isSmokeWanted ? [smokeCheck(once, config, order)] : []),
    ];
  }
  const { sourceUrl } = config;
  const finding =
    nodes.length === 0 && sourceUrl !== undefined
      ? [discoveryCheck(sighting, sourceUrl)]
      : nodes.map((node, index) => nodeCheck(sighting, node, index));
  const order = { dependsOn: [names.client, names.network, names.model], after: finding.map(({ name }) => name) };
  return [
    ...keyChecks(sighting),
    ...(options.isFirst ? [selfTestCheck()] : []),
    clientCheck(sighting),
    ...networkChecks(sighting),
    ...finding,
    proofCheck(sighting),
    accountCheck(sighting),
    modelCheck(sighting),
    priceCheck(sighting),
    ...(options.isSmokeWanted ? [smokeCheck(once, config, order)] : []),
  ];
}

/** Can the connection be made the way a chat makes it? */
function clientCheck({ setup, config, names }: NativeSighting): Check {
  return {
    name: names.client,
    dependsOn: [names.signer],
    provider: config.name,
    async run() {
      const { address } = await openProvider(setup, { name: config.name });
      return passed(`ready to sign as ${address ?? "nobody"}`);
    },
  };
}

function modelCheck(sighting: NativeSighting): Check {
  const { setup, config, names } = sighting;
  return {
    name: names.model,
    dependsOn: [names.network],
    provider: config.name,
    async run(facts, signal) {
      sighting.models = await readNodeModels(sourceOf(sighting), readingOf(facts, signal));
      const gonka = { baseURL: NATIVE_BASE_URL };
      const remembered = await rememberedModels({ config, gonka }, setup.world);
      const verdict = judgeModel(setup, config, sighting.models, remembered);
      return verdict.status === "ok" ? (windowFault(sighting, remembered) ?? verdict) : verdict;
    },
  };
}

/** A node adds the longest answer to the prompt, and refuses what does not fit; a chat that knows the window asks for less. */
function windowFault({ config, models }: NativeSighting, remembered: readonly Model[]): CheckResult | undefined {
  const { model = "" } = config;
  const windowTokens = models?.find(({ id }) => id === model)?.contextLengthTokens;
  const limitTokens = answerLimitTokens(config, findListed(remembered, model));
  if (windowTokens === undefined || limitTokens < windowTokens) return undefined;
  const detail = `answers of ${limitTokens} tokens do not fit into the ${windowTokens} tokens ${model} reads`;
  const hint = `Set max_tokens = ${Math.floor(windowTokens / 2)} for ${config.name}; \`zeph models\` lets a chat know it too.`;
  return { status: "fail", code: "context_length", detail, hint, data: { model } };
}

function priceCheck(sighting: NativeSighting): Check {
  const { config, names } = sighting;
  return {
    name: names.price,
    dependsOn: [names.model],
    after: [names.account],
    provider: config.name,
    async run(facts, signal) {
      const pricing = sighting.pricing ?? (await readPricing(sourceOf(sighting), readingOf(facts, signal)));
      const price = pricing?.models.find(({ id }) => id === config.model)?.pricePerTokenNgonka;
      if (price === undefined) return passed("not told; costs are shown as unknown");
      const gnkPer1M = Number(price * 1_000_000n) / Number(NGONKA_PER_GNK);
      return passed(`${price} ngonka per token (${gnkPer1M} GNK per 1M tokens)`, {
        data: { price_per_token_ngonka: price },
      });
    },
  };
}

/** For `zeph gonka doctor`: is there a native provider at all? */
export function gonkaConfigCheck(providers: readonly GonkaProvider[]): Check {
  return {
    name: "gonka.config",
    dependsOn: ["config.parse"],
    async run() {
      if (providers.length === 0) {
        return {
          status: "warn",
          detail: "no Gonka entry: nothing to probe",
          hint: "Run `zeph init` and choose Gonka (native), or `zeph gonka status --source-url URL` to look at a network.",
        };
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

/** The user's key: is it there, is it one, and does it belong to the stored address? Offline. */
function keyChecks(sighting: NativeSighting): readonly Check[] {
  return [privateKeyCheck(sighting), addressCheck(sighting), prefixCheck(sighting), signerCheck(sighting)];
}

function privateKeyCheck({ setup, config, names }: NativeSighting): Check {
  return {
    name: names.privateKey,
    provider: config.name,
    isUntimed: true,
    async run(facts) {
      const { secret, ...found } = await setup.privateKey(config);
      facts.secrets.push(secret);
      if (found.notice !== undefined) return warned(found.notice, { hint: "See `zeph vault list`." });
      return passed(secretSource(found), { data: { source: found.source, name: found.name } });
    },
  };
}

function addressCheck(sighting: NativeSighting): Check {
  const { setup, config, names } = sighting;
  return {
    name: names.address,
    provider: config.name,
    isUntimed: true,
    async run() {
      const found = await setup.optionalSecret(config.addressNames, `provider "${config.name}"`);
      if (found === undefined) {
        return warned("not stored; the address is derived from the key", {
          hint: `To compare the two at each start: zeph vault set ${config.addressNames.canonical}`,
        });
      }
      sighting.storedAddress = found.secret.reveal().trim();
      return passed(secretSource(found));
    },
  };
}

function prefixCheck({ config, names, nodes }: NativeSighting): Check {
  return {
    name: names.prefix,
    provider: config.name,
    async run() {
      for (const { address } of nodes) {
        if (address !== undefined) parseAddress(address, { prefix: config.chainPrefix });
      }
      return passed(`${config.chainPrefix}1…`, { data: { prefix: config.chainPrefix } });
    },
  };
}

/** Derives the address, compares it with the stored one (B23), and lets OpenSSL verify one signature of the key. */
function signerCheck(sighting: NativeSighting): Check {
  const { setup, config, names } = sighting;
  return {
    name: names.signer,
    dependsOn: [names.privateKey],
    after: [names.address],
    provider: config.name,
    async run() {
      const { secret } = await setup.privateKey(config);
      const { RequestSigner } = await import("../signer/signer.ts");
      const signer = RequestSigner.fromHex(secret.reveal(), { prefix: config.chainPrefix });
      const { storedAddress } = sighting;
      if (storedAddress !== undefined && storedAddress !== signer.address) {
        throw new ZephError("address_mismatch", {
          detail: `the key gives ${signer.address}, stored is ${storedAddress}`,
          hint: `If the key is the right one, run: zeph vault rm ${config.addressNames.canonical} (the address is then derived)`,
        });
      }
      sighting.signer = signer;
      return passed(signer.address, { data: { address: signer.address } });
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

/** Bytes of a short prompt: they count like tokens in the escrow. */
const PROMPT_BYTES = 200n;

/** So many answers should be affordable before the balance counts as low. */
const ENOUGH_ANSWERS = 20n;
const LOW_NGONKA = 100_000_000n;

/** Does the network know this account, can it check its signatures, and can it pay? */
function accountCheck(sighting: NativeSighting): Check {
  const { config, names } = sighting;
  return {
    name: names.account,
    dependsOn: [names.signer, names.network],
    provider: config.name,
    async run(facts, signal) {
      const { signer } = sighting;
      if (signer === undefined) return warned("the address is not known");
      const { address } = signer;
      const source = sourceOf(sighting);
      const reading = readingOf(facts, signal);
      const state = await readAccount(source, address, reading).catch((error: unknown) => {
        throw nameNodeError(error);
      });
      if (state.kind === "not-found") {
        const { summary } = CATALOGUE.account_not_found;
        const hint = `Send some GNK to ${address}; \`zeph gonka account\` shows when it arrived.`;
        return { status: "fail", code: "account_not_found", detail: `${summary}: ${address}`, hint };
      }
      if (state.kind === "no-public-key") {
        const chainId = (await readChainStatus(source, reading))?.chainId;
        return noPublicKey(source, chainId);
      }
      if (!Buffer.from(state.account.publicKey ?? []).equals(signer.publicKey)) {
        return {
          status: "fail",
          code: "signature_invalid",
          detail: "the network has another public key for this address",
          hint: CATALOGUE.signature_invalid.hint,
        };
      }
      const pricing = await readPricing(source, reading);
      if (pricing !== undefined) sighting.pricing = pricing;
      const price = pricing?.models.find(({ id }) => id === config.model)?.pricePerTokenNgonka;
      const perAnswer = price === undefined ? undefined : price * (BigInt(config.maxTokens) + PROMPT_BYTES);
      return judgeBalance(state.account, perAnswer, address);
    },
  };
}

function noPublicKey(source: string, chainId: string | undefined): CheckResult {
  const node = `${rootOf(source)}/chain-rpc/`;
  const command = `inferenced publish-pubkey --from NAME --gas-prices 10ngonka --node ${node} --chain-id ${chainId ?? "CHAIN-ID"} --yes --keyring-backend BACKEND`;
  const { summary } = CATALOGUE.account_no_public_key;
  return { status: "fail", code: "account_no_public_key", detail: summary, hint: `Run: ${command}` };
}

/** @param perAnswer what a node sets aside for a chat's request before it asks anybody, where the price is known */
function judgeBalance({ balanceNgonka }: Account, perAnswer: bigint | undefined, address: string): CheckResult {
  const balance = formatGnk(balanceNgonka);
  const data = { balance_ngonka: balanceNgonka, ...(perAnswer === undefined ? {} : { escrow_ngonka: perAnswer }) };
  const hint = `Send GNK to ${address}, or ask for fewer tokens with max_tokens.`;
  if (balanceNgonka === 0n || (perAnswer !== undefined && balanceNgonka < perAnswer)) {
    const wanted = perAnswer === undefined ? "" : `; one request sets aside up to ${formatGnk(perAnswer)}`;
    const { summary } = CATALOGUE.insufficient_balance;
    return { status: "fail", code: "insufficient_balance", detail: `${summary}: ${balance}${wanted}`, hint, data };
  }
  const low = perAnswer === undefined ? LOW_NGONKA : perAnswer * ENOUGH_ANSWERS;
  if (balanceNgonka < low) return warned(`low: ${balance}`, { hint, data });
  return passed(`${balance}, public key published`, { data });
}
