import cluster, { type Worker } from "node:cluster";
import { createServer } from "node:net";
import { type KeptTexts, memoryTexts } from "../base/kept-texts.ts";
import { Secret } from "../base/secret.ts";
import type { CliContext } from "../base/world.ts";
import { isZephErrorCode, ZephError, type ZephErrorOptions } from "../errors.ts";
import { DEFAULT_PORT } from "../gateway/listen.ts";
import { countersOf, sumMetrics } from "../gateway/metrics.ts";
import type { Spent } from "../journal/budget.ts";
import type { SpendingLine } from "../journal/ledger.ts";
import type { EndpointStore, ExpectedCost } from "../journal/store.ts";
import { toSafeJson } from "./terminal.ts";

/*
 * `zeph serve --workers N`: one process looks after several that serve the same port. The first holds what they share:
 * the store, and the passphrase of the vault where one was typed. Nothing secret is in an argument or a variable; what
 * workers need travels over the channel that Node keeps between them.
 */

/** What a worker tells when it serves. */
export interface WorkerIntroduction {
  readonly baseURL: string;
  readonly model: string | undefined;
  readonly provider: { readonly name: string; readonly baseURL: string };
}

/** What the first process brings. */
interface Shared {
  readonly count: number;
  /** Not 0: all serve the same. See {@link freePort}. */
  readonly port: number;
  /** The key of the endpoint, or `none`. */
  readonly key: Secret | "none";
  readonly store: EndpointStore;
  readonly passphrase: () => Promise<Secret | undefined>;
}

/** The processes that serve. */
interface Workers {
  /** Of the first one that serves; or the exit code of one that could not. */
  readonly started: Promise<WorkerIntroduction | { readonly exitCode: number }>;
  /** Lets answers under way go on to their end. */
  stop(): Promise<void>;
}

/** Starts workers, and another for each that dies. What they write comes out here, in whole lines. */
export function startWorkers(context: CliContext, shared: Shared): Workers {
  const { clock, stderr } = context;
  const responses = shared.store.responses ?? memoryTexts();
  const running = new Map<number, WorkerRun>();
  const ended = { metrics: "" };
  let isStopping = false;
  let fastDeaths = 0;
  let settle: (outcome: WorkerIntroduction | { readonly exitCode: number }) => void = () => {};
  const started = new Promise<WorkerIntroduction | { readonly exitCode: number }>((resolve) => {
    settle = resolve;
  });
  cluster.setupPrimary({ serialization: "advanced", stdio: ["ignore", "pipe", "pipe", "ipc"] });

  /** The numbers of all workers, and what those that died had told. */
  async function allMetrics(asking: WorkerRun, own: string): Promise<string> {
    const others = [...running.values()].filter((run) => run !== asking && run.isServing);
    const texts = await Promise.all(others.map((run) => askMetrics(run, clock)));
    asking.metrics = own;
    return sumMetrics([own, ...texts, ended.metrics]);
  }

  function start(isFirst: boolean): void {
    const worker = cluster.fork();
    const { process: child } = worker;
    const startedAtMs = clock.nowMs();
    const held = new Set<string>();
    const early: string[] = [];
    const run: WorkerRun = {
      isServing: false,
      metrics: "",
      channel: openChannel(worker, {
        begin(): Beginning {
          // Asked to stop before it could hear it.
          if (isStopping) run.channel.tell("stop", undefined);
          const key = shared.key === "none" ? "none" : shared.key.reveal();
          return { key, isLimited: shared.store.isLimited, port: shared.port };
        },
        passphrase: async () => (await shared.passphrase())?.reveal(),
        serving(introduction) {
          run.isServing = true;
          fastDeaths = 0;
          // All workers begin with the same remarks.
          if (isFirst) for (const line of early) stderr.write(line);
          early.length = 0;
          settle(introduction as WorkerIntroduction);
        },
        async reserve(given) {
          const { requestId, cost } = given as { requestId: string; cost: ExpectedCost };
          await shared.store.reserve(requestId, cost);
          held.add(requestId);
        },
        settle(given) {
          const { requestId, spent } = given as { requestId: string; spent: Spent | undefined };
          held.delete(requestId);
          shared.store.settle(requestId, spent);
        },
        flush: () => shared.store.flush(),
        lines: () => shared.store.lines(),
        put: (entry) => responses.put(entry as Parameters<KeptTexts["put"]>[0]),
        get: (id) => responses.get(String(id)),
        find: (name) => responses.find(String(name)),
        remove: (id) => responses.remove(String(id)),
        metrics: (own) => allMetrics(run, String(own)),
      }),
    };
    running.set(worker.id, run);
    child.stdout?.on("data", () => {});
    const lines = wholeLines((line) => (run.isServing ? stderr.write(line) : early.push(line)));
    child.stderr?.setEncoding("utf8").on("data", lines.add);
    child.once("close", (exitCode, signal) => {
      lines.end();
      running.delete(worker.id);
      for (const requestId of held) shared.store.settle(requestId, undefined);
      ended.metrics = sumMetrics([ended.metrics, countersOf(run.metrics)]);
      run.channel.close();
      if (isStopping) return;
      // One that could not begin said why.
      if (!run.isServing) for (const line of early) stderr.write(line);
      if (!run.isServing && isFirst) return settle({ exitCode: exitCode ?? 1 });
      const how = signal ?? `exit code ${exitCode}`;
      const time = new Date(clock.nowMs()).toISOString();
      const text = `worker ${child.pid} ended (${how}); another takes its place`;
      stderr.write(`${toSafeJson({ time, event: "worker", text })}\n`);
      fastDeaths = run.isServing && clock.nowMs() - startedAtMs > FAST_DEATH_MS ? 0 : fastDeaths + 1;
      clock.schedule(Math.min(fastDeaths * RESTART_DELAY_MS, MOST_RESTART_DELAY_MS), () => {
        if (!isStopping) start(false);
      });
    });
  }

  start(true);
  void started.then((outcome) => {
    if ("exitCode" in outcome || isStopping) return;
    for (let more = 1; more < shared.count; more += 1) start(false);
  });
  return {
    started,
    async stop() {
      isStopping = true;
      const gone = Object.values(cluster.workers ?? {}).map(
        (worker) =>
          new Promise<void>((resolve) => {
            const { process: child } = worker ?? {};
            if (child === undefined) resolve();
            else child.once("close", () => resolve());
          }),
      );
      for (const { channel } of running.values()) channel.tell("stop", undefined);
      await Promise.all(gone);
    },
  };
}

