export { VERSION } from "../version.ts";
export { createGonka, type GonkaChatModelId, type GonkaProvider, gonka } from "./create-gonka.ts";
export type { GonkaLanguageModelOptions } from "./language-model-options.ts";
export type {
  GonkaBrokerSettings,
  GonkaConnectionSettings,
  GonkaNativeSettings,
  GonkaProviderSettings,
} from "./provider-settings.ts";
export { toZephError } from "./to-zeph-error.ts";
