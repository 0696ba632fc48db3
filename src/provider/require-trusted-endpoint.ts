import type { CompatibleProvider, GonkaProvider } from "../config/provider.ts";
import { ZephError } from "../errors/zeph-error.ts";
import { isLoopback } from "../protocol/endpoint.ts";
import type { Setup } from "./setup.ts";

/** Fields of a record that decide where requests go and which secret goes with them. */
const DECIDING_FIELDS = ["base_url", "gonka_nodes", "gonka_source_url", "api_key_env"] as const;

/**
 * A project file comes with whatever was checked out, and must not send the user's keys to a host of its choice. One
 * that the user names with --config, or that points to this computer, is fine. Throws `untrusted_project_file`.
 */
export function requireTrustedEndpoint({ loaded }: Setup, config: CompatibleProvider | GonkaProvider): void {
  const projectFiles = loaded.files.found.filter(({ role }) => role === "project").map(({ path }) => path);
  const decidedBy = DECIDING_FIELDS.map((field) => loaded.origins.get(`llm.providers.${config.name}.${field}`)).find(
    (origin) => origin?.kind === "file" && projectFiles.includes(origin.path),
  );
  if (decidedBy?.kind !== "file" || endpointsOf(config).every(isLoopback)) return;
  const hosts = endpointsOf(config).map((url) => new URL(url).host);
  throw new ZephError("untrusted_project_file", {
    detail: `${decidedBy.path} sends provider "${config.name}" to ${[...new Set(hosts)].join(", ")}`,
    hint: `If you trust the file, name it: --config ${decidedBy.path}. Otherwise work in another folder.`,
  });
}

function endpointsOf(config: CompatibleProvider | GonkaProvider): readonly string[] {
  if (config.type === "compatible") return [config.baseURL];
  return [...config.nodes.map(({ url }) => url), ...(config.sourceUrl === undefined ? [] : [config.sourceUrl])];
}
