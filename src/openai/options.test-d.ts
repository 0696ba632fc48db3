import type { ClientOptions } from "openai";
import { expectTypeOf } from "vitest";
import type { Connection } from "../transport/connection.ts";
import type { GonkaFetch } from "../transport/gonka-fetch.ts";
import { type GonkaOpenAIOptions, gonkaOpenAIOptions } from "./options.ts";

expectTypeOf(gonkaOpenAIOptions).parameters.toEqualTypeOf<[connection: Connection | GonkaFetch]>();
expectTypeOf(gonkaOpenAIOptions).returns.toEqualTypeOf<GonkaOpenAIOptions>();

// What `new OpenAI(…)` takes.
expectTypeOf<GonkaOpenAIOptions>().toExtend<ClientOptions>();

// A variable that may not be set, in projects with `exactOptionalPropertyTypes` too.
declare const variable: string | undefined;
gonkaOpenAIOptions({ kind: "broker", baseURL: "https://x.example/v1", apiKey: variable });
gonkaOpenAIOptions({ kind: "native", privateKey: variable, sourceUrl: "https://node.example" });

// @ts-expect-error the key is not forgotten by accident
gonkaOpenAIOptions({ kind: "broker", baseURL: "https://x.example/v1" });

// @ts-expect-error a connection says how it proves who it is
gonkaOpenAIOptions({ baseURL: "https://x.example/v1", apiKey: "gp-…" });
