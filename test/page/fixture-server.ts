import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";

/** The page's files beside a scripted API: what a real run cannot be brought to say, word by word. */
export interface FixtureServer {
  readonly origin: string;
  /** What the page sent, with what was wrong about it. */
  readonly calls: { method: string; path: string; body: unknown; wrong: string[] }[];
  /** Lets an answer to the question "slow" go on by one step. */
  step(): void;
  /** Sends a request to whoever follows them live. */
  pass(request: object): void;
  /** What the page should say of yesterday. */
  yesterday(): { readonly usd: number };
  /** How many answers were stopped by the page. */
  stopped: number;
  /** The answer's Markdown for any other question. */
  answer: string;
  close(): Promise<void>;
}

const PAGE = fileURLToPath(new URL("../../page/", import.meta.url));
const TYPES: Readonly<Record<string, string>> = {
  html: "text/html",
  js: "text/javascript",
  css: "text/css",
  svg: "image/svg+xml",
};
const HOUR_MS = 3_600_000;

export const SAMPLE_ANSWER = `A **decentralized network** splits the work over many *independent* hosts. In short:

1. A client signs its request.
2. A host answers and proves what it did.
   - the proof is checked by others
   - wrong ones lose their stake
3. The price is settled from an escrow.

| Path | Who holds the key | Price per million |
|:--|:--|--:|
| Broker | the broker | $0.35 |
| Native | you | 12 GNK |

\`\`\`python
def settle(answers: list[Answer]) -> int:
    """What a session costs, in ngonka."""
    return sum(answer.tokens * PRICE for answer in answers if answer.is_valid)  # 1 GNK = 1e9
\`\`\`

> Nothing is charged for an answer that never came.

See [the documentation](https://gonka.ai/docs) for more.`;

export const HOSTILE_ANSWER = [
  "<script>window.harmed = 'script'</script>",
  "<img src=x onerror=\"window.harmed = 'img'\"> <svg onload=\"window.harmed = 'svg'\"><a href='javascript:window.harmed=1'>x</a></svg>",
  "[click](javascript:window.harmed='link') [data](data:text/html,<script>window.harmed=1</script>) [up](https://example.com/?a=1&b=2)",
  "![spy](http://127.0.0.1:9/spy.png?q=secret)",
  "<iframe src='http://127.0.0.1:9/frame'></iframe><style>body{display:none}</style><base href='http://127.0.0.1:9/'>",
  "[ref][evil]\n\n[evil]: javascript:window.harmed='ref'",
  "\u001b]8;;http://127.0.0.1:9/osc\u0007OSC link\u001b]8;;\u0007 \u001b[31mred\u001b[0m \u202Eedoc",
  "```html\n<script>window.harmed = 'code'</script>\n```",
  `\`\`\`js\n${"$".repeat(5000)}\n\`\`\``,
  `${">".repeat(3000)} deep`,
  "{{constructor.constructor('window.harmed=1')()}} `<b>code</b>` <b>bold</b> &lt;i&gt;",
].join("\n\n");

