// The reader of chat streams: events and bytes a second, and what passing a sound stream on costs over copying its bytes.
// node bench/reader.mjs   (after npm run build)
import { chatStreamFilter, chatStreamReader } from "../dist/wire/chat-stream.js";

const EVENTS = 20_000;
const PIECE_BYTES = 16 * 1024;
const ROUNDS = 7;

const chunk = (delta, finish = null, more = {}) =>
  `data: ${JSON.stringify({ id: "chatcmpl-0123456789abcdef", object: "chat.completion.chunk", created: 1790000000, model: "moonshotai/Kimi-K2.6", choices: [{ index: 0, delta, logprobs: null, finish_reason: finish }], ...more })}\n\n`;

const end =
  chunk({}, "stop") +
  chunk({}, null, { choices: [], usage: { prompt_tokens: 9, completion_tokens: EVENTS } }) +
  "data: [DONE]\n\n";
const repeat = (piece) =>
  Buffer.from(
    chunk({ role: "assistant", content: "" }) + Array.from({ length: EVENTS }, (_, at) => piece(at)).join("") + end,
  );

const streams = {
  "words, nothing to change": repeat((at) => chunk({ content: ` word${at % 97}` })),
  "words with escapes": repeat((at) => chunk({ content: `"${at}"\n` })),
  "words, ids that are numbers (each one rewritten)": repeat(() =>
    chunk({ content: " word" }).replace('"chatcmpl-0123456789abcdef"', "7"),
  ),
  "tool arguments": repeat((at) =>
    at === 0
      ? chunk({
          tool_calls: [{ index: 0, id: "a", type: "function", function: { name: "write", arguments: '{"text":"' } }],
        })
      : chunk({ tool_calls: [{ index: 0, function: { arguments: at === EVENTS - 1 ? '"}' : " word" } }] }),
  ),
};

function pieces(bytes) {
  const list = [];
  for (let at = 0; at < bytes.length; at += PIECE_BYTES) list.push(bytes.subarray(at, at + PIECE_BYTES));
  return list;
}

function best(run) {
  let least = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS; round += 1) {
    const begun = performance.now();
    run();
    least = Math.min(least, performance.now() - begun);
  }
  return least;
}

console.log(`${EVENTS} events in pieces of ${PIECE_BYTES / 1024} KiB, best of ${ROUNDS}\n`);
console.log("| stream | MB | copy, ms | passed on, ms | events/s | MB/s | as chunks, ms | JSON.parse alone, ms |");
console.log("|---|---|---|---|---|---|---|---|");
for (const [name, bytes] of Object.entries(streams)) {
  const list = pieces(bytes);
  const copied = best(() => list.map((piece) => Buffer.from(piece)));
  const passed = best(() => {
    const filter = chatStreamFilter();
    for (const piece of list) filter.push(piece);
    if (filter.end().end.state !== "complete") throw new Error(name);
  });
  const chunks = best(() => {
    const reader = chatStreamReader();
    let count = 0;
    for (const piece of list) count += reader.push(piece).length;
    if (reader.end().end.state !== "complete" || count < EVENTS) throw new Error(name);
  });
  const parsed = best(() => {
    for (const event of bytes.toString().split("\n\n")) if (event.startsWith("data: {")) JSON.parse(event.slice(6));
  });
  const megabytes = bytes.length / 1e6;
  const row = [
    megabytes.toFixed(1),
    copied.toFixed(1),
    passed.toFixed(1),
    Math.round(EVENTS / (passed / 1000)),
    Math.round(megabytes / (passed / 1000)),
    chunks.toFixed(1),
    parsed.toFixed(1),
  ];
  console.log(`| ${name} | ${row.join(" | ")} |`);
}