interface Beginning {
  readonly key: string;
  readonly isLimited: boolean;
  readonly port: number;
}

const FAST_DEATH_MS = 10_000;
const RESTART_DELAY_MS = 500;
const MOST_RESTART_DELAY_MS = 30_000;

interface WorkerRun {
  isServing: boolean;
  /** As it told them last. */
  metrics: string;
  readonly channel: Channel;
}

const METRICS_WAIT_MS = 1_000;

/** What a worker that is too busy to answer had told before. */
async function askMetrics(run: WorkerRun, clock: CliContext["clock"]): Promise<string> {
  let cancel = () => {};
  const late = new Promise<string>((resolve) => {
    cancel = clock.schedule(METRICS_WAIT_MS, () => resolve(run.metrics));
  });
  const told = run.channel.ask("metrics", undefined).then(String, () => run.metrics);
  run.metrics = await Promise.race([told, late]);
  cancel();
  return run.metrics;
}

/** A port that nobody serves at this moment. */
export async function freePort(hostname: string): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.once("error", () => resolve()).listen(0, hostname, resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  // An address that cannot be listened on: the workers find out, and say so.
  return typeof address === "object" && address !== null ? address.port : DEFAULT_PORT;
}

/** The part of one worker. */
export interface WorkerPart {
  /** What all serve. */
  readonly port: number;
  readonly key: Secret | "none";
  readonly passphrase: () => Promise<Secret | undefined>;
  readonly store: EndpointStore;
  sumMetrics(own: string): Promise<string>;
  /** Tells that it serves. */
  serving(introduction: WorkerIntroduction): void;
  /** How it is asked for its own numbers. */
  onMetrics(render: () => Promise<string>): void;
  /** Aborted when it is to stop. */
  readonly stop: AbortSignal;
  /** Lets go of the first process: nothing else keeps this one from its end. */
  leave(): void;
}

