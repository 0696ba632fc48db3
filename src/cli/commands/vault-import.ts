import { resolve } from "node:path";
import { readRegularText, readTextFile, UnusableFile } from "../../base/files.ts";
import { Secret } from "../../base/secret.ts";
import type { CliContext } from "../../base/world.ts";
import { type InlineKey, inlineKeys, replaceInlineKey } from "../../config/edit.ts";
import { findConfigFiles, writeConfig } from "../../config/files.ts";
import { bindKey, originOf, recordsIn } from "../../config/trust.ts";
import { ZephError } from "../../errors.ts";
import { bindNewKey } from "../../provider/setup.ts";
import { entryFault, findImportable, type ImportCandidate, parseDotenv } from "../../vault/entries.ts";
import type { Vault } from "../../vault/vault.ts";
import type { Flags, Run } from "../command-table.ts";
import { openVault, promptConfirm } from "../input.ts";
import { setupOf } from "../setup.ts";
import { show, writeResult } from "../terminal.ts";

const MAX_DOTENV_BYTES = 1024 * 1024;

type Fate = "store" | "replace" | "same" | "kept" | "malformed";

interface PlannedImport extends ImportCandidate {
  readonly fate: Fate;
  readonly words: string;
}

/**
 * `zeph vault import [FILE]`: copies secrets of known names into the vault. Shows names and asks; removes nothing but
 * keys from the config, after a yes of its own or with `--move`.
 */
export const runVaultImport: Run<"vault import"> = async (context, flags) => {
  const vault = await openVault(context);
  const config = flags.file === undefined ? await findInlineKeys(context) : undefined;
  const source = flags.file ?? `the environment${config === undefined ? "" : ` and ${config.path}`}`;
  const candidates =
    flags.file === undefined ? candidatesHere(context, config) : await candidatesOf(context, flags.file);
  const plan = candidates.map((candidate) => planImport(vault, candidate, flags));
  const stored = plan.filter(({ fate }) => fate === "store" || fate === "replace");
  if (!context.json) show(context.stderr, describePlan(plan, source));
  if (stored.length > 0) {
    await confirmImport(context, flags, stored.length);
    const entries = new Map(stored.map(({ name, value }) => [name, new Secret(value)]));
    await vault.setAll(entries, { replace: stored.some(({ fate }) => fate === "replace") });
    for (const { variable, name, value } of stored) {
      await bindImported(context, { name, secret: new Secret(value), address: inlineAddress(config, variable) });
    }
  }
  const moved = config === undefined ? undefined : await moveOut(context, flags, { config, plan });
  const entries = plan.map(({ name, variable, fate }) => ({ name, variable, fate }));
  const storedWords = stored.length === 0 ? "" : `Stored ${stored.length} in ${vault.paths.vaultFile}.\n`;
  const left = "Nothing was removed from where they were; do that yourself.\n";
  return writeResult(context, {
    data: {
      source,
      stored: stored.length,
      entries,
      moved: moved?.names ?? [],
      configBackupPath: moved?.backupPath ?? null,
    },
    notice: `${storedWords}${moved?.words ?? (stored.length === 0 ? "" : left)}`,
  });
};

/** A key in the config is the one in force, so it goes before a variable of the same name. */
function candidatesHere({ env }: CliContext, config: FileWithKeys | undefined): readonly ImportCandidate[] {
  const inline = (config?.keys ?? []).map(({ provider, secretName, value }) => ({
    variable: variableFor(provider),
    name: secretName,
    value: value.reveal(),
  }));
  const variables = findImportable(Object.entries(env));
  return [...inline, ...variables.filter(({ name }) => !inline.some((key) => key.name === name))];
}

/** A key that stood in the config belongs to the address beside it, the others to where their names say. */
async function bindImported(
  context: CliContext,
  { name, secret, address }: { readonly name: string; readonly secret: Secret; readonly address: string | undefined },
): Promise<void> {
  if (address === undefined) await bindNewKey(context, name, secret);
  else await bindKey(context, { name, secret, origins: [originOf(address)] });
}

function inlineAddress(config: FileWithKeys | undefined, variable: string): string | undefined {
  if (config === undefined) return undefined;
  const { providers } = recordsIn(config.path, config.text);
  return providers.find(({ name }) => variableFor(name) === variable)?.baseURL;
}

function variableFor(provider: string): string {
  return `api_key of ${provider}`;
}

async function candidatesOf(context: CliContext, file: string): Promise<readonly ImportCandidate[]> {
  const path = resolve(context.cwd, file);
  const text = await readRegularText(path, { maxBytes: MAX_DOTENV_BYTES }).catch((cause: unknown) => {
    const { message, hint } = cause instanceof UnusableFile ? cause : { message: `${path} cannot be read` };
    throw new ZephError("usage", { detail: message, hint: hint ?? "Name a .env file.", cause });
  });
  if (text === undefined) {
    throw new ZephError("usage", { detail: `${file} does not exist`, hint: "Name a .env file that exists." });
  }
  return findImportable(parseDotenv(text));
}

