import { homedir, userInfo } from "node:os";
import { isAbsolute } from "node:path";
import { scrub } from "../base/secret.ts";
import { systemClock } from "../base/time.ts";
import type { FetchFunction, World } from "../base/world.ts";
import { ZephError } from "../errors.ts";
import { isLoopback } from "../wire/endpoint.ts";
import { readNetworkFailure } from "../wire/refusals.ts";

/** The real outside world, put together in this one place. */
export function systemWorld(): World {
  // A reader that closes its end early (`zeph ask | head -1`) is no error of ours.
  process.stdout.on("error", leaveUnwritten);
  process.stderr.on("error", leaveUnwritten);
  return {
    stdin: process.stdin,
    stdout: process.stdout,
    stderr: process.stderr,
    env: process.env,
    cwd: process.cwd(),
    homeDir: homeFolder(),
    platform: process.platform,
    clock: systemClock,
    random: Math.random,
    fetch: proxyAwareFetch(process.env),
    openServerFetch: () => openServerFetch(process.env),
    signal: interruptSignal(),
  };
}

function leaveUnwritten(error: NodeJS.ErrnoException): void {
  if (error.code === "EPIPE") process.exit(0);
  // A full disk, as a rule. Where this line cannot be written either, the exit code has to do.
  process.stderr.write(`✗ The output could not be written (${error.code ?? error.message})\n`, () => process.exit(1));
}

/** With HOME empty or relative, keys would be looked for, and stored, in whatever folder zeph happens to run in. */
function homeFolder(): string {
  const folder = homedir();
  return isAbsolute(folder) ? folder : userInfo().homedir;
}

/**
 * The first Ctrl-C or SIGTERM asks politely. The second is left to the system, which ends the process at once wherever
 * it is: our own code could not, while the loop is busy or a thread waits for a disk (`process.exit` waits for threads).
 */
function interruptSignal(): AbortSignal {
  const controller = new AbortController();
  const interrupt = () => {
    process.off("SIGINT", interrupt);
    process.off("SIGTERM", interrupt);
    giveBackTerminal();
    controller.abort(new DOMException("interrupted", "AbortError"));
  };
  process.on("SIGINT", interrupt);
  process.on("SIGTERM", interrupt);
  return controller.signal;
}

/** What a question has changed; nobody could afterwards. */
function giveBackTerminal(): void {
  if (process.stdin.isTTY !== true || !process.stdin.isRaw) return;
  process.stdin.setRawMode(false);
  process.stderr.write("\u001b[?25h");
}

async function openServerFetch(env: NodeJS.ProcessEnv): Promise<FetchFunction> {
  const { leanFetch } = await import("./lean-fetch.ts");
  if (!namesProxy(env)) {
    const { default: Agent } = await import("undici/lib/dispatcher/agent.js");
    return leanFetch(new Agent());
  }
  const { Agent, ProxyAgent } = await import("undici");
  return throughProxies(env, (proxy) => leanFetch(proxy === undefined ? new Agent() : new ProxyAgent(proxy)));
}

/** Straight to the endpoint; where a variable names a proxy, undici's agent goes through it. */
function proxyAwareFetch(env: NodeJS.ProcessEnv): FetchFunction {
  let plain: Promise<FetchFunction> | undefined;
  const direct: FetchFunction = async (input, init) => {
    plain ??= import("./lean-fetch.ts").then(({ plainFetch }) => plainFetch());
    return (await plain)(input, init);
  };
  if (!namesProxy(env)) return direct;
  return throughProxies(env, async (proxy) => {
    if (proxy === undefined) return direct;
    const { ProxyAgent } = await import("undici");
    const dispatcher = new ProxyAgent(proxy);
    // The types of undici and of Node's own copy of it differ in spelling only.
    return (input, init) => globalThis.fetch(input, Object.assign({}, init, { dispatcher }));
  });
}

type Env = Readonly<Record<string, string | undefined>>;

/** A proxy that a variable names for one address. */
interface Proxy {
  /** As the user wrote it, such as `HTTPS_PROXY`. */
  readonly variable: string;
  /** May hold a name and a password: never shown. */
  readonly url: URL;
}

const VARIABLES = {
  "https:": ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "http_proxy", "HTTP_PROXY"],
  "http:": ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"],
} as const;

/** Spellings of a proxy's scheme, as undici takes them. */
const SCHEMES: Readonly<Record<string, string>> = {
  "http:": "http:",
  "https:": "https:",
  "socks:": "socks5:",
  "socks5:": "socks5:",
  "socks5h:": "socks5:",
};

/** Whether any variable could name a proxy; without one there is nothing to load. */
export function namesProxy(env: Env): boolean {
  return VARIABLES["https:"].some((name) => isSet(env[name]));
}

/**
 * The proxy for an address, by the variables that curl reads: the first that is not empty, lower case first, unless
 * `NO_PROXY` names the host. A value without a scheme is taken for `http://`. Throws `config_invalid` for a value that
 * cannot be a proxy.
 */
