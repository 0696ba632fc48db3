import { asObject, type JsonObject } from "../../base/json.ts";
import { ZephError } from "../../errors.ts";
import { NETWORK_LIMITS } from "../../rules/parameters.ts";
import { type Answer, type ByteSource, HEARTBEAT, jsonAnswer } from "../answer.ts";
import { type GatewayRequest, readJsonBody } from "../exchange.ts";
import type { RequestLog } from "./live.ts";
import type { ChatAsked, ChatPart, CompareAsked, PageSources, UsageQuery } from "./sources.ts";

/** What the routes work with. */
export interface ApiContext {
  readonly sources: PageSources;
  readonly log: RequestLog;
  /** Aborted when the endpoint stops: what would stream for ever ends then. */
  readonly stopping: AbortSignal;
}

/** An error as the page reads it: the words of the terminal. */
function errorBody(error: ZephError) {
  const { code, message, hint, requestId, status } = error;
  return { code, message, hint, requestId, status };
}

export function pageError(error: ZephError, headers: Readonly<Record<string, string>> = {}): Answer {
  return jsonAnswer({ error: errorBody(error) }, error.httpStatus, headers);
}

const SMALL_BODY_BYTES = 64 * 1024;

/** The routes behind `/page/api/`, for whoever has a session. Throws `ZephError`. */
export async function apiAnswer(path: string, request: GatewayRequest, context: ApiContext): Promise<Answer> {
  const { sources, log } = context;
  const query = new URLSearchParams(request.target.replace(/^[^?]*/, ""));
  const { method } = request;
  const on = (wanted: string, pattern: string) => wanted === (method === "HEAD" ? "GET" : method) && pattern === path;

  if (on("GET", "state")) return jsonAnswer({ ...(await sources.state()), promptsKept: log.promptsKept });
  if (on("POST", "chat")) {
    const asked = chatAsked(await readBody(request, NETWORK_LIMITS.maxBodyBytes));
    return eventAnswer((signal) => sources.chat(asked, signal), request);
  }
  if (on("GET", "chats"))
    return jsonAnswer({ chats: await sources.chats.list((query.get("query") ?? "").slice(0, 1000)) });
  if (on("GET", "requests")) return jsonAnswer({ requests: log.list(), promptsKept: log.promptsKept });
  if (on("GET", "requests/live")) return liveAnswer(request, context);
  if (on("PUT", "requests/prompts")) {
    log.promptsKept = (await readBody(request, SMALL_BODY_BYTES)).keep === true;
    return jsonAnswer({ promptsKept: log.promptsKept });
  }
  if (on("GET", "usage")) return jsonAnswer(await sources.usage(usageQuery(query)));
  if (on("GET", "usage.csv")) {
    const asked = usageQuery(query);
    return attachment(await sources.usageCsv(asked), { name: `zeph-use-by-${asked.by}.csv`, type: "text/csv" });
  }
  if (on("GET", "network")) return jsonAnswer(await sources.network(request.signal));
  if (on("POST", "network/probe")) return jsonAnswer({ nodes: await sources.probe(request.signal) });
  if (on("POST", "compare")) {
    const asked = compareAsked(await readBody(request, SMALL_BODY_BYTES * 4));
    return eventAnswer((signal) => sources.compare(asked, signal), request);
  }
  const [, kind, id = "", more] = /^(chats|requests)\/([\w-]{1,64})(?:\/(\w+))?$/.exec(path) ?? [];
  if (kind === "chats") return chatRoute({ id, more, method, query }, request, sources);
  if (kind === "requests" && more === undefined && method === "GET") return requestRoute(id, context);
  throw new ZephError("route_not_found", { hint: "Reload the page; it may be of another version." });
}

async function chatRoute(
  asked: {
    readonly id: string;
    readonly more: string | undefined;
    readonly method: string;
    readonly query: URLSearchParams;
  },
  request: GatewayRequest,
  { chats }: PageSources,
): Promise<Answer> {
  const { id, more, method, query } = asked;
  if (more === "export" && method === "GET") {
    const isJson = query.get("format") === "json";
    const text = await chats.export(id, isJson ? "json" : "markdown");
    return attachment(text, {
      name: `zeph-chat-${id}.${isJson ? "json" : "md"}`,
      type: isJson ? "application/json" : "text/markdown",
    });
  }
  if (more === undefined && method === "GET") return jsonAnswer(await chats.get(id));
  if (more === undefined && method === "PATCH") {
    const { title } = await readBody(request, SMALL_BODY_BYTES);
    return jsonAnswer(await chats.rename(id, text(title, "title")));
  }
  if (more === undefined && method === "DELETE") {
    await chats.remove(id);
    return { status: 204, headers: {}, body: null };
  }
  throw new ZephError("method_not_allowed");
}

async function requestRoute(id: string, { log, sources }: ApiContext): Promise<Answer> {
  const found = log.find(id);
  if (found === undefined) {
    throw new ZephError("route_not_found", {
      detail: "this request is not remembered any more",
      hint: "The latest 500 of this run of `zeph serve` are.",
    });
  }
  const story = await sources.story(found.record, found.shown.changed);
  const prompt = found.prompt === undefined ? undefined : sources.mask(found.prompt);
  return jsonAnswer({ request: found.shown, story, prompt });
}

function attachment(body: string, { name, type }: { readonly name: string; readonly type: string }): Answer {
  const headers = { "content-type": `${type}; charset=utf-8`, "content-disposition": `attachment; filename="${name}"` };
  return { status: 200, headers, body };
}

async function readBody(request: GatewayRequest, maxBytes: number): Promise<JsonObject> {
  return (await readJsonBody(request, { maxBytes, reserve: () => {} })).value;
}

