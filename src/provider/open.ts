import { join } from "node:path";
import { writeFileAtomic } from "../base/files.ts";
import { asObject } from "../base/json.ts";
import { redactUrl, type Secret } from "../base/secret.ts";
import { type Clock, deadlineSignal, timeoutError } from "../base/time.ts";
import { topUpPage } from "../brokers/records.ts";
import { BROKERS, brokerForBaseURL, mergeBrokers, recognizeKey } from "../brokers/registry.ts";
import { zephFolders } from "../config/files.ts";
import { type CompatibleProvider, chainUrls, chooseProvider, type GonkaProvider } from "../config/providers.ts";
import type { ResolvedSecret } from "../config/secrets.ts";
import { ZephError } from "../errors.ts";
import type { Connection, ConnectionOptions } from "../transport/connection.ts";
import type { Exchange } from "../transport/exchange.ts";
import { type ConnectionCore, type GonkaFetch, gonkaFetch, withNearestModels } from "../transport/gonka-fetch.ts";
import { type CachedEndpoints, type EndpointCache, endpointSource } from "../transport/native.ts";
import type { OnTransportEvent } from "../transport/policy.ts";
import { isAddress, normalizeBaseURL } from "../wire/endpoint.ts";
import { cachePath, readCache, writeCache } from "./models.ts";
import type { Setup } from "./setup.ts";

/** A configured provider with its secret resolved, ready to be asked. */
export interface OpenedProvider {
  readonly config: CompatibleProvider | GonkaProvider;
  readonly gonka: GonkaFetch;
  /** Where the key came from: names only. */
  readonly secret: Omit<ResolvedSecret, "secret">;
  /** Address of the key, for signed requests. */
  readonly address: string | undefined;
  /** Lines the user should see once, such as a variable that is set but not used. */
  readonly notices: readonly string[];
  /** What is well and good to know where something begins that lasts: a conversation, the local endpoint. */
  readonly remarks: readonly string[];
}

/**
 * Turns a record of the config into a connection. Throws what keeps it from working: `provider_not_found`,
 * `secret_missing`, `key_for_another_origin`, `invalid_private_key`, `address_mismatch`, `insecure_url`, `vault_unreadable` …
 */
export async function openProvider(
  setup: Setup,
  choice: { readonly name?: string | undefined; readonly onEvent?: OnTransportEvent } = {},
): Promise<OpenedProvider> {
  const config = chooseProvider(setup.loaded.config, choice.name);
  const common = connectionOptions(setup, config, choice.onEvent);
  const opened = await (config.type === "compatible"
    ? openBroker(setup, config, common)
    : openNative(setup, config, common));
  const { embeddingMs } = setup.loaded.config.timeouts;
  return { ...opened, gonka: withEmbeddingDeadline(opened.gonka, setup.world.clock, embeddingMs) };
}

function connectionOptions(
  { world, loaded }: Setup,
  config: CompatibleProvider | GonkaProvider,
  onEvent: OnTransportEvent | undefined,
): ConnectionOptions {
  return {
    name: config.name,
    maxAttempts: config.maxAttempts,
    deadlines: { headersMs: config.requestTimeoutMs, totalMs: loaded.config.timeouts.totalMs },
    fetch: world.fetch,
    clock: world.clock,
    random: world.random,
    ...(config.maxConcurrent === undefined ? {} : { maxConcurrent: config.maxConcurrent }),
    ...(onEvent === undefined ? {} : { onEvent }),
  };
}

async function openBroker(
  setup: Setup,
  config: CompatibleProvider,
  common: ConnectionOptions,
): Promise<OpenedProvider> {
  const broker = brokerForBaseURL(config.baseURL, mergeBrokers(BROKERS, setup.loaded.config.brokers));
  const resolved = await setup.apiKey(config);
  const { secret: apiKey, ...secret } = resolved;
  refusePrivateKey(apiKey, secret.name);
  const page = broker === undefined ? undefined : topUpPage(broker);
  const connection: Connection = {
    ...common,
    kind: "broker",
    baseURL: config.baseURL,
    apiKey,
    hints: {
      invalid_api_key: `The key came from ${describeSource(secret)}. ${renewal(secret, config.apiKeyNames.canonical)}`,
      ...(page === undefined ? {} : { insufficient_quota: `Top up at ${page}, then try again.` }),
    },
  };
  return {
    config,
    gonka: withNearestModels(gonkaFetch(connection)),
    secret,
    address: undefined,
    notices: noticesOf(setup, resolved),
    remarks: [],
  };
}

