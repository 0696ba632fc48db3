import { randomBytes } from "node:crypto";
import { Secret } from "../../base/secret.ts";
import type { CliContext, RunCommand } from "../../base/world.ts";
import { type GatewaySettings, readGatewaySettings } from "../../config/schema.ts";
import { EXIT, ZephError } from "../../errors.ts";
import { gatheredLines, logLine } from "../../gateway/exchange.ts";
import type { LocalGateway } from "../../gateway/gateway.ts";
import { DEFAULT_PORT, type Listening, listen } from "../../gateway/listen.ts";
import { LOCAL_KEY_NAME, makeLocalKey } from "../../gateway/state.ts";
import type { EndpointStore } from "../../journal/store.ts";
import type { Setup } from "../../provider/setup.ts";
import { isLoopback } from "../../wire/endpoint.ts";
import { openVault, passphraseSource } from "../input.ts";
import { dailyCentsOf, openUpstream, privateStore, type Upstream } from "../local-endpoint.ts";
import { setupOf } from "../setup.ts";
import { escapeUnseen, show, toGnk, toSafeJson, toTerminalLine, writeResult } from "../terminal.ts";
import type { WorkerIntroduction, WorkerPart } from "../workers.ts";

/**
 * `zeph serve`: an endpoint on this computer in front of a configured provider, until Ctrl-C. What a
 * client needs goes to standard output, one line of JSON per request to standard error.
 */
export const runServe: RunCommand<ServeFlags> = async (context, flags) => {
  const count = workerCount(flags.workers);
  if (flags.demo === true) {
    const { runDemo } = await import("../page/demo.ts");
    return runDemo(context, (inside, onListening) => serve(inside, flags, { demo: onListening }));
  }
  if (count === 1) return serve(context, flags);
  const { joinWorkers } = await import("../workers.ts");
  const part = await joinWorkers();
  if (part === undefined) return serveWithWorkers(context, flags, count);
  return serve({ ...context, passphraseOfFirst: part.passphrase }, flags, { part }).finally(() => part.leave());
};

/** Looks after `count` processes that serve, until Ctrl-C. */
async function serveWithWorkers(context: CliContext, flags: ServeFlags, count: number): Promise<number> {
  let typed: Secret | undefined;
  const source = passphraseSource(context);
  const passphrase = async () => {
    typed = await source();
    return typed;
  };
  const setup = await setupOf({ ...context, passphraseOfFirst: passphrase });
  const choices = serveChoices(flags, readGatewaySettings(setup.loaded.config.localGateway));
  const localKey = choices.keyRequired
    ? await localGatewayKey({ ...context, passphraseOfFirst: passphrase }, setup)
    : undefined;
  const store = await openStore(context, setup, flags);
  const { freePort, startWorkers } = await import("../workers.ts");
  const workers = startWorkers(context, {
    count,
    port: choices.port === 0 ? await freePort(choices.host) : choices.port,
    key: localKey?.key ?? "none",
    store,
    passphrase: async () => typed ?? (await passphrase()),
  });
  const first = await workers.started;
  if ("exitCode" in first) {
    tellNewKey(context, localKey);
    await store.close();
    return first.exitCode;
  }
  const usesVault = setup.vaultBackend.backend === "age";
  introduce(context, { ...first, pageLink: undefined, choices, localKey, flags, usesVault });
  await untilInterrupted(context.signal);
  await workers.stop();
  await store.close();
  return EXIT.ok;
}

/**
 * @param role.part where the process is one of several: the page needs one that knows all requests
 * @param role.demo called once the endpoint listens, where it is a demonstration
 */
async function serve(
  context: CliContext,
  flags: ServeFlags,
  {
    part,
    demo,
  }: {
    readonly part?: WorkerPart;
    readonly demo?: (endpoint: { readonly baseURL: string; readonly key: string }) => void;
  } = {},
): Promise<number> {
  const settings = readGatewaySettings((await setupOf(context)).loaded.config.localGateway);
  const providerName = flags.provider ?? settings.provider;
  const choices = serveChoices(flags, settings);
  const upstream = await openUpstream(
    context,
    { provider: providerName, model: flags.model ?? settings.model },
    { openStore: async (found) => part?.store ?? openStore(context, found, flags) },
  );
  // A store that is left open would keep a process alive that could not begin.
  return serveUpstream(context, upstream, { flags, choices, isNamed: providerName !== undefined, part, demo }).finally(
    () => upstream.close(),
  );
}

