import type { SandboxModel } from "../engine.ts";

/** The built-in engine's models. Ids and prices are made up; none of them exists on any network. */
export const BUILT_IN_MODELS: readonly SandboxModel[] = [
  {
    id: "sandbox/echo-1",
    kind: "chat",
    contextLengthTokens: 128_000,
    maxOutputTokens: 4096,
    promptUsdPer1M: 0.2,
    completionUsdPer1M: 0.4,
  },
  {
    id: "sandbox/thinker-1",
    kind: "chat",
    contextLengthTokens: 240_000,
    maxOutputTokens: 4096,
    promptUsdPer1M: 0.3,
    completionUsdPer1M: 0.9,
    reasoning: "reasoning_content",
  },
  {
    id: "sandbox/muser-1",
    kind: "chat",
    contextLengthTokens: 180_000,
    maxOutputTokens: 4096,
    promptUsdPer1M: 0.25,
    completionUsdPer1M: 0.6,
    reasoning: "think-tags",
  },
  {
    // Small, and with a capital letter: for trying the context limit and the spelling of ids.
    id: "sandbox/Tiny-1",
    kind: "chat",
    contextLengthTokens: 512,
    maxOutputTokens: 128,
    promptUsdPer1M: 0.05,
    completionUsdPer1M: 0.1,
  },
  {
    id: "sandbox/embed-1",
    kind: "embedding",
    contextLengthTokens: 8192,
    maxOutputTokens: 0,
    promptUsdPer1M: 0.02,
    completionUsdPer1M: 0,
  },
];