/** A key that moves money on the chain must never go to a broker, whatever name it was stored under. */
function refusePrivateKey(apiKey: Secret, name: string): void {
  const { kind } = recognizeKey(apiKey.reveal());
  if (kind !== "private-key" && kind !== "mnemonic") return;
  const what = kind === "private-key" ? "a private key" : "recovery words";
  throw new ZephError("invalid_api_key", {
    detail: `${name} holds ${what}, not an API key; nothing was sent`,
    hint: `Store the broker's key with \`zeph vault set ${name} --force\`. For signed requests run \`zeph init\` and choose native.`,
  });
}

async function openNative(setup: Setup, config: GonkaProvider, common: ConnectionOptions): Promise<OpenedProvider> {
  const purpose = `provider "${config.name}"`;
  const resolved = await setup.privateKey(config);
  const { secret: key, ...secret } = resolved;
  const { RequestSigner } = await import("../signer/signer.ts");
  const signer = RequestSigner.fromHex(key.reveal(), { prefix: config.chainPrefix });
  const stored = (await setup.optionalSecret(config.addressNames, purpose))?.secret.reveal().trim();
  if (stored !== undefined && stored !== signer.address) {
    const detail = `the key gives ${signer.address}, stored is ${stored} (${config.addressNames.canonical})`;
    throw new ZephError("address_mismatch", { detail });
  }
  const notices = noticesOf(setup, resolved);
  const { address } = signer;
  const known = stored === undefined ? "address derived from the key" : "key and address are stored";
  const endpoints = config.nodes.map((node) => ({
    baseURL: normalizeBaseURL(node.url),
    address: node.address,
    ...(node.name === undefined ? {} : { name: node.name }),
  }));
  const paysFromEscrows = config.access === "devshard";
  const connection: Connection = paysFromEscrows
    ? devshardConnection(setup, config, common, key)
    : { ...common, kind: "native", signer, ...(endpoints.length > 0 ? { endpoints } : nodeSource(setup, config)) };
  const remark = paysFromEscrows ? `Paying from escrows of ${address}` : `Signing as ${address} (${known})`;
  return { config, gonka: withNearestModels(gonkaFetch(connection)), secret, address, notices, remarks: [remark] };
}

function devshardConnection(
  { world }: Setup,
  config: GonkaProvider,
  common: ConnectionOptions,
  privateKey: Secret,
): Connection {
  const sourceUrl = chainUrls(config);
  if (sourceUrl.length === 0) throw new ZephError("no_endpoints", { detail: `provider "${config.name}"` });
  const { model, devshardAmount: amount, devshardAutoOpen: maxPerDay } = config;
  const mayOpen = model !== undefined && amount !== undefined && maxPerDay !== undefined;
  return {
    ...common,
    kind: "devshard",
    privateKey,
    sourceUrl,
    prefix: config.chainPrefix,
    stateFolder: zephFolders(world).state,
    maxTokens: config.maxTokens,
    autoOpen: mayOpen ? { model, amount, maxPerDay } : undefined,
  };
}

function describeSource({ source, name }: Omit<ResolvedSecret, "secret">): string {
  const places = { vault: "the vault", env: "the environment variable", config: "the config file" } as const;
  return source === "config" ? places.config : `${places[source]} (${name})`;
}

/** How to put another key where this one came from; a key stored elsewhere would not be used. */
function renewal({ source, name }: Omit<ResolvedSecret, "secret">, canonical: string): string {
  if (source === "env") return `Set ${name} to a good one; \`zeph init\` keeps keys in a vault.`;
  if (source === "vault") return `Put in a new one with \`zeph vault set ${name} --force\`, or run \`zeph init\`.`;
  return `Take the api_key line out and store a good one with \`zeph vault set ${canonical}\`, or run \`zeph init\`.`;
}

function noticesOf(setup: Setup, { notice }: ResolvedSecret): readonly string[] {
  return [setup.vaultBackend.notice, notice].filter((line) => line !== undefined);
}

