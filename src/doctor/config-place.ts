import { upsertProvider } from "../config/edit.ts";
import type { Origin } from "../config/origin.ts";
import type { ProviderConfig } from "../config/provider.ts";
import { changeConfig } from "../config/write.ts";
import { ZephError } from "../errors/zeph-error.ts";
import type { Setup } from "../provider/setup.ts";
import type { Fix } from "./check.ts";

/** A change of one field of a provider record: how the user makes it, and how the doctor would. */
export interface ConfigChange {
  readonly hint: string;
  /** Absent where the value does not come from a file. */
  readonly fix?: Fix;
}

/** How to give a field of a provider record another value, where that value comes from now. */
export function changeField(
  setup: Setup,
  config: Pick<ProviderConfig, "name" | "type">,
  field: "model" | "base_url",
  value: string,
): ConfigChange {
  const { loaded, world } = setup;
  const key = `llm.providers.${config.name}`;
  const origin = loaded.origins.get(`${key}.${field}`) ?? loaded.origins.get(`${key}.type`);
  if (origin === undefined || origin.kind !== "file") return { hint: `Set ${sourceName(origin)} to ${value}.` };
  const { path } = origin;
  const isUserFile = path === loaded.files.writePath;
  const fix: Fix = {
    question: `set ${field} of ${config.name} to ${value}`,
    async apply() {
      const change = (previous: string | undefined) => {
        if (previous === undefined) throw new ZephError("config_not_found", { detail: path });
        return upsertProvider(previous, { type: config.type, name: config.name, [field]: value });
      };
      await changeConfig(path, change, world);
      return `${path}: ${field} of ${config.name} is ${value} now.`;
    },
  };
  if (field === "model" && isUserFile) {
    return { hint: `Run: zeph config set model ${value} --provider ${config.name}`, fix };
  }
  const place = origin.line === undefined ? path : `${path}:${origin.line}`;
  return { hint: `Run: zeph doctor --fix (sets ${field} = "${value}" in ${place})`, fix };
}

function sourceName(origin: Origin | undefined): string {
  return origin?.kind === "env" ? `the variable ${origin.name}` : origin?.kind === "flag" ? origin.name : "it";
}
