import { MockLanguageModelV3 } from "ai/test";
import type { ChatModel, ChatModelListing, ChatSession, OnSessionEvent, Pricing } from "../../src/chat/session.ts";
import { ZephError } from "../../src/errors.ts";

type StreamResult = Awaited<ReturnType<ChatModel["doStream"]>>;
export type StreamPart = StreamResult["stream"] extends ReadableStream<infer Part> ? Part : never;

export function textParts(...deltas: readonly string[]): StreamPart[] {
  return [
    { type: "text-start", id: "t" },
    ...deltas.map((delta): StreamPart => ({ type: "text-delta", id: "t", delta })),
    { type: "text-end", id: "t" },
  ];
}

export function reasoningParts(...deltas: readonly string[]): StreamPart[] {
  return [
    { type: "reasoning-start", id: "r" },
    ...deltas.map((delta): StreamPart => ({ type: "reasoning-delta", id: "r", delta })),
    { type: "reasoning-end", id: "r" },
  ];
}

export interface FinishOptions {
  readonly input?: number;
  readonly output?: number;
  readonly cached?: number;
  readonly reasoning?: number;
  readonly costUsd?: number;
  readonly reason?: "stop" | "length" | "content-filter" | "tool-calls" | "other";
}

/** The last part. Counts that are left out are unknown. */
export function finishPart(options: FinishOptions = {}): StreamPart {
  const reason = options.reason ?? "stop";
  return {
    type: "finish",
    finishReason: { unified: reason, raw: reason === "other" ? undefined : reason },
    usage: {
      inputTokens: { total: options.input, noCache: undefined, cacheRead: options.cached, cacheWrite: undefined },
      outputTokens: { total: options.output, text: undefined, reasoning: options.reasoning },
    },
    ...(options.costUsd === undefined ? {} : { providerMetadata: { anybroker: { costUsd: options.costUsd } } }),
  };
}

/** A whole plain answer. */
export function answerOf(text: string, finish: FinishOptions = { input: 12, output: 48 }): StreamPart[] {
  return [...textParts(...(text.match(/\S+\s*|\s+/g) ?? [])), finishPart(finish)];
}

/** Streams the parts; `hang` leaves the stream open after them. */
export function streamOf(parts: readonly StreamPart[], end: "close" | "hang" = "close"): StreamResult {
  return {
    stream: new ReadableStream<StreamPart>({
      start(controller) {
        controller.enqueue({ type: "stream-start", warnings: [] });
        for (const part of parts) controller.enqueue(part);
        if (end === "close") controller.close();
      },
    }),
  };
}

/** A model that gives these answers in turn; an answer that is an error is thrown. */
export function mockModel(answers: readonly (readonly StreamPart[] | StreamResult | Error)[]): MockLanguageModelV3 {
  let next = 0;
  return new MockLanguageModelV3({
    doStream: async () => {
      const answer = answers[Math.min(next++, answers.length - 1)];
      if (answer instanceof Error) throw answer;
      if (answer === undefined) throw new Error("the mock has no answer");
      return "stream" in answer ? answer : streamOf(answer);
    },
  });
}

export interface MockSessionOptions {
  readonly model: ChatModel;
  readonly providerName?: string;
  readonly modelId?: string;
  readonly contextLengthTokens?: number;
  readonly pricing?: Pricing;
  readonly models?: readonly ChatModelListing[];
}

export interface MockSession extends ChatSession {
  /** Plays an event of the connection to everybody who follows. */
  readonly emit: OnSessionEvent;
}

export function mockSession(options: MockSessionOptions): MockSession {
  const listeners = new Set<OnSessionEvent>();
  return {
    providerName: options.providerName ?? "testbroker",
    modelId: options.modelId ?? "owner/model-a",
    model: options.model,
    ...(options.contextLengthTokens === undefined ? {} : { contextLengthTokens: options.contextLengthTokens }),
    ...(options.pricing === undefined ? {} : { pricing: options.pricing }),
    toZephError: (error) => (ZephError.is(error) ? error : new ZephError("upstream_error", { detail: String(error) })),
    subscribe(onEvent) {
      listeners.add(onEvent);
      return () => listeners.delete(onEvent);
    },
    listModels: async () => options.models ?? [{ id: "owner/model-a" }, { id: "owner/model-b" }],
    withModel: (id) => mockSession({ ...options, modelId: id }),
    emit: (event) => {
      for (const listener of listeners) listener(event);
    },
  };
}