export async function startFixture(): Promise<FixtureServer> {
  const calls: FixtureServer["calls"] = [];
  let waiting: (() => void)[] = [];
  const chats = sampleChats();
  let liveRequests: ServerResponse[] = [];

  const fixture = {
    calls,
    stopped: 0,
    answer: SAMPLE_ANSWER,
    step: () => waiting.shift()?.(),
    yesterday: () => {
      const { starts, buckets } = usage("day", 30, "none");
      return buckets.find(({ start }) => start === starts.at(-2)) ?? { usd: 0 };
    },
    pass: (request: object) => {
      const shown = { atMs: Date.now(), dialect: "openai", model: "m", provider: "p", changed: [], ...request };
      for (const each of liveRequests) each.write(`event: request\ndata: ${JSON.stringify(shown)}\n\n`);
    },
  };

  const server = createServer((request, response) => {
    handle(request, response).catch((error: unknown) => response.destroy(error as Error));
  });

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? "/", "http://x");
    if (!url.pathname.startsWith("/page/api/")) return file(url.pathname, response);
    const path = url.pathname.slice("/page/api/".length);
    const body = await bodyOf(request);
    const wrong: string[] = [];
    if (request.method !== "GET" && request.headers["x-zeph-page"] !== "1") wrong.push("no x-zeph-page");
    if (body !== undefined && request.headers["content-type"] !== "application/json") wrong.push("no JSON type");
    if (request.headers.authorization !== undefined) wrong.push("a key from a page");
    calls.push({ method: request.method ?? "", path: `${path}${url.search}`, body, wrong });
    const json = (value: unknown, status = 200) => {
      response.writeHead(status, { "content-type": "application/json" });
      response.end(JSON.stringify(value));
    };
    const refuse = (status: number, code: string, message: string, hint: string) =>
      json({ error: { code, message, hint, status } }, status);

    if (path === "session") {
      response.writeHead(204, { "set-cookie": "zeph_page=1; HttpOnly; SameSite=Strict; Path=/" });
      return void response.end();
    }
    if (!/zeph_page=1/.test(request.headers.cookie ?? ""))
      return refuse(
        401,
        "page_session",
        "This browser has no session with this zeph serve.",
        "Type `zeph open` in a terminal.",
      );
    const [room, id, more] = path.split("/");
    switch (room) {
      case "state":
        return json(STATE);
      case "chats": {
        if (id === undefined) {
          const query = (url.searchParams.get("query") ?? "").toLowerCase();
          return json({
            chats: [...chats.values()].filter(({ title }) => title.toLowerCase().includes(query)).map(summary),
          });
        }
        const chat = chats.get(id);
        if (!chat)
          return refuse(
            404,
            "not_found",
            "There is no such conversation.",
            "It may have been deleted with `zeph chats`.",
          );
        if (more === "export") {
          response.writeHead(200, {
            "content-type": "text/markdown",
            "content-disposition": 'attachment; filename="chat.md"',
          });
          return void response.end(`# ${chat.title}\n`);
        }
        if (request.method === "PATCH") chat.title = (body as { title: string }).title;
        if (request.method === "DELETE") chats.delete(id);
        return json(request.method === "GET" ? { ...summary(chat), ...chat } : {});
      }
      case "chat":
        return chat(body as ChatCall, request, response);
      case "requests":
        if (id === "live") {
          response.writeHead(200, { "content-type": "text/event-stream" });
          response.write(": open\n\n");
          liveRequests.push(response);
          request.on("close", () => {
            liveRequests = liveRequests.filter((each) => each !== response);
          });
          return;
        }
        if (id === "prompts") return json({});
        if (id !== undefined) return json({ request: REQUESTS.find((each) => each.id === id), story: STORY });
        return json({ requests: REQUESTS, promptsKept: false });
      case "usage":
        return json(
          usage(
            url.searchParams.get("by") ?? "day",
            Number(url.searchParams.get("steps")),
            url.searchParams.get("split") ?? "none",
          ),
        );
      case "network":
        return json(id === "probe" ? { nodes: NETWORK.nodes.map((node) => ({ ...node, latencyMs: 11 })) } : NETWORK);
      case "compare":
        return compare(response);
    }
    refuse(404, "not_found", "There is nothing here.", "");
  }

  async function chat(call: ChatCall, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const question = call.parts.map((part) => part.text ?? "").join("");
    if (question === "refused") {
      response.writeHead(402, { "content-type": "application/json" });
      return void response.end(
        JSON.stringify({
          error: {
            code: "insufficient_quota",
            message: "The account has no balance left.",
            hint: "Top up at the broker, then `zeph doctor`.",
            requestId: "req_42",
            status: 402,
          },
        }),
      );
    }
    let isOpen = true;
    request.socket.once("close", () => {
      if (isOpen) fixture.stopped++;
      isOpen = false;
    });
    const id = call.conversationId ?? `new-${chats.size}`;
    const known = chats.get(id) ?? {
      id,
      title: question.slice(0, 60),
      model: call.model,
      provider: call.provider,
      updatedAt: Date.now(),
      system: call.system,
      exchanges: [],
    };
    const before = known.exchanges.slice(0, call.replaceFrom ?? known.exchanges.length);
    const exchange = { parts: call.parts, answer: "", model: call.model, provider: call.provider, atMs: Date.now() };
    chats.set(id, { ...known, exchanges: [...before, exchange] });
    response.writeHead(200, { "content-type": "text/event-stream" });
    const event = (name: string, data: unknown) => response.write(`event: ${name}\ndata: ${JSON.stringify(data)}\n\n`);
    event("start", { conversationId: id, index: before.length, title: known.title });
    if (question === "slow") {
      for (const word of ["One ", "two ", "three"]) {
        event("text", { text: word });
        exchange.answer += word;
        await new Promise<void>((resolve) => waiting.push(resolve));
      }
    } else {
      event("reasoning", { text: "The user wants the short version.\n\nI give three steps and the numbers." });
      for (const piece of fixture.answer.match(/[\s\S]{1,40}/g) ?? []) event("text", { text: piece });
      exchange.answer = fixture.answer;
    }
    if (question === "breaks")
      event("error", {
        error: { code: "stream_cut", message: "The answer broke off.", hint: "Ask again." },
        partial: true,
      });
    else event("end", { ...FACTS, model: call.model, provider: call.provider, finishReason: "stop" });
    Object.assign(exchange, FACTS);
    isOpen = false;
    response.end();
  }

  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return Object.assign(fixture, {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: async () => {
      for (const each of waiting) each();
      waiting = [];
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  });
}