export function proxyFor(target: URL, env: Env): Proxy | undefined {
  const names = VARIABLES[target.protocol === "http:" ? "http:" : "https:"];
  const variable = names.find((name) => isSet(env[name]));
  if (variable === undefined || isExempt(target, noProxy(env))) return undefined;
  const text = env[variable]?.trim() ?? "";
  const url = toUrl(/^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `http://${text}`);
  if (url !== undefined) return { variable, url };
  throw new ZephError("config_invalid", {
    detail: `the variable ${variable} is not the address of a proxy; nothing was sent`,
    hint: `Set ${variable} to something like http://proxy.example:3128, or go without: unset ${variable}`,
  });
}

function toUrl(text: string): URL | undefined {
  if (!URL.canParse(text)) return undefined;
  const url = new URL(text);
  const scheme = SCHEMES[url.protocol];
  if (scheme === undefined || url.hostname === "") return undefined;
  return new URL(url.href.replace(/^[^:]+:/, scheme));
}

function isSet(value: string | undefined): boolean {
  return value !== undefined && value.trim() !== "";
}

function noProxy(env: Env): readonly string[] {
  const value = isSet(env.no_proxy) ? env.no_proxy : env.NO_PROXY;
  return (value ?? "").split(/[,\s]+/).filter((entry) => entry !== "");
}

/** `*`, a host, a domain with all below it (`.example`, `*.example`), each perhaps with a port. */
function isExempt(target: URL, entries: readonly string[]): boolean {
  const host = bare(target.hostname);
  const port = target.port === "" ? (target.protocol === "http:" ? "80" : "443") : target.port;
  return entries.some((entry) => {
    if (entry === "*") return true;
    const [, name = entry, onlyPort] = /^(\[[^\]]*\]|[^:]*):(\d+)$/.exec(entry) ?? [];
    if (onlyPort !== undefined && onlyPort !== port) return false;
    const domain = bare(name).replace(/^\*?\./, "");
    return host === domain || host.endsWith(`.${domain}`);
  });
}

function bare(host: string): string {
  return host.toLowerCase().replace(/^\[|\]$/g, "");
}

/**
 * A `fetch` that goes the way the variables say; `open` gives the one for a proxy, or for none. A bad variable is an error
 * of the request that needs it, not of the program.
 */
export function throughProxies(
  env: Env,
  open: (proxyUrl: string | undefined) => FetchFunction | Promise<FetchFunction>,
): FetchFunction {
  const opened = new Map<string | undefined, ReturnType<typeof open>>();
  return async (input, init) => {
    const target = new URL(input instanceof Request ? input.url : input);
    const proxy = proxyFor(target, env);
    const ways = opened.get(proxy?.url.href) ?? open(proxy?.url.href);
    opened.set(proxy?.url.href, ways);
    const fetch = await ways;
    try {
      return await fetch(input, init);
    } catch (thrown) {
      throw (proxy === undefined ? undefined : proxyFailure(thrown, proxy, target)) ?? thrown;
    }
  };
}

/**
 * What went wrong at the proxy; undefined for what happened behind it. Before the tunnel stands, only the proxy can have
 * refused, been unknown or been silent: of the endpoint one would hear through the proxy's own answer.
 */
function proxyFailure(thrown: unknown, { variable, url }: Proxy, target: URL): ZephError | undefined {
  const way = `the proxy ${url.host} (${variable})`;
  const exempt = `NO_PROXY=${isLoopback(target.origin) ? "127.0.0.1,localhost" : target.hostname}`;
  const without = `To go without it: unset ${variable}, or set ${exempt}`;
  const status = tunnelStatus(thrown);
  if (status === 407) {
    const wish =
      url.username === "" ? "wants a name and a password" : "does not take the name and password it was given";
    return new ZephError("unreachable", {
      detail: `${way} ${wish} (407)`,
      hint: `Set ${variable}=${url.protocol}//NAME:PASSWORD@${url.host}. ${without}.`,
      cause: thrown,
    });
  }
  if (status !== undefined) {
    return new ZephError("unreachable", {
      detail: `${way} answered ${status} instead of connecting to ${target.host}`,
      hint: `Check that ${variable} names a proxy and that it may reach ${target.hostname}. ${without}.`,
      cause: thrown,
    });
  }
  const failure = readNetworkFailure(thrown);
  const isOfProxy = failure.stage === "connect" || (failure.stage === "tls" && url.protocol === "https:");
  if (!isOfProxy) return undefined;
  return new ZephError("unreachable", {
    detail: `${way}: ${scrub(failure.error.detail ?? "no answer")}`,
    hint: `Check the address in ${variable} and that the proxy runs. ${without}.`,
    cause: thrown,
  });
}

/** undici tells the status of a refused CONNECT only in the words of its error. */
function tunnelStatus(thrown: unknown): number | undefined {
  for (let error = thrown; error instanceof Error; error = error.cause) {
    const [, status] = /Proxy response \((\d{3})\)|Proxy Authentication Required \((407)\)/.exec(error.message) ?? [];
    if (status !== undefined) return Number(status);
    if (/Proxy Authentication Required/.test(error.message)) return 407;
  }
  return undefined;
}
