import { resolve } from "node:path";
import { readTextFile, UnusableFile } from "../../base/files.ts";
import type { CliContext } from "../../base/world.ts";
import { BROKERS, containsKey, looksLikeToken, mergeBrokers } from "../../brokers/registry.ts";
import { setDefaultProvider, setModel } from "../../config/edit.ts";
import { changeConfig, findConfigFiles, readTrust, rememberTrust, trustIn, writeConfig } from "../../config/files.ts";
import { type ConfigWarning, describeOrigin } from "../../config/layer.ts";
import { fileToMigrate, type Setting } from "../../config/load.ts";
import { type Migration, migrateConfig } from "../../config/migrate.ts";
import { maskSecrets, renderValue } from "../../config/toml.ts";
import { ZephError } from "../../errors.ts";
import { refreshModels } from "../../provider/models.ts";
import { openProvider } from "../../provider/open.ts";
import { type Model, matchModel, nearest } from "../../wire/models.ts";
import type { Run } from "../command-table.ts";
import { setupOf } from "../setup.ts";
import { renderTable, style, toTerminalLine, toTerminalText, writeResult } from "../terminal.ts";

/** `zeph config show`: every value in force, in the file's own terms, keys and tokens masked. */
export const runConfigShow: Run<"config show"> = async (context, { origin = false }) => {
  const { loaded, vaultBackend } = await setupOf(context);
  const { settings, warnings, files } = loaded;
  return writeResult(context, {
    data: {
      files: files.found.map(({ path, role }) => ({ path, role })),
      settings: settings.map((setting) => ({ ...setting, origin: describeOrigin(setting.origin) })),
      vaultBackend: { backend: vaultBackend.backend, origin: vaultBackend.origin },
      warnings: warnings.map((warning) => ({ ...warning, origin: describeOrigin(warning.origin) })),
    },
    answer: renderSettings(context, settings, origin),
    notice: [
      ...(files.found.length === 0 ? ["There is no config file yet; `zeph init` makes one.\n"] : []),
      ...besidesTold(warnings).map((warning) => renderWarning(context, warning)),
    ].join(""),
  });
};

function renderSettings({ color }: CliContext, settings: readonly Setting[], withOrigin: boolean): string {
  const { dim } = style(color);
  return renderTable(
    settings.map(({ key, value, origin }) => {
      const line = `${key} = ${renderValue(value)}`;
      return withOrigin ? [line, dim(`# ${describeOrigin(origin)}`)] : [line];
    }),
  );
}

/** An untrusted file was told of while the set-up was read. */
export function besidesTold(warnings: readonly ConfigWarning[]): readonly ConfigWarning[] {
  return warnings.filter(({ kind }) => kind !== "untrusted_file");
}

export function renderWarning({ color }: CliContext, { message, origin }: ConfigWarning): string {
  const { yellow, dim } = style(color);
  return `${toTerminalLine(`${yellow("!")} ${message} ${dim(`(${describeOrigin(origin)})`)}`)}\n`;
}

/** `zeph config path`: the file that set-up writes, also when it is faulty or not there yet. */
export const runConfigPath: Run<"config path"> = async (context) => {
  const { found, writePath, paths } = await findConfigFiles({
    ...context,
    flags: context.paths,
    readFile: readTextFile,
  });
  const searched = paths.explicit === undefined ? [...paths.project, ...paths.user] : [paths.explicit.path];
  const read = found.map(({ path, role, trust }) => ({ path, role, trusted: trust === "trusted" }));
  const others = read.filter(({ path }) => path !== writePath).map(({ path }) => `Also read, above it: ${path}\n`);
  const missing = read.some(({ path }) => path === writePath) ? "" : "It does not exist yet; `zeph init` makes it.\n";
  return writeResult(context, {
    data: { path: writePath, read, searched },
    answer: `${writePath}\n`,
    exact: true,
    notice: `${others.join("")}${missing}`,
  });
};

/**
 * `zeph config set model ID` and `zeph config set provider NAME`: changes one line of the file and keeps the rest. A model
 * is looked up in the live list: written as the list spells it, and with a warning when it is not there.
 */