async function serveUpstream(
  context: CliContext,
  upstream: Upstream,
  {
    flags,
    choices,
    isNamed,
    part,
    demo,
  }: {
    readonly flags: ServeFlags;
    readonly choices: ServeChoices;
    /** Was the provider named? Then nobody stands in for it. */
    readonly isNamed: boolean;
    readonly part: WorkerPart | undefined;
    readonly demo: ((endpoint: { readonly baseURL: string; readonly key: string }) => void) | undefined;
  },
): Promise<number> {
  const { setup, opened } = upstream;
  const { name, model } = opened.config;
  const localKey = choices.keyRequired && part === undefined ? await localGatewayKey(context, setup) : undefined;
  const log = gatheredLines((text) => context.stderr.write(text), context.clock);
  const hasPage = flags.page !== false && part === undefined && (flags.store ?? "file") === "file";
  const page = hasPage
    ? await (await import("../page/serve-page.ts")).servePage(context, {
        ...{ upstream, host: choices.host, isDemo: demo !== undefined },
        isNamed,
      })
    : undefined;
  if (hasPage && page === undefined) {
    show(
      context.stderr,
      `No page: it answers to this computer's own names only, and they do not lead to ${choices.host}.\n`,
    );
  }
  const { aliases, allowedOrigins, allowedHosts, upstreamMode, cleanUp } = choices;
  const gateway = await upstream.gateway({
    ...{ aliases, allowedOrigins, allowedHosts, upstreamMode, cleanUp },
    key: localKey?.key ?? part?.key ?? "none",
    ...(part === undefined ? {} : { sumMetrics: part.sumMetrics }),
    onNotice(text) {
      if (flags.quiet === true) return;
      const time = new Date(context.clock.nowMs()).toISOString();
      log.add(toSafeJson({ time, event: "notice", text }));
    },
    ...(page === undefined ? {} : { onOpen: page.opened }),
    onRequest(record, cost) {
      page?.ended(record, {
        provider: record.fallbackProvider ?? name,
        costUsd: cost?.usd,
        costGnk: toGnk(cost?.ngonka),
      });
      if (flags.quiet === true) return;
      log.add(escapeUnseen(logLine(record, context.clock.nowMs())));
    },
  });
  const { host: hostname } = choices;
  const port = part?.port ?? choices.port;
  const listening = await listen(gateway, { port, hostname, clock: context.clock, before: page?.answer }).catch(
    (error: unknown) => {
      tellNewKey(context, localKey);
      throw error;
    },
  );
  const introduction = { baseURL: listening.baseURL, model, provider: { name, baseURL: opened.gonka.baseURL } };
  part?.onMetrics(async () => gateway.metrics());
  if (part === undefined) {
    const usesVault = setup.vaultBackend.backend === "age";
    const pageLink = await page?.announce(listening.port);
    introduce(context, { ...introduction, pageLink, choices, localKey, flags, usesVault });
  } else part.serving(introduction);
  demo?.({ baseURL: listening.baseURL, key: localKey?.key.reveal() ?? "none" });
  await untilInterrupted(part === undefined ? context.signal : AbortSignal.any([context.signal, part.stop]));
  await page?.close();
  await stop(context, gateway, listening).finally(() => log.flush());
  return EXIT.ok;
}

/** What copies of this endpoint share: the private file, or a server. */
async function openStore(context: CliContext, setup: Setup, flags: ServeFlags): Promise<EndpointStore> {
  const { store = "file", storeLost = "refuse" } = flags;
  if (storeLost !== "refuse" && storeLost !== "pass") {
    throw new ZephError("usage", { detail: "--store-lost takes refuse or pass" });
  }
  if (store === "file") return privateStore(context, setup);
  const { parseStoreAddress, redisStore } = await import("../../journal/redis-store.ts");
  const password = context.env.ZEPH_STORE_PASSWORD ?? "";
  return redisStore({
    address: parseStoreAddress(store),
    password: password === "" ? undefined : new Secret(password),
    maxDailyCents: dailyCentsOf(setup),
    whenLost: storeLost,
    clock: context.clock,
    copy: randomBytes(9).toString("hex"),
    tell(text) {
      const time = new Date(context.clock.nowMs()).toISOString();
      show(context.stderr, `${toSafeJson({ time, event: "store", text })}\n`);
    },
  });
}

