import { homedir, userInfo } from "node:os";
import { isAbsolute } from "node:path";
import { systemClock } from "../base/time.ts";
import type { FetchFunction, World } from "../base/world.ts";
import { namesProxy, throughProxies } from "./proxy.ts";

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
