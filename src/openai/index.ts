export { type GonkaOpenAIOptions, gonkaOpenAIOptions } from "./gonka-openai-options.ts";