/** A key that was stored just now; nothing will call it new again. */
function tellNewKey(context: CliContext, localKey: LocalKey | undefined): void {
  if (localKey?.state !== "created") return;
  show(context.stderr, `A new local key is kept in the vault as ${LOCAL_KEY_NAME}: ${localKey.key.reveal()}\n`);
}

function introduce(
  context: CliContext,
  {
    baseURL,
    pageLink,
    choices,
    localKey,
    model,
    provider,
    flags,
    usesVault,
  }: WorkerIntroduction & {
    readonly pageLink: string | undefined;
    readonly choices: ServeChoices;
    readonly localKey: LocalKey | undefined;
    readonly flags: ServeFlags;
    readonly usesVault: boolean;
  },
): void {
  const keyState = localKey?.state ?? "none";
  const isShown = keyState === "created" || keyState === "temporary" || flags.showKey === true;
  const key = isShown ? localKey?.key.reveal() : undefined;
  const { aliases, upstreamMode, cleanUp, host } = choices;
  const open = isLoopbackHost(host)
    ? ""
    : "Others on the network can reach this address, and what they send travels in clear text.\n";
  writeResult(context, {
    data: {
      baseURL,
      page: pageLink ?? null,
      provider,
      model: model ?? null,
      aliases,
      upstreamMode,
      cleanUp,
      key: { name: LOCAL_KEY_NAME, state: keyState, ...(key === undefined ? {} : { value: key }) },
    },
    answer: serveIntroduction({
      baseURL,
      pageLink,
      provider,
      model,
      choices,
      key,
      keyState,
      keyName: LOCAL_KEY_NAME,
      keyPlace: localKey?.place ?? "nowhere",
      usesVault,
      vaultFlags: vaultFlagsOf(context),
    }),
    notice: `${open}Waiting for requests; Ctrl-C stops the endpoint.\n`,
  });
}

/** The flags that another command needs to find the same vault. */
function vaultFlagsOf({ paths: { config, vaultKey, vaultFile, vaultBackend } }: CliContext): string {
  const given = { config, "vault-key": vaultKey, "vault-path": vaultFile, vault: vaultBackend };
  return Object.entries(given)
    .flatMap(([name, value]) => (value === undefined ? [] : [` --${name} ${shellWord(value)}`]))
    .join("");
}

