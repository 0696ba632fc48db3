import { readTextFile } from "../base/files.ts";
import type { CliContext } from "../base/world.ts";
import { rememberTrust } from "../config/files.ts";
import type { GonkaProvider } from "../config/providers.ts";
import { describeUntrusted, type UntrustedFile } from "../config/trust.ts";
import { ZephError } from "../errors.ts";
import type { ReadNodeOptions } from "../network/node.ts";
import { type AlreadyRead, loadSetup, nothingRead, type Setup, type SetupWorld } from "../provider/setup.ts";
import type { RequestSigner } from "../signer/signer.ts";
import { DEFAULT_PREFIX, normalizeBaseURL, parsePrefix } from "../wire/endpoint.ts";
import { passphraseSource, promptConfirm } from "./input.ts";
import { tellOnce } from "./terminal.ts";

/**
 * Config and secrets of the user who runs this command. `--provider` and `--model` win over everything. A project file that
 * was not agreed to is asked about at a terminal, once for its content, and mentioned everywhere else.
 *
 * @param manner `silent` asks and tells nothing, as in the middle of a command line
 */
export async function setupOf(
  context: CliContext,
  choice: { readonly provider?: string | undefined; readonly model?: string | undefined } = {},
  manner: "open" | "silent" = "open",
): Promise<Setup> {
  const setup = await loadOnce(context, choice);
  const { untrusted, files } = setup.loaded;
  if (untrusted === undefined || manner === "silent") return setup;
  const file = files.found.find(({ path }) => path === untrusted.path);
  const isAsked = context.interactive && !untrusted.isRefused && untrusted.fault === undefined;
  if (file !== undefined && isAsked) {
    const agreed = await promptConfirm(context, trustQuestion(untrusted));
    await rememberTrust(context, readTextFile, file, agreed ? "trusted" : "refused");
    if (agreed) return loadOnce(forgetSetup(context), choice);
  }
  tellOnce(context, describeUntrusted(untrusted));
  return setup;
}

/** What this command has read, by the paths of its command line: copies of a context share them. */
const read = new WeakMap<CliContext["paths"], AlreadyRead>();

function loadOnce(context: CliContext, choice: object): Promise<Setup> {
  const { env, homeDir, platform, cwd, clock, random, fetch, paths } = context;
  const world: SetupWorld = {
    ...{ env, homeDir, platform, cwd, clock, random, fetch },
    askPassphrase: passphraseSource(context),
    flags: { ...paths, ...choice },
    ...(context.interactive ? { confirm: (question: string) => promptConfirm(context, question) } : {}),
  };
  const before = read.get(paths) ?? nothingRead(world);
  read.set(paths, before);
  return loadSetup(world, before);
}

/** For one who has changed the configuration. */
export function forgetSetup(context: CliContext): CliContext {
  read.delete(context.paths);
  return context;
}

/** What the file would decide, with the addresses it names: that is what one agrees to. */
function trustQuestion({ path, ignored }: UntrustedFile): string {
  const lines = ignored.map(({ place, value }) => `  ${place}${value === "" ? "" : ` = ${value}`}`);
  const shown = lines.length > 20 ? [...lines.slice(0, 19), `  and ${lines.length - 19} more`] : lines;
  return `${path} comes with this folder and wants to decide:\n${shown.join("\n")}\nIs it yours, and shall it?`;
}

/** Flags of every command that looks at a network. */
export interface NetworkFlags {
  /** `--source-url URL`: the node to ask; default the configured provider's. */
  readonly sourceUrl?: string;
  readonly provider?: string;
}

/** A node to ask about its network. */
export interface NetworkSource {
  /** Ends in `/v1`. */
  readonly source: string;
  readonly prefix: string;
  /** What its list of nodes must follow from, where the config pins something. */
  readonly trust: GonkaProvider["trust"];
  readonly reading: ReadNodeOptions;
}

/**
 * The node that `--source-url` names, else the configured native provider's source or first node. There is no default
 * host. Throws `missing_input`, `wrong_url`, and what a broken configuration throws.
 */
export async function networkSource(
  context: CliContext,
  { sourceUrl, provider }: NetworkFlags,
): Promise<NetworkSource> {
  const { fetch, clock, signal } = context;
  const reading = { fetch, clock, signal };
  if (sourceUrl !== undefined) {
    const setup = await setupOf(context).catch(() => undefined);
    const prefix =
      setup === undefined ? DEFAULT_PREFIX : (nativeProvider(setup, provider)?.chainPrefix ?? DEFAULT_PREFIX);
    return { source: normalizeBaseURL(sourceUrl), prefix: parsePrefix(prefix), trust: {}, reading };
  }
  const config = nativeProvider(await setupOf(context), provider);
  const configured = config?.sourceUrl ?? config?.nodes[0]?.url;
  if (config === undefined || configured === undefined) {
    throw new ZephError("missing_input", {
      detail: "no native provider is configured, so there is no node to ask",
      hint: "Name one with --source-url URL, for example a node of the network, or run `zeph init`.",
    });
  }
  return { source: normalizeBaseURL(configured), prefix: config.chainPrefix, trust: config.trust, reading };
}

/** The native provider of this name, else the default one, else the first. Throws `provider_not_found`. */
export function nativeProvider({ loaded }: Setup, name: string | undefined): GonkaProvider | undefined {
  const native = loaded.config.providers.filter((config) => config.type === "gonka");
  if (name === undefined) return native.find(({ isDefault }) => isDefault) ?? native[0];
  const found = native.find((config) => config.name === name);
  if (found !== undefined) return found;
  const names = native.map((config) => config.name).join(", ");
  throw new ZephError("provider_not_found", {
    detail: `"${name}" is no native provider${names === "" ? "" : `; there are: ${names}`}`,
  });
}

/** A signer with the configured key. Throws `secret_missing`, `invalid_private_key` and what the vault throws. */
export async function openOwnSigner(setup: Setup, config: GonkaProvider): Promise<RequestSigner> {
  const { secret } = await setup.privateKey(config);
  const { RequestSigner } = await import("../signer/signer.ts");
  return RequestSigner.fromHex(secret.reveal(), { prefix: config.chainPrefix });
}