function planImport(vault: Vault, candidate: ImportCandidate, { force }: Flags<"vault import">): PlannedImport {
  const fault = entryFault(candidate.name, candidate.value);
  if (fault !== undefined) return { ...candidate, fate: "malformed", words: `not taken: it ${fault}` };
  const stored = vault.get(candidate.name)?.reveal();
  if (stored === undefined) return { ...candidate, fate: "store", words: "new" };
  if (stored === candidate.value) return { ...candidate, fate: "same", words: "stored already" };
  if (force === true) return { ...candidate, fate: "replace", words: "replaces another value" };
  return { ...candidate, fate: "kept", words: "not taken: the vault has another value (--force replaces it)" };
}

function describePlan(plan: readonly PlannedImport[], source: string): string {
  if (plan.length === 0) return `No secret of a known name in ${source}.\n`;
  const lines = plan.map(({ name, variable, words }) => {
    const origin = variable === name ? "" : ` (from ${variable})`;
    return `  ${name}${origin}: ${words}\n`;
  });
  return `In ${source}:\n${lines.join("")}`;
}

async function confirmImport(context: CliContext, { yes }: Flags<"vault import">, count: number): Promise<void> {
  if (yes === true) return;
  if (!context.interactive) throw new ZephError("not_interactive", { hint: "Add --yes to store them without asking." });
  if (await promptConfirm(context, `Store ${count} of them in the vault?`, { initial: true })) return;
  throw new ZephError("cancelled", { detail: "nothing was stored" });
}

interface Moved {
  readonly names: readonly string[];
  readonly backupPath: string | undefined;
  readonly words: string;
}

/** Only what the vault holds now, value for value, leaves the config. */
async function moveOut(
  context: CliContext,
  flags: Flags<"vault import">,
  { config, plan }: { readonly config: FileWithKeys; readonly plan: readonly PlannedImport[] },
): Promise<Moved | undefined> {
  const inVault = new Set(
    plan.filter(({ fate }) => ["store", "replace", "same"].includes(fate)).map(({ variable }) => variable),
  );
  const keys = config.keys.filter(({ provider }) => inVault.has(variableFor(provider)));
  if (keys.length === 0) return undefined;
  const names = keys.map(({ secretName }) => secretName);
  const { vaultBackend } = await setupOf(context);
  if (vaultBackend.backend === "env") {
    const words = "The config keeps its keys: with the env backend the vault is not looked at.\n";
    return { names: [], backupPath: undefined, words };
  }
  const isWanted =
    flags.move === true ||
    (context.interactive &&
      (await promptConfirm(context, `Put the name of the secret in the place of the key in ${config.path}?`, {
        initial: true,
      })));
  if (!isWanted) {
    const words = `The config still holds ${keys.length === 1 ? "a key" : "keys"} in plain text; \`zeph vault import --move --yes\` takes ${keys.length === 1 ? "it" : "them"} out.\n`;
    return { names: [], backupPath: undefined, words };
  }
  const backupPath = await moveInlineKeys(context, config, keys);
  const words = `${config.path} names ${names.join(" and ")} now.\nAs it was, with the key: ${backupPath}\nDelete that copy when a chat works.\n`;
  return { names, backupPath, words };
}

/** A config file of the user that holds keys in plain text. */
interface FileWithKeys {
  readonly path: string;
  readonly text: string;
  readonly keys: readonly InlineKey[];
}

/**
 * The user's own config file, or the one that `--config` names, when it holds keys. A file of the folder one happens to
 * work in is left out: what it holds may be anybody's, and must not come to lie in the vault under a name in use.
 */
async function findInlineKeys(context: CliContext): Promise<FileWithKeys | undefined> {
  const { found } = await findConfigFiles({ ...context, flags: context.paths, readFile: readTextFile });
  const file = found.find(({ role }) => role !== "project");
  const keys = inlineKeys(file?.text ?? "");
  return file === undefined || keys.length === 0 ? undefined : { path: file.path, text: file.text, keys };
}

/** Puts the names of these secrets in the place of the keys. Gives the copy of the file as it was, keys included. */
async function moveInlineKeys(
  { clock }: Pick<CliContext, "clock">,
  { path, text }: FileWithKeys,
  keys: readonly InlineKey[],
): Promise<string | undefined> {
  const changed = keys.reduce(replaceInlineKey, text);
  return (await writeConfig(path, changed, { previous: text, clock })).backupPath;
}