/** What the first process shares with this one; `undefined` in the first process itself. */
export async function joinWorkers(): Promise<WorkerPart | undefined> {
  const { worker } = cluster;
  if (worker === undefined) return undefined;
  const stop = new AbortController();
  let render = async () => "";
  const channel = openChannel(worker, { stop: () => stop.abort(), metrics: () => render() });
  const begin = (await channel.ask("begin", undefined)) as Beginning;
  const textOf = async (what: string, name: string) => {
    const text = await channel.ask(what, name);
    return typeof text === "string" ? text : undefined;
  };
  return {
    port: begin.port,
    key: begin.key === "none" ? "none" : new Secret(begin.key),
    async passphrase() {
      const text = await channel.ask("passphrase", undefined);
      return typeof text === "string" ? new Secret(text) : undefined;
    },
    store: {
      isLimited: begin.isLimited,
      reserve: async (requestId, cost) => void (await channel.ask("reserve", { requestId, cost })),
      settle: (requestId, spent) => channel.tell("settle", { requestId, spent }),
      responses: {
        put: (entry) => channel.tell("put", entry),
        get: (id) => textOf("get", id),
        find: (name) => textOf("find", name),
        remove: async (id) => (await channel.ask("remove", id)) === true,
      },
      lines: async () => (await channel.ask("lines", undefined)) as readonly SpendingLine[],
      flush: async () => void (await channel.ask("flush", undefined)),
      // What it told before arrives first.
      close: async () => void (await channel.ask("flush", undefined)),
    },
    sumMetrics: async (own) => String(await channel.ask("metrics", own)),
    serving: (introduction) => channel.tell("serving", introduction),
    onMetrics(next) {
      render = next;
    },
    stop: stop.signal,
    leave: () => worker.disconnect(),
  };
}

/** Questions and remarks between two processes. */
interface Channel {
  /** Rejects with what the other side threw, and when it is gone. */
  ask(what: string, value: unknown): Promise<unknown>;
  tell(what: string, value: unknown): void;
  close(): void;
}

interface ChannelMessage {
  readonly zeph: "ask" | "answer";
  readonly id?: number | undefined;
  readonly what?: string;
  readonly value?: unknown;
  readonly error?: Pick<ZephErrorOptions, "detail" | "hint" | "retryAfterMs"> & { readonly code: string };
}

type Handlers = Readonly<Record<string, (value: unknown) => unknown>>;

function openChannel(worker: Worker, handlers: Handlers): Channel {
  const waiting = new Map<number, { resolve(value: unknown): void; reject(error: unknown): void }>();
  let lastId = 0;
  const send = (message: ChannelMessage) => {
    if (worker.isConnected()) worker.send(message, undefined, () => {});
  };
  const close = () => {
    for (const { reject } of waiting.values())
      reject(new ZephError("service_unavailable", { detail: "a worker ended" }));
    waiting.clear();
  };
  worker.on("message", (message: ChannelMessage) => {
    const { zeph, id, what = "", value, error } = message;
    if (zeph === "answer" && id !== undefined) {
      const asked = waiting.get(id);
      waiting.delete(id);
      if (error === undefined) asked?.resolve(value);
      else asked?.reject(isZephErrorCode(error.code) ? new ZephError(error.code, error) : new ZephError("internal"));
    }
    if (zeph !== "ask") return;
    void (async () => {
      try {
        const answer = await handlers[what]?.(value);
        if (id !== undefined) send({ zeph: "answer", id, value: answer });
      } catch (thrown) {
        const { code, detail, hint, retryAfterMs } = ZephError.is(thrown) ? thrown : new ZephError("internal");
        if (id !== undefined) send({ zeph: "answer", id, error: { code, detail, hint, retryAfterMs } });
      }
    })();
  });
  worker.on("disconnect", close);
  // It went in the middle of a message; that it is gone is told by other events.
  worker.on("error", () => {});
  return {
    ask: (what, value) =>
      new Promise((resolve, reject) => {
        lastId += 1;
        waiting.set(lastId, { resolve, reject });
        send({ zeph: "ask", id: lastId, what, value });
      }),
    tell: (what, value) => send({ zeph: "ask", what, value }),
    close,
  };
}

/** Lines of several processes come out whole, whatever pieces they arrive in. */
function wholeLines(write: (line: string) => void) {
  let begun = "";
  return {
    add(text: string) {
      const lines = (begun + text).split("\n");
      begun = lines.pop() ?? "";
      if (lines.length > 0) write(`${lines.join("\n")}\n`);
    },
    end() {
      if (begun !== "") write(`${begun}\n`);
      begun = "";
    },
  };
}
