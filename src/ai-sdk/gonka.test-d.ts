import type { EmbeddingModel, LanguageModel } from "ai";
import { expectTypeOf } from "vitest";
import type { ZephError } from "../errors.ts";
import type { Connection, NativeConnection } from "../transport/connection.ts";
import type { GonkaFetch } from "../transport/gonka-fetch.ts";
import { VERSION } from "../version.ts";
import type { GonkaProviderSettings } from "./access.ts";
import { toZephError } from "./errors.ts";
import { createGonka, type GonkaChatModelId, type GonkaProvider, gonka } from "./gonka.ts";
import type { GonkaLanguageModelOptions } from "./models.ts";

expectTypeOf(createGonka).parameter(0).toEqualTypeOf<GonkaProviderSettings | undefined>();
expectTypeOf(createGonka()).toEqualTypeOf<GonkaProvider>();
expectTypeOf(gonka).toEqualTypeOf<GonkaProvider>();
expectTypeOf(VERSION).toBeString();
expectTypeOf(toZephError).returns.toEqualTypeOf<ZephError>();

// What the AI SDK takes.
expectTypeOf(gonka("any/model")).toExtend<LanguageModel>();
expectTypeOf(gonka.chatModel("any/model")).toExtend<LanguageModel>();
expectTypeOf(gonka.embeddingModel("any/model")).toExtend<EmbeddingModel>();
expectTypeOf(gonka.imageModel).returns.toBeNever();
expectTypeOf<string>().toExtend<GonkaChatModelId>();

// The ways to reach the network, one at a time.
declare const connection: Connection;
declare const ready: GonkaFetch;
declare const signer: NonNullable<NativeConnection["signer"]>;
const endpoints = [{ baseURL: "https://node.example/v1", address: "gonka1…" }];
createGonka({ broker: "gonkagate", apiKey: "gp-…", headers: { a: "b" }, includeUsage: false, name: "mine" });
createGonka({ baseURL: "http://127.0.0.1:18080/v1", fetch: globalThis.fetch });
createGonka({ connection });
createGonka({ connection: ready });
createGonka({ native: { signer, endpoints } });
createGonka({ native: { privateKey: "00", prefix: "gonka", discover: async () => endpoints, maxAttempts: 2 } });

// Variables that may not be set, in projects with `exactOptionalPropertyTypes` too.
declare const variable: string | undefined;
createGonka({ broker: variable, baseURL: variable, apiKey: variable });
createGonka({ native: { privateKey: variable, endpoints } });
createGonka({ connection: { kind: "broker", baseURL: "https://x.example/v1", apiKey: variable } });

// @ts-expect-error a ready connection has its key already
createGonka({ connection, apiKey: "gp-…" });

// @ts-expect-error signed requests use no API key
createGonka({ native: { signer, endpoints }, apiKey: "gp-…" });

// @ts-expect-error somebody has to sign
createGonka({ native: { endpoints } });

// @ts-expect-error one of the two signs, not both
createGonka({ native: { signer, privateKey: "00", endpoints } });

// @ts-expect-error there is no such setting
createGonka({ apikey: "gp-…" });

expectTypeOf<GonkaLanguageModelOptions["thinking"]>().toEqualTypeOf<
  { readonly type: "enabled" | "disabled" } | undefined
>();

// @ts-expect-error not an effort
({ reasoningEffort: "huge" }) satisfies GonkaLanguageModelOptions;
