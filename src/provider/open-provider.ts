import { topUpPage } from "../brokers/broker.ts";
import { mergeBrokers } from "../brokers/merge-brokers.ts";
import { recognizeKey } from "../brokers/recognize-key.ts";
import { BROKERS, brokerForBaseURL } from "../brokers/registry.ts";
import type { Connection, ConnectionOptions } from "../client/connection.ts";
import { type GonkaFetch, gonkaFetch } from "../client/gonka-fetch.ts";
import { withNearestModels } from "../client/nearest-models.ts";
import { zephFolders } from "../config/paths.ts";
import { type CompatibleProvider, chooseProvider, type GonkaProvider } from "../config/provider.ts";
import type { ResolvedSecret } from "../config/resolve-secret.ts";
import { ZephError } from "../errors/zeph-error.ts";
import type { Secret } from "../internal/secret.ts";
import { normalizeBaseURL } from "../protocol/endpoint.ts";
import { RequestSigner } from "../signer/request-signer.ts";
import type { OnTransportEvent } from "../transport/events.ts";
import { withEmbeddingDeadline } from "./embedding-deadline.ts";
import { nodeSource } from "./node-source.ts";
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
  const signer = RequestSigner.fromHex(key.reveal(), { prefix: config.chainPrefix });
  const stored = (await setup.optionalSecret(config.addressNames, purpose))?.secret.reveal().trim();
  if (stored !== undefined && stored !== signer.address) {
    const detail = `the key gives ${signer.address}, stored is ${stored} (${config.addressNames.canonical})`;
    throw new ZephError("address_mismatch", { detail });
  }
  const notices = noticesOf(setup, resolved);
  const endpoints = config.nodes.map(({ url, address, name }) => ({
    baseURL: normalizeBaseURL(url),
    address,
    ...(name === undefined ? {} : { name }),
  }));
  if (config.access === "devshard") {
    const remark = `Paying from escrows of ${signer.address}`;
    const gonka = withNearestModels(gonkaFetch(devshardConnection(setup, config, common, key)));
    return { config, gonka, secret, address: signer.address, notices, remarks: [remark] };
  }
  const connection: Connection = {
    ...common,
    kind: "native",
    signer,
    ...(endpoints.length > 0 ? { endpoints } : nodeSource(setup, config)),
  };
  const { address } = signer;
  const remark =
    stored === undefined
      ? `Signing as ${address} (address derived from the key)`
      : `Signing as ${address} (key and address are stored)`;
  return { config, gonka: withNearestModels(gonkaFetch(connection)), secret, address, notices, remarks: [remark] };
}

function devshardConnection(
  { world }: Setup,
  config: GonkaProvider,
  common: ConnectionOptions,
  privateKey: Secret,
): Connection {
  const sourceUrl = config.sourceUrl ?? config.nodes[0]?.url;
  if (sourceUrl === undefined) throw new ZephError("no_endpoints", { detail: `provider "${config.name}"` });
  const { model, devshardAmount: amount, devshardAutoOpen: maxPerDay } = config;
  const mayOpen = model !== undefined && amount !== undefined && maxPerDay !== undefined;
  return {
    ...common,
    kind: "devshard",
    privateKey,
    sourceUrl,
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
