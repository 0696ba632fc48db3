import type { Clock } from "../../base/time.ts";
import { CATALOGUE, isZephErrorCode } from "../../errors.ts";
import type { ExchangeRecord, GatewayRequest } from "../exchange.ts";
import type { Settled } from "./sources.ts";

/** One request that passed, or passes, through the endpoint. */
interface PageRequest {
  readonly id: string;
  /** When it came, milliseconds since the epoch. */
  readonly atMs: number;
  /** The program behind the user agent; `unnamed` where it names none. */
  readonly client: string;
  readonly dialect: string;
  readonly model: string | null;
  readonly provider: string;
  readonly status?: number | undefined;
  readonly phase: "open" | "streaming" | "done";
  readonly firstByteMs?: number | undefined;
  readonly totalMs?: number | undefined;
  readonly inputTokens?: number | undefined;
  readonly outputTokens?: number | undefined;
  readonly costUsd?: number | undefined;
  readonly costGnk?: number | undefined;
  /** `removed logprobs`, `changed messages` … */
  readonly changed: readonly string[];
  readonly error?: { readonly code: string; readonly message: string; readonly hint: string } | undefined;
}

/** The requests of this run, the latest 500, and whoever looks on. */
export interface RequestLog {
  /** Called with every request. Gives another one to be answered in its place while prompts are kept. */
  opened(record: ExchangeRecord, request: GatewayRequest): GatewayRequest | undefined;
  ended(record: ExchangeRecord, settled: Settled): void;
  /** Newest first. */
  list(): readonly PageRequest[];
  find(
    id: string,
  ): { readonly record: ExchangeRecord; readonly shown: PageRequest; readonly prompt?: string } | undefined;
  /**
   * What begins, streams or ends from now on, until `signal`. Told together a few times a second, not by the requests
   * themselves: a busy endpoint is not slowed by who looks on.
   */
  watch(signal: AbortSignal): AsyncIterable<readonly PageRequest[]>;
  /** Prompts are kept in memory, of requests that come while this is true; what was kept goes when it is made false. */
  promptsKept: boolean;
}

const MAX_REQUESTS = 500;
const TELL_EVERY_MS = 200;
/** Of one request; its beginning tells what it was. */
const MAX_PROMPT_BYTES = 64 * 1024;

/** What asks for a look at the endpoint, and not for a model. */
const UNSHOWN: ReadonlySet<string> = new Set(["health", "ready", "metrics", "preflight"]);

interface Entry {
  readonly record: ExchangeRecord;
  readonly atMs: number;
  settled: Settled | undefined;
  told: PageRequest["phase"] | undefined;
  prompt: Buffer[] | undefined;
}

