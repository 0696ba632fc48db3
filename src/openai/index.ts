export { connectionFromEnvironment, type Environment, type GonkaOpenAIOptions, gonkaOpenAIOptions } from "./options.ts";