export const runConfigSet: Run<"config set"> = async (context, { key, value, provider }) => {
  const setup = await setupOf(context);
  const { files, config } = setup.loaded;
  const brokers = mergeBrokers(BROKERS, config.brokers);
  // Brokers of the config have prefixes of their own, which nobody knew when the command line was looked at.
  if ([key, value, provider ?? ""].some((text) => containsKey(text, brokers) || looksLikeToken(text))) {
    throw new ZephError("secret_on_command_line", { detail: "what is given to config set looks like a key" });
  }
  if (!files.found.some(({ path }) => path === files.writePath)) {
    throw new ZephError("config_not_found", { detail: files.writePath });
  }
  const name = provider ?? config.providers.find(({ isDefault }) => isDefault)?.name ?? "";
  const { id, warning } = key === "model" ? await lookUpModel(context, name, value) : { id: value };
  // The list may have taken a while to come: what the file says by now is what is changed.
  const change = (now: string | undefined) => changeSetting(now ?? "", key, id, name);
  const { path, backupPath, previous, text } = await changeConfig(files.writePath, change, context);
  return writeResult(context, {
    data: {
      path,
      backupPath: backupPath ?? null,
      key,
      value: id,
      changed: text !== previous,
      warning: warning ?? null,
    },
    notice: [
      text === previous ? `${path} says so already.\n` : `${path} is changed.\n`,
      id === value ? "" : `The list spells it ${id}; that is what was written.\n`,
      warning === undefined ? "" : `! ${warning}\n`,
    ].join(""),
  });
};

function changeSetting(text: string, key: string, value: string, name: string): string {
  if (key === "model") return setModel(text, name, value);
  if (key === "provider") return setDefaultProvider(text, value);
  throw new ZephError("usage", {
    detail: `"${key}" cannot be set this way`,
    hint: "Give `model ID` or `provider NAME`; for everything else edit the file that `zeph config path` names.",
  });
}

/** `zeph config migrate`: a config of Zeph or of an older zeph in today's form. Prints it unless told to write it. */
export const runConfigMigrate: Run<"config migrate"> = async (context, { diff = false, inPlace = false }) => {
  const { path, text } = await findFile(context);
  const migration = migrateConfig(text);
  const isChanged = migration.text !== text;
  const changes = { path, changed: isChanged, changes: migration.changes };
  if (inPlace) {
    const written = isChanged
      ? await writeConfig(path, migration.text, { previous: text, clock: context.clock })
      : undefined;
    const done = written?.backupPath === undefined ? "" : `The old one is kept as ${written.backupPath}.\n`;
    return writeResult(context, {
      data: { ...changes, backupPath: written?.backupPath ?? null },
      notice: isChanged ? `${summary(migration)}${path} is written.\n${done}` : `${path} is up to date.\n`,
    });
  }
  // Terminals and files that a listing goes to are no place for keys.
  const [before, after] = [maskSecrets(text), maskSecrets(migration.text)];
  const difference = unifiedDiff(before, after);
  const notice = isChanged
    ? `${summary(migration)}Nothing is written yet; keys are masked here. To write it: zeph config migrate --in-place\n`
    : `${path} is up to date.\n`;
  return writeResult(context, {
    data: diff ? { ...changes, diff: difference } : { ...changes, text: after },
    answer: diff ? colored(difference, context) : after,
    exact: !diff,
    notice,
  });
};

/** Throws `config_not_found` when there is none. */
async function findFile(context: CliContext): Promise<{ readonly path: string; readonly text: string }> {
  const files = await findConfigFiles({ ...context, flags: context.paths, readFile: readTextFile });
  const file = fileToMigrate(files);
  if (file === undefined) throw new ZephError("config_not_found", { detail: files.writePath });
  return file;
}

function summary({ changes }: Migration): string {
  return changes.map(({ message }) => `- ${message}\n`).join("");
}

function colored(difference: string, { color }: CliContext): string {
  const { red, green, dim } = style(color);
  return difference.replace(/^.*$/gm, (line) => {
    if (line.startsWith("@@")) return dim(line);
    return line.startsWith("-") ? red(line) : line.startsWith("+") ? green(line) : line;
  });
}

/** What the live list says about an id that was typed without looking at it. */
interface ModelFinding {
  /** As the list spells it; as it was typed where the list does not know it. */
  readonly id: string;
  /** Why a chat with it would probably fail. */
  readonly warning?: string;
}

/** A look at the list must not be in the way of the command that takes it. */
const WAIT_MS = 3_000;