/** The nodes of a provider that names only a source: discovered, and remembered between runs for a few minutes. */
export function nodeSource(
  { world }: Setup,
  config: GonkaProvider,
): { readonly discover?: ReturnType<typeof endpointSource> } {
  const { sourceUrl, chainPrefix, model, trust } = config;
  if (sourceUrl === undefined) return {};
  const { fetch, clock, random } = world;
  const cache = fileCache(
    cachePath(world, "nodes", JSON.stringify([sourceUrl, chainPrefix, model, trust])),
    chainPrefix,
  );
  const discover = async () => {
    const { discoverEndpoints } = await import("../network/discovery.ts");
    return discoverEndpoints({ sourceUrl, prefix: chainPrefix, trust, fetch, clock, random, model });
  };
  return { discover: endpointSource({ discover, cache, clock }) };
}

/** A cache is a convenience: what cannot be read or written is as good as not there. */
function fileCache(path: string, prefix: string): EndpointCache {
  return {
    load: async () => parseCache(await readCache(path), prefix),
    save: (cached) => writeCache(path, JSON.stringify(cached)),
  };
}

function parseCache(value: unknown, prefix: string): CachedEndpoints | undefined {
  const { readAtMs, endpoints, epochId } = asObject(value) ?? {};
  if (typeof readAtMs !== "number" || !Array.isArray(endpoints)) return undefined;
  return {
    readAtMs,
    endpoints: endpoints.flatMap((endpoint: unknown) => {
      const { baseURL, address } = asObject(endpoint) ?? {};
      const isUsable = typeof baseURL === "string" && URL.canParse(baseURL) && typeof address === "string";
      return isUsable && isAddress(address, { prefix }) ? [{ baseURL, address }] : [];
    }),
    epochId: /^\d{1,20}$/.test(String(epochId)) ? String(epochId) : undefined,
  };
}

/**
 * Gives requests for embeddings a deadline of their own, retries included, until the answer begins: they take a moment
 * where a chat may take minutes. Rejects with `timeout_total`.
 */
function withEmbeddingDeadline(gonka: GonkaFetch, clock: Clock, limitMs: number): GonkaFetch {
  const ask = async (input: string | URL | Request, init: RequestInit = {}): Promise<Response> => {
    if (input instanceof Request || !new URL(input).pathname.endsWith("/embeddings")) return gonka(input, init);
    const deadline = deadlineSignal(clock, init.signal);
    deadline.arm("timeout_total", limitMs);
    try {
      return await gonka(input, { ...init, signal: deadline.signal });
    } finally {
      deadline.disarm();
    }
  };
  const { baseURL, endpoints, core } = gonka;
  return Object.assign(ask, { baseURL, endpoints, core: core && { ...core, exchange: embeddingExchange(core) } });

  function embeddingExchange({ exchange }: ConnectionCore): Exchange {
    return (request, sink) => {
      if (!request.path.startsWith("/embeddings")) return exchange(request, sink);
      const cancel = clock.schedule(limitMs, () => underway.abort(timeoutError("timeout_total", limitMs)));
      const underway = exchange(request, {
        head(head) {
          cancel();
          sink.head(head);
        },
        data: (bytes) => sink.data(bytes),
        end: () => sink.end(),
        fail(error) {
          cancel();
          sink.fail(error);
        },
      });
      return underway;
    };
  }
}

interface DumpOptions {
  readonly folder: string;
  readonly providerName: string;
  readonly clock: Pick<Clock, "nowMs">;
}

/**
 * The same connection, with each request's body written into a private file of its own first (0600). Headers are left
 * out: they carry the key. Throws `file_unwritable` where the folder cannot be written: then nothing is sent.
 */
export function dumpRequests(gonka: GonkaFetch, { folder, providerName, clock }: DumpOptions): GonkaFetch {
  let count = 0;
  return Object.assign(
    async (input: string | URL | Request, init?: RequestInit) => {
      const { body } = init ?? {};
      if (typeof body === "string") {
        const time = new Date(clock.nowMs()).toISOString();
        const url = redactUrl(input instanceof Request ? input.url : input);
        const text = JSON.stringify({ time, provider: providerName, url, body: toJson(body) }, undefined, 2);
        count += 1;
        const name = `${time.replace(/[:.]/g, "-")}-${String(count).padStart(3, "0")}.json`;
        await writeFileAtomic(join(folder, name), `${text}\n`);
      }
      return gonka(input, init);
    },
    { baseURL: gonka.baseURL, endpoints: gonka.endpoints },
  );
}

function toJson(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return body;
  }
}