// Events

const EVENT_HEADERS = {
  "content-type": "text/event-stream; charset=utf-8",
  "cache-control": "no-store",
  "x-accel-buffering": "no",
};
const HEARTBEAT_MS = 10_000;

type PageEvent = { readonly type: string };

/**
 * A stream of events. The first one is waited for, so that what fails before it is an answer with a status. When the page
 * leaves, the work behind it is told and ends by itself.
 */
async function eventAnswer(
  start: (signal: AbortSignal) => AsyncIterable<PageEvent>,
  request: GatewayRequest,
): Promise<Answer> {
  const controller = new AbortController();
  const leave = () => controller.abort(new DOMException("the page left", "AbortError"));
  request.signal.addEventListener("abort", leave, { once: true });
  const events = start(controller.signal)[Symbol.asyncIterator]();
  const first = await events.next();
  return { status: 200, headers: EVENT_HEADERS, body: toSource(events, first, leave) };
}

function liveAnswer(request: GatewayRequest, { log, stopping }: ApiContext): Answer {
  const controller = new AbortController();
  const leave = () => controller.abort();
  request.signal.addEventListener("abort", leave, { once: true });
  stopping.addEventListener("abort", leave, { once: true });
  async function* requests() {
    try {
      for await (const moved of log.watch(controller.signal)) {
        yield moved.map((shown) => ({ type: "request", ...shown }));
      }
    } finally {
      stopping.removeEventListener("abort", leave);
    }
  }
  return { status: 200, headers: EVENT_HEADERS, body: toSource(requests(), undefined, leave) };
}

function toSource(
  events: AsyncIterator<PageEvent | readonly PageEvent[]>,
  first: IteratorResult<PageEvent> | undefined,
  leave: () => void,
): ByteSource {
  // A comment at once: the page sees that the connection stands.
  let ahead: readonly (string | undefined)[] =
    first === undefined ? [HEARTBEAT] : [first.done === true ? undefined : eventText(first.value)];
  return {
    async next() {
      const [next] = ahead;
      if (ahead.length > 0) {
        ahead = [];
        return next;
      }
      const { done, value } = await events.next();
      if (done === true) return undefined;
      return "type" in value ? eventText(value) : value.map(eventText).join("");
    },
    cancel() {
      leave();
      // What has not begun has to be told that nobody will come for it.
      events.return?.().catch(() => {});
    },
    filler: { piece: HEARTBEAT, afterMs: HEARTBEAT_MS },
  };
}

function eventText({ type, ...data }: PageEvent): string {
  const shown = JSON.stringify(data, (_key, value: unknown) => (ZephError.is(value) ? errorBody(value) : value));
  return `event: ${type}\ndata: ${shown}\n\n`;
}

// What the page asks

const MAX_PARTS = 32;
const IMAGE = /^data:image\/(?:png|jpeg|webp|gif);base64,[A-Za-z0-9+/]+={0,2}$/;

function chatAsked(body: JsonObject): ChatAsked {
  const { conversationId, provider, model, system, parts, replaceFrom } = body;
  if (!Array.isArray(parts) || parts.length === 0 || parts.length > MAX_PARTS) throw wrong("parts");
  if (replaceFrom !== undefined && !(Number.isInteger(replaceFrom) && Number(replaceFrom) >= 0))
    throw wrong("replaceFrom");
  return {
    conversationId: optionalText(conversationId, "conversationId"),
    provider: optionalText(provider, "provider"),
    model: optionalText(model, "model"),
    system: typeof system === "string" ? system : undefined,
    parts: parts.map(chatPart),
    replaceFrom: replaceFrom === undefined ? undefined : Number(replaceFrom),
  };
}

function chatPart(value: unknown): ChatPart {
  const part = asObject(value);
  if (part?.type === "text") return { type: "text", text: text(part.text, "text") };
  if (part?.type === "image" && typeof part.dataUrl === "string" && IMAGE.test(part.dataUrl)) {
    return { type: "image", dataUrl: part.dataUrl };
  }
  throw wrong("parts");
}

function compareAsked(body: JsonObject): CompareAsked {
  const { question, entries } = body;
  if (!Array.isArray(entries) || entries.length < 1 || entries.length > 3) throw wrong("entries");
  return {
    question: text(question, "question"),
    entries: entries.map((each) => {
      const entry = asObject(each);
      return { provider: text(entry?.provider, "provider"), model: text(entry?.model, "model") };
    }),
  };
}

const BY = { hour: 24 * 31, day: 400, month: 14 } as const;
const STANDARD_STEPS = { hour: 24, day: 30, month: 12 } as const;

function usageQuery(query: URLSearchParams): UsageQuery {
  const by = oneOf(query.get("by") ?? "day", ["hour", "day", "month"] as const, "by");
  const split = oneOf(query.get("split") ?? "none", ["none", "provider", "model", "client"] as const, "split");
  const steps = Number(query.get("steps") ?? STANDARD_STEPS[by]);
  if (!Number.isInteger(steps) || steps < 1 || steps > BY[by]) throw wrong("steps");
  return { by, split, steps };
}

function oneOf<Word extends string>(given: string, words: readonly Word[], name: string): Word {
  const found = words.find((word) => word === given);
  if (found === undefined) throw wrong(name);
  return found;
}

function text(value: unknown, name: string): string {
  if (typeof value === "string" && value.trim() !== "") return value;
  throw wrong(name);
}

function optionalText(value: unknown, name: string): string | undefined {
  return value === undefined || value === null || value === "" ? undefined : text(value, name);
}

function wrong(name: string): ZephError {
  return new ZephError("invalid_request", { detail: `${name} is missing, or is not what belongs there` });
}
