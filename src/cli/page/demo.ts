import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Writable } from "node:stream";
import { stateFile } from "../../base/lock.ts";
import type { CliContext } from "../../base/world.ts";
import { conversationStore, conversationsFolder } from "../../chat/conversations.ts";
import { zephFolders } from "../../config/files.ts";
import { GONKA_PRIVATE_KEY, secretNameFor } from "../../config/secrets.ts";
import { renderSpending, type SpendingLine, spendingPath, timeOf, tookOf } from "../../journal/ledger.ts";
import { type Sandbox, startSandbox } from "../../sandbox/sandbox.ts";
import { runDevshardOpen } from "../commands/devshard.ts";

/** An endpoint that a demonstration has started. */
interface DemoEndpoint {
  readonly baseURL: string;
  readonly key: string;
}

type Serve = (context: CliContext, onListening: (endpoint: DemoEndpoint) => void) => Promise<number>;

/**
 * `zeph serve --demo`: two brokers of the sandbox, a month of use, and programs that go on asking. Everything lies in a
 * temporary folder that goes at the end; nothing of the user's is read or written.
 */
export async function runDemo(context: CliContext, serve: Serve): Promise<number> {
  const { clock, signal } = context;
  const home = await mkdtemp(join(tmpdir(), "zeph-demo-"));
  const [near, far] = await Promise.all([
    startSandbox({ tokensPerSecond: 90, clock, network: true, devshard: true }),
    startSandbox({ tokensPerSecond: 25, clock }),
  ]);
  const ended = new AbortController();
  let life: Promise<void> = Promise.resolve();
  try {
    const inside = await demoContext(context, home, { near, far });
    await writePast(inside);
    await openEscrow(inside);
    const end = await serve(inside, (endpoint) => {
      life = goOn(inside, endpoint, AbortSignal.any([signal, ended.signal]));
    });
    return end;
  } finally {
    ended.abort();
    await life;
    await Promise.all([near.stop(), far.stop()]);
    await rm(home, { recursive: true, force: true });
  }
}

/** The user's terminal, and nothing else of the user's. */
async function demoContext(
  context: CliContext,
  home: string,
  { near, far }: { readonly near: Sandbox; readonly far: Sandbox },
): Promise<CliContext> {
  const kept = ["PATH", "TERM", "LANG", "NO_COLOR", "FORCE_COLOR"];
  const config = join(home, "config.toml");
  await mkdir(join(home, "state"), { recursive: true, mode: 0o700 });
  const user = near.devshard?.createUser() ?? { privateKeyHex: "" };
  near.network?.createAccount(user);
  const networks = { signed: near.network?.sourceUrl ?? "", escrow: near.devshard?.sourceUrl ?? "" };
  const addresses = { near: near.broker.baseURL, far: far.broker.baseURL, ...networks };
  await writeFile(config, configText(addresses), { mode: 0o600 });
  return {
    ...context,
    homeDir: home,
    cwd: home,
    env: {
      ...Object.fromEntries(kept.map((name) => [name, context.env[name]])),
      [secretNameFor("nearby")]: near.broker.keys.good,
      [secretNameFor("faraway")]: far.broker.keys.good,
      [GONKA_PRIVATE_KEY]: user.privateKeyHex,
    },
    paths: { config, vaultBackend: "env" },
    interactive: false,
  };
}

function configText({
  near,
  far,
  signed,
  escrow,
}: Readonly<Record<"near" | "far" | "signed" | "escrow", string>>): string {
  return `
[llm]
fallback = ["faraway"]

[[llm.providers]]
type = "compatible"
name = "nearby"
base_url = "${near}"
model = "sandbox/echo-1"
embedding_model = "sandbox/embed-1"
default = true

[[llm.providers]]
type = "compatible"
name = "faraway"
base_url = "${far}"
model = "sandbox/thinker-1"
pricing = { prompt_usd_per_1m = 0.12, completion_usd_per_1m = 0.3 }

[[llm.providers]]
type = "gonka"
name = "signed"
model = "sandbox/echo-1"
gonka_source_url = "${signed}"

[[llm.providers]]
type = "gonka"
name = "escrow"
model = "sandbox/echo-1"
access = "devshard"
gonka_source_url = "${escrow}"

[cost]
enabled = true
max_daily_cents = 500
`;
}

