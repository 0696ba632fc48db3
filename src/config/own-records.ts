import { effectiveName, PROVIDERS } from "./check-layer.ts";
import { isFault, readFileLayer } from "./file-layer.ts";
import { tablesAt } from "./layer.ts";
import { configPaths, type PathContext } from "./paths.ts";
import { readTextFile } from "./read-text-file.ts";
import { secretNameFor } from "./secret-names.ts";

/** A provider as one file alone has it, without what other files and variables make of it. */
interface OwnRecord {
  readonly name: string;
  /** Name of the secret it uses. */
  readonly secretName: string;
  readonly baseURL: string;
}

/** A broker of `[[brokers]]` in the user's own file. */
interface OwnBroker {
  readonly keyEnv: string;
  readonly baseURL: string;
}

export interface OwnRecords {
  readonly providers: readonly OwnRecord[];
  readonly brokers: readonly OwnBroker[];
}

const NOTHING: OwnRecords = { providers: [], brokers: [] };

/**
 * What the user's own file says about addresses: the one in the config folder, whatever file `--config`, `ZEPH_CONFIG`
 * or the working folder bring, and whatever variables say. A file that cannot be read says nothing.
 */
export async function ownRecords(context: PathContext): Promise<OwnRecords> {
  const { user } = configPaths({ ...context, cwd: context.homeDir });
  for (const path of user) {
    const text = await readTextFile(path).catch(() => undefined);
    if (text !== undefined) return recordsIn(path, text);
  }
  return NOTHING;
}

/** The addresses that one file gives. */
export function recordsIn(path: string, text: string): OwnRecords {
  const layer = readFileLayer(path, text);
  if (isFault(layer)) return NOTHING;
  return {
    providers: tablesAt(layer, PROVIDERS).flatMap(({ values }) => {
      const { type, base_url: baseURL, api_key_env: configured } = values;
      const name = effectiveName(values);
      if (type !== "compatible" || name === undefined || typeof baseURL !== "string" || !URL.canParse(baseURL))
        return [];
      return [{ name, baseURL, secretName: typeof configured === "string" ? configured : secretNameFor(name) }];
    }),
    brokers: tablesAt(layer, ["brokers"]).flatMap(({ values: { key_env: keyEnv, base_url: baseURL } }) =>
      typeof keyEnv === "string" && typeof baseURL === "string" && URL.canParse(baseURL) ? [{ keyEnv, baseURL }] : [],
    ),
  };
}