/**
 * Looks an id up in the provider's live list, which is free. Where the list cannot be had, for whatever reason, there is
 * nothing to say about the id: a chat will tell the reason in full.
 */
async function lookUpModel(context: CliContext, provider: string, typed: string): Promise<ModelFinding> {
  const controller = new AbortController();
  const cancel = context.clock.schedule(WAIT_MS, () => controller.abort());
  const signal = AbortSignal.any([context.signal, controller.signal]);
  try {
    // Nobody is asked for a passphrase for the sake of a warning.
    const setup = await setupOf({ ...context, interactive: false }, { provider }, "silent");
    const models = await refreshModels(await openProvider(setup, { name: provider }), setup.world, signal);
    if (models.length === 0) return { id: typed };
    const match = matchModel(typed, idsOf(models));
    if (match.kind === "none") {
      const chatIds = idsOf(models.filter(({ kind }) => kind === "chat"));
      const warning = `${provider} does not list ${typed} now. Nearest: ${nearest(typed, chatIds, 3).join(", ")}.`;
      return { id: typed, warning };
    }
    const { id } = match;
    const isEmbedding = models.some((model) => model.id === id && model.kind === "embedding");
    return isEmbedding ? { id, warning: `${id} makes embeddings; a chat needs another model.` } : { id };
  } catch {
    // Said above: no list, no opinion.
    return { id: typed };
  } finally {
    cancel();
  }
}

const idsOf = (models: readonly Model[]) => models.map(({ id }) => id);

const CONTEXT_LINES = 3;

interface DiffLine {
  readonly kind: "same" | "removed" | "added";
  readonly text: string;
}

/**
 * The difference of two texts in the form of `diff -u`, without the file names; empty when they are equal. Meant for
 * files of some thousand lines at most.
 */
export function unifiedDiff(before: string, after: string): string {
  if (before === after) return "";
  const lines = diffLines(toLines(before), toLines(after));
  return hunksOf(lines)
    .map(([from, to]) => renderHunk(lines, from, to))
    .join("");
}

function toLines(text: string): readonly string[] {
  const lines = text.split("\n");
  if (lines.at(-1) === "") lines.pop();
  return lines;
}

/** Longest common subsequence, after the equal beginning and end are set aside. */
function diffLines(before: readonly string[], after: readonly string[]): readonly DiffLine[] {
  let start = 0;
  while (start < before.length && start < after.length && before[start] === after[start]) start += 1;
  let end = 0;
  const most = Math.min(before.length, after.length) - start;
  while (end < most && before[before.length - 1 - end] === after[after.length - 1 - end]) end += 1;
  const same = (lines: readonly string[]) => lines.map((text): DiffLine => ({ kind: "same", text }));
  return [
    ...same(before.slice(0, start)),
    ...diffMiddle(before.slice(start, before.length - end), after.slice(start, after.length - end)),
    ...same(before.slice(before.length - end)),
  ];
}

function diffMiddle(before: readonly string[], after: readonly string[]): readonly DiffLine[] {
  const lengths = commonLengths(before, after);
  const lengthAt = (i: number, j: number) => lengths[i]?.[j] ?? 0;
  const lines: DiffLine[] = [];
  let i = 0;
  let j = 0;
  while (i < before.length || j < after.length) {
    const [old, now] = [before[i], after[j]];
    if (old !== undefined && old === now) {
      lines.push({ kind: "same", text: old });
      i += 1;
      j += 1;
    } else if (old !== undefined && (now === undefined || lengthAt(i + 1, j) >= lengthAt(i, j + 1))) {
      lines.push({ kind: "removed", text: old });
      i += 1;
    } else {
      lines.push({ kind: "added", text: now ?? "" });
      j += 1;
    }
  }
  return lines;
}

/** `lengths[i][j]`: how many lines the rests from `i` and `j` on have in common. */
function commonLengths(before: readonly string[], after: readonly string[]): readonly Uint32Array[] {
  const lengths = Array.from({ length: before.length + 1 }, () => new Uint32Array(after.length + 1));
  for (let i = before.length - 1; i >= 0; i -= 1) {
    const [row, below] = [lengths[i], lengths[i + 1]];
    if (row === undefined || below === undefined) continue;
    for (let j = after.length - 1; j >= 0; j -= 1) {
      row[j] = before[i] === after[j] ? (below[j + 1] ?? 0) + 1 : Math.max(below[j] ?? 0, row[j + 1] ?? 0);
    }
  }
  return lengths;
}

