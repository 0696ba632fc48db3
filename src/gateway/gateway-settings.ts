import { z } from "zod";
import { ZephError } from "../errors/zeph-error.ts";

const text = z.string({ error: "must be text in quotes" }).trim().min(1, { error: "must not be empty" });
const texts = z.array(text, { error: "must be a list of texts" });
const flag = z.boolean({ error: "must be true or false" });

const schema = z.object({
  port: z.int({ error: "must be a whole number" }).min(0).max(65_535, { error: "must be at most 65535" }).optional(),
  host: text.optional(),
  provider: text.optional(),
  model: text.optional(),
  aliases: z.record(z.string(), text, { error: "must be a table of names" }).optional(),
  cors: texts.optional(),
  allow_hosts: texts.optional(),
  always_stream: flag.optional(),
  clean_up: flag.optional(),
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
export function readGatewaySettings(table: Readonly<Record<string, unknown>>): GatewaySettings {
  const read = schema.safeParse(table);
  if (!read.success) {
    const faults = read.error.issues.map(({ path, message }) => `${path.join(".")} ${message}`);
    throw new ZephError("config_invalid", { detail: `[local_gateway] ${faults.join("; ")}` });
  }
  const { allow_hosts: allowHosts, always_stream: alwaysStream, clean_up: cleanUp, ...rest } = read.data;
  return { ...rest, allowHosts, alwaysStream, cleanUp };
}