/** A request costs an entry in a map and nothing else: names, texts and numbers are made when somebody looks. */
export function requestLog({ provider, clock }: { readonly provider: string; readonly clock: Clock }): RequestLog {
  const entries = new Map<string, Entry>();
  /** Under way, or not yet told of their end. */
  const moving = new Set<Entry>();
  const watchers = new Set<(requests: readonly PageRequest[]) => void>();
  let promptsKept = false;
  let isTicking = false;

  function tick(): void {
    isTicking = watchers.size > 0;
    if (isTicking) clock.schedule(TELL_EVERY_MS, tick);
    const moved: PageRequest[] = [];
    for (const entry of moving) {
      const phase = phaseOf(entry);
      if (phase === "done") moving.delete(entry);
      if (phase === entry.told) continue;
      entry.told = phase;
      if (watchers.size > 0) moved.push(toShown(entry, provider));
    }
    if (moved.length > 0) for (const tell of watchers) tell(moved);
  }

  return {
    opened(record, request) {
      if (UNSHOWN.has(record.route)) return undefined;
      const entry: Entry = {
        record,
        atMs: clock.nowMs(),
        settled: undefined,
        told: undefined,
        prompt: undefined,
      };
      entries.set(record.requestId, entry);
      if (watchers.size > 0) moving.add(entry);
      if (entries.size > MAX_REQUESTS) {
        const [[oldest] = []] = entries;
        if (oldest !== undefined) entries.delete(oldest);
      }
      if (!promptsKept) return undefined;
      entry.prompt = [];
      return keepingBody(request, entry.prompt);
    },
    ended(record, settled) {
      const entry = entries.get(record.requestId);
      if (entry === undefined) return;
      entry.settled = settled;
      if (watchers.size > 0) moving.add(entry);
    },
    list: () => [...entries.values()].reverse().map((entry) => toShown(entry, provider)),
    find(id) {
      const entry = entries.get(id);
      if (entry === undefined) return undefined;
      const shown = toShown(entry, provider);
      if (entry.prompt === undefined) return { record: entry.record, shown };
      return { record: entry.record, shown, prompt: Buffer.concat(entry.prompt).toString("utf8") };
    },
    async *watch(signal) {
      let waiting: readonly PageRequest[] = [];
      let wake = () => {};
      const tell = (requests: readonly PageRequest[]) => {
        waiting = [...waiting, ...requests].slice(-MAX_REQUESTS);
        wake();
      };
      const onAbort = () => wake();
      if (watchers.size === 0) {
        for (const entry of entries.values()) {
          entry.told = phaseOf(entry);
          if (entry.told !== "done") moving.add(entry);
        }
      }
      watchers.add(tell);
      signal.addEventListener("abort", onAbort, { once: true });
      if (!isTicking) clock.schedule(TELL_EVERY_MS, tick);
      isTicking = true;
      try {
        while (!signal.aborted) {
          const told = waiting;
          waiting = [];
          if (told.length > 0) yield told;
          else
            await new Promise<void>((resolve) => {
              wake = resolve;
              if (signal.aborted || waiting.length > 0) resolve();
            });
        }
      } finally {
        watchers.delete(tell);
        signal.removeEventListener("abort", onAbort);
        if (watchers.size === 0) moving.clear();
      }
    },
    get promptsKept() {
      return promptsKept;
    },
    set promptsKept(keep) {
      promptsKept = keep;
      if (!keep) for (const entry of entries.values()) entry.prompt = undefined;
    },
  };
}

function phaseOf({ settled, record }: Entry): PageRequest["phase"] {
  if (settled !== undefined) return "done";
  return record.firstByteMs === undefined ? "open" : "streaming";
}

function toShown(entry: Entry, provider: string): PageRequest {
  const { record, atMs, settled } = entry;
  const phase = phaseOf(entry);
  const { requestId: id, route: dialect, model, usage, errorCode, removed, changed } = record;
  const isKnown = isZephErrorCode(errorCode);
  return {
    id,
    atMs,
    client: record.client ?? "unnamed",
    dialect,
    model: model ?? null,
    provider: settled?.provider ?? record.fallbackProvider ?? provider,
    status: phase === "open" ? undefined : record.status,
    phase,
    firstByteMs: record.firstByteMs,
    totalMs: phase === "done" ? record.elapsedMs : undefined,
    inputTokens: usage?.promptTokens,
    outputTokens: usage?.completionTokens,
    costUsd: settled?.costUsd,
    costGnk: settled?.costGnk,
    changed: [...removed.map((name) => `removed ${name}`), ...changed.map((name) => `changed ${name}`)],
    error: isKnown
      ? { code: errorCode, message: CATALOGUE[errorCode].summary, hint: CATALOGUE[errorCode].hint }
      : undefined,
  };
}

/** The same request, whose body is noted while it is read. */
function keepingBody(request: GatewayRequest, kept: Buffer[]): GatewayRequest {
  let room = MAX_PROMPT_BYTES;
  const note = (piece: Uint8Array) => {
    if (room <= 0) return;
    // A copy: the server may use the piece's memory again.
    kept.push(Buffer.from(piece.subarray(0, room)));
    room -= piece.byteLength;
  };
  const { method, target, host, headers } = request;
  return {
    method,
    target,
    host,
    headers,
    get hasLeft() {
      return request.hasLeft;
    },
    get signal() {
      return request.signal;
    },
    onLeave: (leave) => request.onLeave(leave),
    read: (take) =>
      request.read((piece) => {
        note(piece);
        take(piece);
      }),
  };
}
