import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { ZephError } from "../../errors/zeph-error.ts";
import { Secret } from "../../internal/secret.ts";
import { parseDotenv } from "../../vault/dotenv.ts";
import { findImportable, type ImportCandidate } from "../../vault/importable.ts";
import type { Vault } from "../../vault/index.ts";
import { entryFault } from "../../vault/known-entries.ts";
import type { CliContext, RunCommand } from "../context.ts";
import { openVault } from "../open-vault.ts";
import { promptConfirm } from "../prompt.ts";
import { writeResult } from "../write-result.ts";

export interface VaultImportFlags {
  /** A `.env` file; without one the variables of the environment are looked at. */
  readonly file?: string;
  /** `--force`: replace stored values that differ. */
  readonly force?: boolean;
  /** `--yes`: do not ask. */
  readonly yes?: boolean;
}

type Fate = "store" | "replace" | "same" | "kept" | "malformed";

interface PlannedImport extends ImportCandidate {
  readonly fate: Fate;
  readonly words: string;
}

/** `zeph vault import [FILE]`: copies secrets of known names into the vault. Shows names, asks, removes nothing. */
export const runVaultImport: RunCommand<VaultImportFlags> = async (context, flags) => {
  const source = flags.file ?? "the environment";
  const vault = await openVault(context);
  const plan = (await findCandidates(context, flags)).map((candidate) => planImport(vault, candidate, flags));
  const stored = plan.filter(({ fate }) => fate === "store" || fate === "replace");
  if (!context.json) context.stderr.write(describePlan(plan, source));
  if (stored.length > 0) {
    await confirmImport(context, flags, stored.length);
    const entries = new Map(stored.map(({ name, value }) => [name, new Secret(value)]));
    await vault.setAll(entries, { replace: stored.some(({ fate }) => fate === "replace") });
  }
  const entries = plan.map(({ name, variable, fate }) => ({ name, variable, fate }));
  const notice = `Stored ${stored.length} in ${vault.paths.vaultFile}. Nothing was removed from ${source}; do that yourself.\n`;
  return writeResult(context, {
    data: { source, stored: stored.length, entries },
    ...(stored.length > 0 ? { notice } : {}),
  });
};

async function findCandidates(context: CliContext, { file }: VaultImportFlags): Promise<ImportCandidate[]> {
  if (file === undefined) return findImportable(Object.entries(context.env));
  const text = await readFile(resolve(context.cwd, file), "utf8").catch((cause: unknown) => {
    throw new ZephError("usage", { detail: `${file} cannot be read`, hint: "Name a .env file that exists.", cause });
  });
  return findImportable(parseDotenv(text));
}

function planImport(vault: Vault, candidate: ImportCandidate, { force }: VaultImportFlags): PlannedImport {
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

async function confirmImport(context: CliContext, { yes }: VaultImportFlags, count: number): Promise<void> {
  if (yes === true) return;
  if (!context.interactive) throw new ZephError("not_interactive", { hint: "Add --yes to store them without asking." });
  if (await promptConfirm(context, `Store ${count} of them in the vault?`, { initial: true })) return;
  throw new ZephError("cancelled", { detail: "nothing was stored" });
}
