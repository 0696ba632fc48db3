export { VERSION } from "../version.ts";
export type {
  GonkaBrokerSettings,
  GonkaConnectionSettings,
  GonkaNativeSettings,
  GonkaProviderSettings,
} from "./access.ts";
export { toZephError } from "./errors.ts";
export { createGonka, type GonkaChatModelId, type GonkaProvider, gonka } from "./gonka.ts";
export type { GonkaLanguageModelOptions } from "./models.ts";