/** One escrow, for the network's tab; a demonstration without one is a demonstration all the same. */
async function openEscrow(context: CliContext): Promise<void> {
  const silence = new Writable({ write: (_piece, _encoding, done) => done() });
  const quiet = { ...context, stdout: silence, stderr: silence };
  await runDevshardOpen(quiet, { provider: "escrow", amount: "5", yes: true }).catch(() => {});
}

const MODELS = ["sandbox/echo-1", "sandbox/thinker-1", "sandbox/muser-1"];
const PAST_DAYS = 30;
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** A month in the ledger, and a few conversations. */
async function writePast(context: CliContext): Promise<void> {
  const { clock, random } = context;
  const state = zephFolders(context).state;
  const days = Array.from({ length: PAST_DAYS }, (_, index) => clock.nowMs() - (PAST_DAYS - index) * DAY_MS);
  const lines = days.flatMap((nowMs) => {
    const midnight = new Date(nowMs).setHours(0, 0, 0, 0);
    const isWeekend = [0, 6].includes(new Date(midnight).getDay());
    const count = Math.round((isWeekend ? 8 : 50) * (0.6 + random()));
    return Array.from({ length: count }, () => pastRequest(random, midnight));
  });
  await stateFile(spendingPath(state), clock).replace(renderSpending(lines));
  for (const [index, { question, answer, reasoning = "", model }] of CONVERSATIONS.entries()) {
    const nowMs = clock.nowMs() - (CONVERSATIONS.length - index) * 7 * 3_600_000;
    const past = { ...clock, nowMs: () => nowMs };
    const keeper = conversationStore({ folder: conversationsFolder(state), clock: past, random }).keeper();
    const usage = { input: 40, output: Math.ceil(answer.length / 4), cached: undefined, reasoning: undefined };
    const names = { providerName: "nearby", modelId: model };
    const exchange = { question, answer, reasoning, state: "finished" as const, ...names, usage, costUsd: 0.00012 };
    await keeper.save({
      exchanges: [{ ...exchange, atMs: nowMs, firstByteMs: 310, elapsedMs: 2_400 }],
      system: undefined,
      session: names,
    });
  }
}

/** One request of an earlier day, within its working hours. */
function pastRequest(random: () => number, midnight: number): SpendingLine {
  const pick = <Item>(items: readonly Item[]) => items[Math.floor(random() * items.length)];
  const isFar = random() < 0.3;
  const model = pick(MODELS);
  const client = pick(CLIENTS)
    ?.split(/\/\d| /, 1)[0]
    ?.toLowerCase();
  const hour = 8 + Math.floor(12 * random());
  const names = { ...timeOf(midnight + hour * HOUR_MS), provider: isFar ? "faraway" : "nearby", model, client };
  if (random() < 0.04) return { ...names, answers: 0, errors: 1, answersOfUnknownCost: 0 };
  const inputTokens = Math.round(900 + 60_000 * random() ** 3);
  const outputTokens = Math.round(80 + 1_400 * random());
  const paceMs = (isFar ? 14 : 6) * (model === "sandbox/thinker-1" ? 1.9 : 1);
  return {
    ...names,
    inputTokens,
    outputTokens,
    usd: (inputTokens * 0.2 + outputTokens * 0.6) / 1_000_000,
    answers: 1,
    errors: 0,
    answersOfUnknownCost: 0,
    took: tookOf(300 + outputTokens * paceMs * (0.7 + 0.6 * random())),
  };
}

