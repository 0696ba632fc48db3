import type { Stamps } from "../../src/gateway/dialects/dialect.ts";
import type { ChatChunk, ChatCompletion, ChatUsage } from "../../src/wire/chat-shape.ts";

/** What a model says, in the order it says it. */
export interface Script {
  readonly reasoning?: string;
  readonly text?: string;
  readonly calls?: readonly { readonly id: string; readonly name: string; readonly arguments: string }[];
  readonly finish?: ChatCompletion["choices"][number]["finish_reason"];
  readonly usage?: ChatUsage;
  readonly stopReason?: string;
}

/** The script as a whole chat answer. */
export function completionOf({ reasoning, text, calls = [], finish, usage, stopReason }: Script): ChatCompletion {
  return {
    id: "chatcmpl-1",
    object: "chat.completion",
    created: 1,
    model: "m",
    choices: [
      {
        index: 0,
        message: {
          role: "assistant",
          content: text ?? null,
          reasoning_content: reasoning ?? null,
          tool_calls: calls.map(({ id, name, arguments: input }) => ({
            id,
            type: "function",
            function: { name, arguments: input },
          })),
        },
        finish_reason: finish ?? (calls.length > 0 ? "tool_calls" : "stop"),
        stop_reason: stopReason,
      },
    ],
    usage: usage ?? null,
  };
}

type Choice = ChatChunk["choices"][number];

/** One chunk of a stream. */
export function chunkOf(delta: Choice["delta"], finish: Choice["finish_reason"] = null): ChatChunk {
  return { ...HEAD, choices: [{ index: 0, delta, finish_reason: finish }] };
}

const HEAD = { id: "chatcmpl-1", object: "chat.completion.chunk", created: 1, model: "m" } as const;

/** The script as chunks, its texts cut by `cut`. */
export function chunksOf(script: Script, cut: (text: string) => readonly string[] = (text) => [...text]): ChatChunk[] {
  const { reasoning = "", text = "", calls = [], finish, usage, stopReason } = script;
  const chunk = (delta: Choice["delta"], finishReason: Choice["finish_reason"] = null): ChatChunk => ({
    ...HEAD,
    choices: [{ index: 0, delta, finish_reason: finishReason, stop_reason: finishReason === null ? null : stopReason }],
  });
  const call = (index: number, piece: { id?: string; function: { name?: string; arguments: string } }) =>
    chunk({ tool_calls: [{ index, ...piece }] });
  return [
    ...cut(reasoning).map((piece) => chunk({ reasoning_content: piece })),
    ...cut(text).map((piece) => chunk({ content: piece })),
    ...calls.flatMap(({ id, name, arguments: input }, index) => [
      call(index, { id, function: { name, arguments: "" } }),
      ...cut(input).map((piece) => call(index, { function: { arguments: piece } })),
    ]),
    chunk({}, finish ?? (calls.length > 0 ? "tool_calls" : "stop")),
    ...(usage === undefined ? [] : [{ ...HEAD, choices: [], usage }]),
  ];
}

/** A clock that stands still, and ids that count. */
export function countingStamps(): Stamps {
  let count = 0;
  return {
    nowMs: () => 1_764_288_000_000,
    newId() {
      count += 1;
      return `t${count}`;
    },
  };
}