function shellWord(text: string): string {
  return /^[\w./:@+-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

function untilInterrupted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

/** Answers under way go on to their end; a second Ctrl-C leaves at once. */
async function stop(context: CliContext, gateway: LocalGateway, listening: Listening): Promise<void> {
  const { inFlight } = gateway;
  if (inFlight > 0 && !context.json) {
    const what = inFlight === 1 ? "1 answer" : `${inFlight} answers`;
    context.stderr.write(`Waiting for ${what} to end; Ctrl-C again leaves at once.\n`);
  }
  await listening.close();
}

/** Flags of `zeph serve`, as commander hands them over. Each wins over its field in `[local_gateway]`. */
export interface ServeFlags {
  /** `--port NUMBER`; 0 takes any free one. Default 8424. */
  readonly port?: string;
  /** `--host ADDRESS` to bind. Default 127.0.0.1. */
  readonly host?: string;
  readonly provider?: string;
  /** `--model ID`: used when a request names none. */
  readonly model?: string;
  /** `--alias NAME=ID`, repeatable. */
  readonly alias?: readonly string[];
  /** `--no-auth` makes it false: no key is asked for. Loopback only. */
  readonly auth?: boolean;
  /** `--cors ORIGIN`, repeatable. */
  readonly cors?: readonly string[];
  /** `--allow-host NAME`, repeatable: further names callers may use for this computer. */
  readonly allowHost?: readonly string[];
  readonly alwaysStream?: boolean;
  /** `--no-clean-up` makes it false: requests are sent as they come. */
  readonly cleanUp?: boolean;
  /** Print the key although it is not new. */
  readonly showKey?: boolean;
  /** `--no-page` makes it false: nothing for a browser. */
  readonly page?: boolean;
  /** A sandbox behind it, full of life. */
  readonly demo?: boolean;
  /** No line per request on standard error. */
  readonly quiet?: boolean;
  /** `--workers N`: processes that share the port. Default 1. */
  readonly workers?: string;
  /** `--store ADDRESS`: where ledger, limit and kept answers are. `file` (default), or `redis://HOST:PORT`. */
  readonly store?: string;
  /** `--store-lost RULE`: `refuse` (default) or `pass`. */
  readonly storeLost?: string;
}

const MOST_WORKERS = 64;

function workerCount(text = "1"): number {
  const count = /^\d{1,2}$/.test(text) ? Number(text) : 0;
  if (count >= 1 && count <= MOST_WORKERS) return count;
  throw new ZephError("usage", { detail: `--workers takes a whole number from 1 to ${MOST_WORKERS}` });
}

/** What flags and settings come to. */
export interface ServeChoices {
  readonly port: number;
  readonly host: string;
  readonly aliases: Readonly<Record<string, string>>;
  readonly keyRequired: boolean;
  readonly allowedOrigins: readonly string[];
  readonly allowedHosts: readonly string[];
  readonly upstreamMode: "as-asked" | "always-stream";
  readonly cleanUp: "network" | "none";
}

/** Throws `usage` for what cannot be meant, such as a door without a key on an address that others reach. */
export function serveChoices(flags: ServeFlags, settings: GatewaySettings): ServeChoices {
  const host = (flags.host ?? settings.host ?? "127.0.0.1").replace(/^\[(.*)\]$/, "$1");
  const keyRequired = flags.auth !== false;
  const isPrivate = isLoopbackHost(host);
  if (!keyRequired && !isPrivate) {
    throw new ZephError("usage", {
      detail: `--no-auth together with --host ${host} would let everybody spend your money`,
      hint: "Leave --no-auth out, or serve on 127.0.0.1.",
    });
  }
  const streams = flags.alwaysStream ?? settings.alwaysStream ?? false;
  const cleans = flags.cleanUp === false ? false : (settings.cleanUp ?? true);
  return {
    port: flags.port === undefined ? (settings.port ?? DEFAULT_PORT) : toPort(flags.port),
    host,
    aliases: { ...settings.aliases, ...Object.fromEntries((flags.alias ?? []).map(toAlias)) },
    keyRequired,
    allowedOrigins: [...(settings.cors ?? []), ...(flags.cors ?? [])].map(toOrigin),
    // Whoever binds an address by its number or name means to be called by it.
    allowedHosts: [...(settings.allowHosts ?? []), ...(flags.allowHost ?? []), ...(isPrivate ? [] : [host])],
    upstreamMode: streams ? "always-stream" : "as-asked",
    cleanUp: cleans ? "network" : "none",
  };
}

export function isLoopbackHost(host: string): boolean {
  const url = `http://${host.includes(":") ? `[${host}]` : host}`;
  return URL.canParse(url) && isLoopback(url);
}

function toPort(text: string): number {
  if (/^\d{1,5}$/.test(text) && Number(text) <= 65_535) return Number(text);
  throw new ZephError("usage", { detail: "--port takes a whole number from 0 to 65535" });
}

function toAlias(text: string): readonly [string, string] {
  const [, name, id] = /^([^=\s]+)=(\S+)$/.exec(text) ?? [];
  if (name !== undefined && id !== undefined) return [name, id];
  throw new ZephError("usage", {
    detail: "--alias takes NAME=ID",
    hint: "Such as --alias gpt-4o=a-model-of-zeph-models.",
  });
}

function toOrigin(text: string): string {
  // Extensions and desktop applications have origins of their own schemes, which URL gives no origin for.
  if (/^[a-z][a-z0-9+.-]*:\/\/[^/\s]+\/?$/i.test(text) || text === "null") return text.replace(/\/$/, "");
  throw new ZephError("usage", {
    detail: "--cors takes an origin",
    hint: "Such as --cors http://localhost:3000, without a path.",
  });
}

interface ServeIntroduction {
  readonly baseURL: string;
  readonly pageLink: string | undefined;
  readonly provider: { readonly name: string; readonly baseURL: string };
  readonly model: string | undefined;
  readonly choices: ServeChoices;
  /** The key, when it is to be shown. */
  readonly key: string | undefined;
  /** `none`: nobody needs one. */
  readonly keyState: "stored" | "created" | "temporary" | "none";
  readonly keyName: string;
  readonly keyPlace: LocalKey["place"];
  /** Are secrets kept in a vault, or in the environment? */
  readonly usesVault: boolean;
  /** Flags of this run that another command needs to find the same vault. */
  readonly vaultFlags: string;
}

/** What `zeph serve` says before it begins: where it is, and what a client needs to use it. */
function serveIntroduction(given: ServeIntroduction): string {
  const { baseURL, provider, model, choices } = given;
  const aliases = Object.entries(choices.aliases).map(([name, id]) => `${name} = ${id}`);
  const lines = [
    `Local endpoint  ${baseURL}`,
    `Provider        ${provider.name} (${provider.baseURL})`,
    `Model           ${model === undefined ? "the request must name one" : `${model}, when a request names none`}`,
    ...(aliases.length === 0 ? [] : [`Aliases         ${aliases.join(", ")}`]),
    `Key             ${keyLine(given)}`,
    ...(given.pageLink === undefined
      ? []
      : [
          `Page            ${given.pageLink}`,
          "                in a browser on this computer; works once, and `zeph open` makes another",
        ]),
    "",
    "For OpenAI clients",
    `  export OPENAI_BASE_URL=${baseURL}`,
    `  export OPENAI_API_KEY=${keyValue(given)}`,
    "",
    "For Anthropic clients",
    `  export ANTHROPIC_BASE_URL=${baseURL.replace(/\/v1$/, "")}`,
    `  export ANTHROPIC_AUTH_TOKEN=${keyValue(given)}`,
    "",
    "Coding agents",
    "  zeph launch        starts one; it needs no endpoint of its own",
    "  zeph connect NAME  sets one up for this endpoint",
    "",
    "Try it",
    `  curl ${baseURL}/models${given.keyState === "none" ? "" : ' -H "Authorization: Bearer $OPENAI_API_KEY"'}`,
    "",
    "",
  ];
  return lines.map(toTerminalLine).join("\n");
}

function keyLine({ key, keyState, keyName, keyPlace, usesVault }: ServeIntroduction): string {
  switch (keyState) {
    case "none":
      return "none: every program on this computer may use it";
    case "created":
      return `${key ?? ""}  (new; kept in the vault as ${keyName}, not shown again)`;
    case "temporary":
      return `${key ?? ""}  (for this run only; ${usesVault ? "`zeph vault init` makes a vault to keep one in" : `set ${keyName} to keep one`})`;
    case "stored":
      return (
        key ??
        `the one ${isVariable(keyPlace) ? `in the variable ${keyPlace.variable}` : `kept as ${keyName}`}; --show-key shows it`
      );
  }
}

function keyValue({ key, keyState, keyName, keyPlace, vaultFlags }: ServeIntroduction): string {
  if (keyState === "none") return "none";
  if (keyState === "temporary") return key ?? "";
  if (isVariable(keyPlace)) return `"$${keyPlace.variable}"`;
  return `"$(zeph${vaultFlags} vault get ${keyName})"`;
}

function isVariable(place: LocalKey["place"]): place is { readonly variable: string } {
  return typeof place === "object";
}

export interface LocalKey {
  readonly key: Secret;
  /** `stored`: it was there. `created`: made now and stored. `temporary`: made now, for this run only. */
  readonly state: "stored" | "created" | "temporary";
  /** Where a shell finds it again: in the vault, or in this variable. `nowhere` for one that is made for each run. */
  readonly place: "vault" | "nowhere" | { readonly variable: string };
}

/** The key of the local endpoint: from the vault or its variable; made, and stored where there is a vault, when missing. */
export async function localGatewayKey(context: CliContext, setup: Setup): Promise<LocalKey> {
  const names = { canonical: LOCAL_KEY_NAME, stored: [LOCAL_KEY_NAME], aliases: [] };
  const found = await setup.optionalSecret(names, "the local endpoint");
  if (found !== undefined) {
    const place = found.source === "vault" ? "vault" : { variable: found.name };
    return { key: found.secret, state: "stored", place };
  }
  const key = makeLocalKey();
  if (setup.vaultBackend.backend !== "age") return { key, state: "temporary", place: "nowhere" };
  try {
    const vault = await openVault(context);
    await vault.set(LOCAL_KEY_NAME, key);
    return { key, state: "created", place: "vault" };
  } catch (error) {
    if (!ZephError.is(error)) throw error;
    if (error.code === "vault_not_found") return { key, state: "temporary", place: "nowhere" };
    if (error.code !== "vault_entry_exists") throw error;
    // Another `zeph serve` was faster.
    const stored = (await openVault(context)).get(LOCAL_KEY_NAME);
    if (stored === undefined) throw error;
    return { key: stored, state: "stored", place: "vault" };
  }
}
