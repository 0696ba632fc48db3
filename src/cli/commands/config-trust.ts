import { resolve } from "node:path";
import { findConfigFiles } from "../../config/find-config-files.ts";
import { readTextFile } from "../../config/read-text-file.ts";
import { readTrust, rememberTrust, trustIn } from "../../config/trusted-files.ts";
import { ZephError } from "../../errors/zeph-error.ts";
import { UnusableFile } from "../../internal/regular-file.ts";
import type { CliContext, RunCommand } from "../context.ts";
import { toTerminalText } from "../render/terminal-text.ts";
import { writeResult } from "../write-result.ts";

export interface ConfigTrustFlags {
  /** Default: the config file of the working folder. */
  readonly path?: string;
  /** `--list`: what was agreed to, and what was refused. */
  readonly list?: boolean;
  /** `--revoke`: take the answer back. */
  readonly revoke?: boolean;
}

/**
 * `zeph config trust [PATH]`: agrees to a config file that lies in a working folder, with just its content of now. Where a
 * stored key goes is not decided by it.
 */
export const runConfigTrust: RunCommand<ConfigTrustFlags> = async (context, { path, list = false, revoke = false }) => {
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