const CONVERSATIONS: readonly {
  readonly question: string;
  readonly answer: string;
  readonly reasoning?: string;
  readonly model: string;
}[] = [
  {
    question: "How do I read a large file line by line in Node?",
    model: "sandbox/echo-1",
    answer:
      'Use `readline` over a stream; the file is never held as a whole.\n\n```js\nimport { createReadStream } from "node:fs";\nimport { createInterface } from "node:readline";\n\nconst lines = createInterface({ input: createReadStream("big.log"), crlfDelay: Infinity });\nfor await (const line of lines) {\n  if (line.includes("ERROR")) report(line);\n}\n```\n\nTwo things to know:\n\n1. `crlfDelay: Infinity` treats `\\r\\n` as one line end.\n2. Leaving the loop early closes the stream.',
  },
  {
    question: "Compare SQLite and PostgreSQL for a small web shop",
    model: "sandbox/thinker-1",
    reasoning: "The shop is small. Writes are few, backups matter, one machine is likely.",
    answer:
      "| | SQLite | PostgreSQL |\n|---|---|---|\n| set-up | a file | a server |\n| writers at once | one | many |\n| backup | copy, or `VACUUM INTO` | `pg_dump` |\n| search | FTS5 | `tsvector` |\n\n**Start with SQLite** while one machine serves the shop; move when you need a second one.",
  },
  {
    question: "Schreib mir eine kurze Absage für einen Termin am Freitag",
    model: "sandbox/muser-1",
    answer:
      "Guten Tag,\n\nleider schaffe ich es am Freitag nicht. Passt Ihnen stattdessen **Dienstag um 10 Uhr**?\n\nMit freundlichen Grüßen",
  },
];

const CLIENTS = [
  "claude-cli/2.0.14 (external, cli)",
  "OpenAI/Python 1.102.0",
  "OpenAI/JS 6.49.0",
  "codex_cli_rs/0.50.0 (Linux; x86_64)",
  "OpenWebUI/0.6.30",
  "curl/8.14.1",
];

const QUESTIONS = [
  "Write 24 words about a friendly network.",
  "Explain what a nonce is, in two sentences.",
  "Name three colours of the sea.",
  "Why is the sky blue? Answer for a child.",
  "Translate into French: good morning.",
  "Count to 12.",
];

/** A burst at the beginning, then a request every few seconds, until the end. */
async function goOn(context: CliContext, endpoint: DemoEndpoint, signal: AbortSignal): Promise<void> {
  const { clock } = context;
  try {
    for (let count = 0; !signal.aborted; count += 1) {
      const asking = askOnce(context, endpoint, count, signal);
      if (count >= BURST) await clock.sleep(2_000 + 5_000 * context.random(), signal);
      else if (count % 4 === 3) await asking;
    }
  } catch {
    // The end of the demonstration, in the middle of something.
  }
}

const BURST = 48;
const WITH_USAGE = { stream_options: { include_usage: true } };

async function askOnce(
  { fetch, random }: CliContext,
  { baseURL, key }: DemoEndpoint,
  count: number,
  signal: AbortSignal,
): Promise<void> {
  const pick = <Item>(items: readonly Item[], standard: Item) => items[Math.floor(random() * items.length)] ?? standard;
  const client = pick(CLIENTS, "curl/8.14.1");
  const content = pick(QUESTIONS, "Count to 12.");
  const model = count % 17 === 9 ? "sandbox/gone-1" : pick(MODELS, "sandbox/echo-1");
  const messages = [{ role: "user", content }];
  const stream = random() < 0.7;
  const [path, body] = client.startsWith("claude")
    ? ["/messages", { model, messages, max_tokens: 400, stream }]
    : client.startsWith("codex")
      ? ["/responses", { model, input: content, stream }]
      : count % 13 === 5
        ? ["/embeddings", { model: "sandbox/embed-1", input: content }]
        : // What the network does not take is removed, and shown.
          [
            "/chat/completions",
            {
              model,
              messages,
              stream,
              ...(stream ? WITH_USAGE : {}),
              ...(count % 5 === 2 ? { tags: ["demo"], reasoning_split: true } : {}),
            },
          ];
  try {
    const response = await fetch(`${baseURL}${path}`, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        "user-agent": client,
        authorization: `Bearer ${count % 23 === 14 ? "sk-not-this-one" : key}`,
        ...(client.startsWith("claude") ? { "anthropic-version": "2023-06-01" } : {}),
      },
      body: JSON.stringify(body),
      signal,
    });
    await response.text();
  } catch {
    // Ended with the demonstration.
  }
}
