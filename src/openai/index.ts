export { connectionFromEnvironment, type Environment } from "../client/connection-from-environment.ts";
export { type GonkaOpenAIOptions, gonkaOpenAIOptions } from "./gonka-openai-options.ts";