/** Changed lines with some equal ones around them; neighbours that touch become one. */
function hunksOf(lines: readonly DiffLine[]): readonly (readonly [from: number, to: number])[] {
  const hunks: [number, number][] = [];
  lines.forEach(({ kind }, index) => {
    if (kind === "same") return;
    const [from, to] = [Math.max(0, index - CONTEXT_LINES), Math.min(lines.length, index + CONTEXT_LINES + 1)];
    const last = hunks.at(-1);
    if (last !== undefined && from <= last[1]) last[1] = to;
    else hunks.push([from, to]);
  });
  return hunks;
}

const SIGNS = { same: " ", removed: "-", added: "+" } as const;

function renderHunk(lines: readonly DiffLine[], from: number, to: number): string {
  const count = (part: readonly DiffLine[], absent: DiffLine["kind"]) =>
    part.filter(({ kind }) => kind !== absent).length;
  const [above, hunk] = [lines.slice(0, from), lines.slice(from, to)];
  const range = (absent: DiffLine["kind"]) => `${count(above, absent) + 1},${count(hunk, absent)}`;
  const head = `@@ -${range("added")} +${range("removed")} @@`;
  return `${[head, ...hunk.map(({ kind, text }) => SIGNS[kind] + text)].join("\n")}\n`;
}

/**
 * `zeph config trust [PATH]`: agrees to a config file that lies in a working folder, with just its content of now. Where a
 * stored key goes is not decided by it.
 */
export const runConfigTrust: Run<"config trust"> = async (context, { path, list = false, revoke = false }) => {
  if (list) return listTrust(context);
  const wanted = path === undefined ? await projectFileHere(context) : resolve(context.cwd, path);
  if (revoke) {
    const known = (await readTrust(context, readTextFile)).some((entry) => entry.path === wanted);
    await rememberTrust(context, readTextFile, { path: wanted }, undefined);
    const notice = known
      ? `${toTerminalText(wanted)} decides models and answer sizes only from now on.\n`
      : `${toTerminalText(wanted)} was not trusted.\n`;
    return writeResult(context, { data: { path: wanted, decision: null }, notice });
  }
  const text = await readTextFile(wanted).catch((cause: unknown) => {
    const detail = cause instanceof UnusableFile ? cause.message : `${wanted} cannot be read`;
    throw new ZephError("config_invalid", { detail, hint: "Only a file of UTF-8 text can be agreed to.", cause });
  });
  if (text === undefined) throw new ZephError("config_not_found", { detail: `${wanted} does not exist` });
  await rememberTrust(context, readTextFile, { path: wanted, text }, "trusted");
  return writeResult(context, {
    data: { path: wanted, decision: "trusted" },
    notice: `${toTerminalText(wanted)} is trusted with the content it has now; when it changes you are asked again.\n`,
  });
};

async function projectFileHere(context: CliContext): Promise<string> {
  // Also where --config or ZEPH_CONFIG name another file for this run.
  const env = { ...context.env, ZEPH_CONFIG: undefined };
  const { found } = await findConfigFiles({ ...context, env, readFile: readTextFile });
  const file = found.find(({ role }) => role === "project");
  if (file !== undefined) return file.path;
  throw new ZephError("config_not_found", {
    detail: "this folder has no config file for zeph (config.toml or config/default.toml with an [llm] table)",
    hint: "Name the file: zeph config trust PATH",
  });
}

async function listTrust(context: CliContext): Promise<number> {
  const entries = await readTrust(context, readTextFile);
  const files = await Promise.all(
    entries.map(async ({ path, decision }) => {
      const text = await readTextFile(path).catch(() => undefined);
      const changed = text === undefined || trustIn(entries, { path, text }) === "open";
      return { path, decision, changed };
    }),
  );
  const lines = files.map(({ path, decision, changed }) => {
    const now = changed ? ", and has changed or gone since: it is asked about again" : "";
    return `${toTerminalText(path)}  ${decision}${now}\n`;
  });
  const notice = files.length === 0 ? "No config file of a folder was agreed to or refused.\n" : "";
  return writeResult(context, { data: { files }, answer: lines.join(""), notice });
}
