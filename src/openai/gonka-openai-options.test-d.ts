import type { ClientOptions } from "openai";
import { expectTypeOf } from "vitest";
import type { Connection } from "../client/connection.ts";
import type { GonkaFetch } from "../client/gonka-fetch.ts";
import { type GonkaOpenAIOptions, gonkaOpenAIOptions } from "./index.ts";

expectTypeOf(gonkaOpenAIOptions).parameters.toEqualTypeOf<[connection: Connection | GonkaFetch]>();
expectTypeOf(gonkaOpenAIOptions).returns.toEqualTypeOf<GonkaOpenAIOptions>();
// What `new OpenAI(…)` takes.
expectTypeOf<GonkaOpenAIOptions>().toExtend<ClientOptions>();
// @ts-expect-error a connection says how it proves who it is
gonkaOpenAIOptions({ baseURL: "https://x.example/v1", apiKey: "gp-…" });
