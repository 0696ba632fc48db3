import { changed, flag, list, namedValues, optional, readShape, table, text, wholeNumber } from "../config/shape.ts";
import { ZephError } from "../errors/zeph-error.ts";

const trimmed = changed(text, (value) => value.trim());
const texts = list(trimmed, "must be a list of texts");

const shape = table({
  port: optional(wholeNumber(0, 65_535)),
  host: optional(trimmed),
  provider: optional(trimmed),
  model: optional(trimmed),
  aliases: optional(namedValues(trimmed, "must be a table of names")),
  cors: optional(texts),
  allow_hosts: optional(texts),
  always_stream: optional(flag),
  clean_up: optional(flag),
});

/** The table `[local_gateway]` of a config. Fields it does not know are nobody's fault. */
export interface GatewaySettings {
  readonly port?: number | undefined;
  readonly host?: string | undefined;
  readonly provider?: string | undefined;
  readonly model?: string | undefined;
  readonly aliases?: Readonly<Record<string, string>> | undefined;
  readonly cors?: readonly string[] | undefined;
  readonly allowHosts?: readonly string[] | undefined;
  readonly alwaysStream?: boolean | undefined;
  readonly cleanUp?: boolean | undefined;
}

/** Reads `[local_gateway]`. Throws `config_invalid` with every fault at once. */
export function readGatewaySettings(given: Readonly<Record<string, unknown>>): GatewaySettings {
  const { data, issues } = readShape(shape, given);
  if (data === undefined) {
    const faults = issues.map(({ path, message }) => `${path.join(".")} ${message}`);
    throw new ZephError("config_invalid", { detail: `[local_gateway] ${faults.join("; ")}` });
  }
  const { port, host, provider, model, aliases, cors } = data;
  return {
    port,
    host,
    provider,
    model,
    aliases,
    cors,
    allowHosts: data.allow_hosts,
    alwaysStream: data.always_stream,
    cleanUp: data.clean_up,
  };
}