interface ChatCall {
  conversationId?: string;
  provider: string;
  model: string;
  system?: string;
  replaceFrom?: number;
  parts: { type: string; text?: string; dataUrl?: string }[];
}
interface Chat {
  id: string;
  title: string;
  model: string;
  provider: string;
  updatedAt: number;
  costUsd?: number;
  system?: string | undefined;
  exchanges: object[];
}

const FACTS = {
  usage: { inputTokens: 1214, outputTokens: 356, reasoningTokens: 120 },
  costUsd: 0.000_512,
  firstWordMs: 312,
  totalMs: 4210,
};
const summary = ({ exchanges, ...chat }: Chat) => ({ ...chat, exchangeCount: exchanges.length });

async function file(path: string, response: ServerResponse): Promise<void> {
  const name = path === "/" ? "index.html" : path.replace(/^\/page\//, "");
  const bytes = await readFile(PAGE + name).catch(() => undefined);
  if (bytes === undefined || name.includes("..")) return void response.writeHead(404).end();
  const map = /<script type="importmap">([\s\S]*?)<\/script>/.exec(bytes.toString())?.[1] ?? "";
  const hash = createHash("sha256").update(map).digest("base64");
  response.writeHead(200, {
    "content-type": `${TYPES[name.split(".").at(-1) ?? ""] ?? "text/plain"}; charset=utf-8`,
    "content-security-policy": `default-src 'none'; script-src 'self' 'sha256-${hash}'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'`,
  });
  response.end(bytes);
}

async function bodyOf(request: IncomingMessage): Promise<unknown> {
  let text = "";
  for await (const chunk of request) text += chunk;
  return text === "" ? undefined : JSON.parse(text);
}

const MODELS = ["Qwen/Qwen3-235B-A22B-Instruct-2507-FP8", "moonshotai/Kimi-K2.6", "MiniMaxAI/MiniMax-M2.7"];
const PROVIDERS = [
  { name: "gonkagate", label: "GonkaGate", kind: "gateway", isDefault: true },
  { name: "proxy", label: "Proxy.gonka", kind: "gateway", isDefault: false },
  { name: "native", label: "Gonka network, own key", kind: "native", isDefault: false },
];
const STATE = {
  version: "0.1.0",
  provider: "gonkagate",
  model: MODELS[0],
  providers: PROVIDERS,
  models: PROVIDERS.flatMap(({ name }, at) =>
    MODELS.map((id, index) => ({
      id,
      provider: name,
      contextTokens: [262_144, 256_000, 196_608][index],
      ...(name === "native"
        ? { inputNgonkaPerToken: 120 }
        : { inputUsdPerMillion: 0.1 * (index + 1) + at * 0.05, outputUsdPerMillion: 0.35 * (index + 1) }),
      takesImages: index === 1,
    })),
  ),
  limit: { usd: 5, usedUsd: 1.36, leftUsd: 3.64 },
  promptsKept: false,
  demo: true,
};

function sampleChats(): Map<string, Chat> {
  const titles = [
    "How a network without a centre settles its bills",
    "Rust lifetimes in one page",
    "Plan für die Übergabe am Montag",
    "SQL: second highest salary",
    "Why is the sky blue at noon?",
    "Refactor of the payment module",
  ];
  return new Map(
    titles.map((title, index) => {
      const exchange = {
        parts: [{ type: "text", text: `${title}?` }],
        answer: SAMPLE_ANSWER,
        reasoning: "First the shape, then the numbers.",
        provider: "gonkagate",
        model: MODELS[index % 3],
        atMs: Date.now() - index * 9 * HOUR_MS,
        ...FACTS,
      };
      return [
        `c${index}`,
        {
          id: `c${index}`,
          title,
          model: MODELS[index % 3] ?? "",
          provider: "gonkagate",
          updatedAt: Date.now() - index * 9 * HOUR_MS,
          costUsd: 0.0021 * (index + 1),
          exchanges: [exchange],
        },
      ];
    }),
  );
}

const CLIENTS = ["claude-cli/2.1.9", "codex_cli_rs/0.61", "OpenAI/Python 2.8.1", "zeph chat", "zeph page"];
const REQUESTS = Array.from({ length: 24 }, (_, index) => ({
  id: `r${index}`,
  atMs: Date.now() - index * 47_000,
  client: CLIENTS[index % 5],
  dialect: ["anthropic", "responses", "openai"][index % 3],
  model: MODELS[index % 3],
  provider: PROVIDERS[index % 2]?.name,
  phase: index === 0 ? "open" : index === 1 ? "streaming" : "done",
  ...(index === 0 ? {} : { status: index % 9 === 5 ? 429 : 200, firstByteMs: 180 + ((index * 77) % 900) }),
  ...(index < 2
    ? {}
    : {
        totalMs: 900 + ((index * 613) % 9000),
        inputTokens: 800 + index * 331,
        outputTokens: 90 + index * 41,
        costUsd: 0.0004 + index * 0.0003,
      }),
  changed: index % 3 === 0 ? ["cache_control removed (4 times)", "thinking → reasoning_effort: medium"] : [],
  ...(index % 9 === 5
    ? {
        error: {
          code: "rate_limited",
          message: "The broker has too many requests at the moment.",
          hint: "Wait a minute, or choose another provider with `zeph use`.",
        },
      }
    : {}),
}));
const STORY = [
  {
    title: "What happened",
    text: "The broker answered 200 on the second attempt; the first was refused with 429 after 41 ms and cost nothing.",
  },
  { title: "Attempts", text: "1. gonkagate  429  41 ms  not charged\n2. gonkagate  200  1.9 s  charged" },
];

function usage(by: string, steps: number, split: string) {
  const now = new Date();
  const starts = Array.from({ length: steps }, (_, index) => {
    const back = steps - 1 - index;
    if (by === "hour")
      return new Date(now.getFullYear(), now.getMonth(), now.getDate(), now.getHours() - back).getTime();
    if (by === "day") return new Date(now.getFullYear(), now.getMonth(), now.getDate() - back).getTime();
    return new Date(now.getFullYear(), now.getMonth() - back).getTime();
  });
  const keys =
    split === "model"
      ? MODELS
      : split === "provider"
        ? PROVIDERS.map(({ name }) => name)
        : split === "client"
          ? CLIENTS
          : [""];
  const numbers = (seed: number) => ({
    requests: 20 + ((seed * 37) % 60),
    inputTokens: 40_000 + ((seed * 7919) % 90_000),
    outputTokens: 9000 + ((seed * 3571) % 20_000),
    usd: 0.2 + ((seed * 131) % 100) / 80,
    gnk: split === "provider" ? 0.4 : 0,
    errors: seed % 5 === 0 ? 2 : 0,
    p50Ms: 900 + ((seed * 211) % 900),
    p95Ms: 2400 + ((seed * 397) % 5200),
  });
  const buckets = starts.flatMap((start, at) =>
    keys
      .filter((_, index) => split === "none" || (at + index) % 6 !== 4)
      .map((key, index) => ({ start, key, ...numbers(at * 3 + index + 1) })),
  );
  const totals = keys.map((key, index) => ({
    key,
    ...numbers(index + 7),
    requests: 900 - index * 210,
    usd: 21.4 - index * 5.2,
    p95Ms: 2900 + index * 2100,
  }));
  return { starts, buckets, totals, limit: STATE.limit };
}

const NETWORK = {
  models: MODELS.map((id, index) => ({
    id,
    offers: PROVIDERS.slice(0, 2 + (index % 2)).map(({ name, label }, at) => ({
      provider: name,
      label,
      ...(name === "native"
        ? {}
        : { inputUsdPerMillion: 0.1 * (index + 1) + at * 0.04, outputUsdPerMillion: 0.35 * (index + 1) + at * 0.1 }),
      contextTokens: 262_144,
      asOf: "2026-11-20",
    })),
  })),
  brokers: PROVIDERS.slice(0, 2).map(({ name, label }, index) => ({
    name,
    label,
    baseUrl: `https://api.${name}.example/v1`,
    keyStored: index === 0,
    facts: [
      { text: "Prices are per token, in USD, charged after the answer.", asOf: "2026-11-20" },
      { text: "Refuses requests above 4 MB.", asOf: "2026-10-02" },
    ],
  })),
  nodes: ["node4.gonka.example", "node5.gonka.example", "10.1.2.3:8000"].map((host, index) => ({
    address: `gonka1${"qpzry9x8gf2tvdw0s3jn54khce6mua7l".slice(index, index + 30)}`,
    host,
    ...(index < 2 ? { latencyMs: 42 + index * 61 } : { error: "does not answer" }),
    proof: index < 2 ? "verified" : "unknown",
    models: MODELS.slice(0, index + 1),
  })),
  escrows: [{ id: "118", balanceGnk: 12.5, nonce: 341, nonceLimit: 1000, deadline: "2026-12-01 10:00", state: "open" }],
};

function compare(response: ServerResponse): void {
  response.writeHead(200, { "content-type": "text/event-stream" });
  const event = (name: string, data: unknown) => response.write(`event: ${name}\ndata: ${JSON.stringify(data)}\n\n`);
  for (const index of [0, 1]) {
    event("first", { index, ms: 300 + index * 220 });
    event("text", { index, text: `Answer **${index + 1}**.` });
    event("end", {
      index,
      firstWordMs: 300 + index * 220,
      totalMs: 2100 + index * 900,
      tokensPerSecond: 71.4 - index * 20,
      outputTokens: 150,
      costUsd: 0.0003 + index * 0.0001,
      toolCall: index === 0 ? "yes" : "no",
      jsonMode: "yes",
    });
  }
  event("done", {});
  response.end();
}
