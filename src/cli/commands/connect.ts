import { existsSync } from "node:fs";
import { mkdir, rm, rmdir, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { z } from "zod";
import { keepBackup, readRegularText, writeFileAtomic } from "../../base/files.ts";
import { Secret } from "../../base/secret.ts";
import type { CliContext } from "../../base/world.ts";
import { zephFolders } from "../../config/files.ts";
import { readGatewaySettings } from "../../config/schema.ts";
import { EXIT, ZephError } from "../../errors.ts";
import { LOCAL_KEY_NAME } from "../../gateway/state.ts";
import type { Flags, Run } from "../command-table.ts";
import { promptConfirm } from "../input.ts";
import { CODING_AGENTS, type CodingAgent, launchModel } from "../launch/agents.ts";
import { type ConnectPlan, checkConnection, connectPlan } from "../launch/connect.ts";
import { editSettings, type FileEdit, undoSettings } from "../launch/edit-settings.ts";
import { openUpstream } from "../local-endpoint.ts";
import { setupOf } from "../setup.ts";
import { show, writeResult } from "../terminal.ts";
import { unifiedDiff } from "./config.ts";
import { isLoopbackHost, type LocalKey, localGatewayKey, serveChoices } from "./serve.ts";

/**
 * `zeph connect AGENT`: writes the lasting settings of a coding agent, so that it uses `zeph serve`. What changes is shown
 * and agreed to, the old file is kept, only keys of our own are written, and the result is read again and tried with one
 * real request.
 */
export const runConnect: Run<"connect"> = async (context, flags) => {
  const agent = agentOf(flags.agent);
  if (flags.undo === true) return undo(context, agent, flags);
  const { upstream, model, url, choices } = await endpointOf(context, flags);
  const localKey = flags.dryRun === true ? undefined : await localGatewayKey(context, upstream.setup);
  const plan = connectPlan(agent.id, {
    url,
    model,
    keyName: LOCAL_KEY_NAME,
    home: context.homeDir,
    env: context.env,
    readKey: () => localKey?.key.reveal() ?? "the key of the local endpoint",
  });
  const file = plan.files.find((path) => existsSync(path)) ?? plan.files[0];
  const before = await readSettings(file);
  const after = editSettings(before, plan.format, plan.edits);
  const diff = maskedDiff(before ?? "", after, localKey?.key);
  const data = { agent: agent.id, file, changed: before !== after, diff, keyBy: plan.keyBy, notes: plan.notes };
  if (flags.dryRun === true) {
    const notice = before === after ? `${file} is up to date.\n` : `Nothing is written yet: ${file}\n`;
    return writeResult(context, { data, answer: diff, notice });
  }
  refuseLostKey(localKey, plan);
  if (before !== after) {
    if (!(await agreed(context, `${file}\n${diff}`, `Write this for ${agent.name}?`))) return EXIT.ok;
    await write(context, agent, { file, before, after, plan });
  }
  const checked =
    flags.check === false ? undefined : await check(context, agent, { upstream, localKey, choices, url, model });
  const start = "`zeph serve` must run while the agent does.";
  const lines = [
    ...plan.notes,
    ...(checked === undefined ? [] : [checked]),
    start,
    `To take it back: zeph connect ${agent.id} --undo`,
  ];
  return writeResult(context, {
    data: { ...data, checked: checked !== undefined },
    notice: `${before === after ? `${file} is up to date.` : `${file} is written.`}\n${lines.join("\n")}\n`,
  });
};

function agentOf(id: string): CodingAgent {
  const agent = CODING_AGENTS.find((each) => each.id === id.toLowerCase());
  if (agent !== undefined) return agent;
  const known = CODING_AGENTS.map((each) => each.id).join(", ");
  throw new ZephError("usage", { detail: "no coding agent of this name is known", hint: `Known are ${known}.` });
}

/** The endpoint as `zeph serve` will open it, by the same settings. */
async function endpointOf(context: CliContext, flags: Flags<"connect">) {
  const settings = readGatewaySettings((await setupOf(context)).loaded.config.localGateway);
  const choices = serveChoices({}, settings);
  const choice = { provider: flags.provider ?? settings.provider, model: flags.model ?? settings.model };
  const upstream = await openUpstream(context, choice);
  const host = isLoopbackHost(choices.host) ? choices.host : "127.0.0.1";
  const url = `http://${host.includes(":") ? `[${host}]` : host}:${choices.port}`;
  return { upstream, model: await launchModel(context, upstream), url, choices };
}

/** A key that is made for every run anew cannot be found by the agent. */
function refuseLostKey(localKey: LocalKey | undefined, { keyBy }: ConnectPlan): void {
  const isInVariable = typeof localKey?.place === "object";
  if (localKey?.place === "vault" || (isInVariable && keyBy !== "command")) return;
  throw new ZephError("vault_not_found", {
    detail: "the agent asks zeph's vault for the key of the local endpoint",
    hint: "Run `zeph vault init`, then `zeph connect` again.",
  });
}

/** Keys in the user's settings, of whoever, are shown to nobody. */
function maskedDiff(before: string, after: string, key?: Secret): string {
  const diff = unifiedDiff(before, after);
  const own = key === undefined ? diff : diff.replaceAll(key.reveal(), MASK);
  return own.replace(KEY_LINE, `$1${MASK}`).replace(KEY_LIKE, MASK);
}

const MASK = "[redacted]";

/** A field that is named like a secret, with a value that looks like one. */
const KEY_LINE = /((?:key|token|secret|password)"?\s*[:=]\s*["']?)[\w.+/=-]{16,}/gi;
const KEY_LIKE = /\b(?:sk|gp|pk|ghp|xox[bp])[-_][\w-]{16,}/g;

async function agreed(context: CliContext, what: string, question: string): Promise<boolean> {
  if (!context.json) show(context.stderr, what);
  if (!context.interactive) return true;
  return promptConfirm(context, question, { initial: true });
}

async function check(
  context: CliContext,
  agent: CodingAgent,
  given: Pick<Awaited<ReturnType<typeof endpointOf>>, "upstream" | "choices" | "url" | "model"> & {
    readonly localKey: LocalKey | undefined;
  },
): Promise<string> {
  const { upstream, choices, url, model, localKey } = given;
  const key = localKey?.key ?? new Secret("");
  const gateway = await upstream.gateway({ key, onRequest: () => {} });
  try {
    return await checkConnection(context, { agentId: agent.id, url, model: model.id, key, gateway, choices });
  } finally {
    await upstream.flush();
  }
}

// -- writing and taking back ---------------------------------------------------------------------------------------

const MAX_BYTES = 4 * 1024 * 1024;

function readSettings(file: string): Promise<string | undefined> {
  return readRegularText(file, { maxBytes: MAX_BYTES });
}

const recordShape = z.object({
  file: z.string(),
  before: z.string().nullable(),
  after: z.string(),
  format: z.enum(["json", "yaml", "text"]),
  edits: z.array(
    z.object({
      path: z.array(z.string()),
      value: z.unknown(),
      listedBy: z.string().optional(),
      onlyIfMissing: z.boolean().optional(),
    }),
  ),
  backups: z.array(z.string()),
  /** Folders that were made for the file, the outermost first. */
  folders: z.array(z.string()),
});
type WrittenRecord = z.infer<typeof recordShape>;

interface Writing {
  readonly file: string;
  readonly before: string | undefined;
  readonly after: string;
  readonly plan: ConnectPlan;
}

async function write(context: CliContext, agent: CodingAgent, { file, before, after, plan }: Writing): Promise<void> {
  const earlier = await readRecord(context, agent);
  const isSame = earlier?.file === file;
  const folders = await makeFolders(dirname(file));
  const mode = plan.keyBy === "file" ? 0o600 : await modeOf(file);
  const backup = before === undefined ? undefined : await keepBackup(file, { mode, clock: context.clock });
  const record: WrittenRecord = {
    file,
    // What was there before the first time is what --undo brings back.
    before: isSame ? earlier.before : (before ?? null),
    after,
    format: plan.format,
    edits: [...(isSame ? earlier.edits : []), ...plan.edits].map((edit) => ({
      ...edit,
      path: [...edit.path],
    })) as never,
    backups: [...(isSame ? earlier.backups : []), ...(backup === undefined ? [] : [backup])],
    folders: isSame ? earlier.folders : folders,
  };
  await writeFileAtomic(recordPath(context, agent), `${JSON.stringify(record)}\n`);
  await writeFileAtomic(file, after, { mode });
  const written = await readSettings(file);
  if (written !== after || editSettings(written, plan.format, plan.edits) !== after) {
    throw new ZephError("file_unwritable", { detail: `${file} does not hold what was written` });
  }
  if (backup !== undefined && !context.json) show(context.stderr, `The old file is kept as ${backup}.\n`);
}

async function undo(context: CliContext, agent: CodingAgent, flags: Flags<"connect">): Promise<number> {
  const record = await readRecord(context, agent);
  if (record === undefined) {
    throw new ZephError("usage", {
      detail: `\`zeph connect ${agent.id}\` has written nothing that is still known`,
      hint: `Settings written by others are left alone. \`zeph connect ${agent.id} --dry-run\` shows what would be written.`,
    });
  }
  const { file, format } = record;
  const current = await readSettings(file);
  const edits: readonly FileEdit[] = record.edits;
  const back = current === undefined ? record.before : undoSettings(current, record, format, edits);
  const diff = maskedDiff(current ?? "", back ?? "");
  const data = { agent: agent.id, file, changed: current !== (back ?? undefined), diff };
  if (flags.dryRun === true) return writeResult(context, { data, answer: diff, notice: "Nothing is written yet.\n" });
  if (!(await agreed(context, `${file}\n${diff}`, "Take this back?"))) return EXIT.ok;
  if (back === null) await rm(file, { force: true });
  else if (back !== current) await writeFileAtomic(file, back, { mode: await modeOf(file) });
  for (const backup of record.backups) await rm(backup, { force: true });
  // Only those that are empty go.
  for (const folder of record.folders.toReversed()) await rmdir(folder).catch(() => {});
  await rm(recordPath(context, agent), { force: true });
  const what = back === null ? `${file} is gone, as it was before.` : `${file} is as it was before.`;
  return writeResult(context, { data, notice: `${what}\n` });
}

function recordPath(context: CliContext, { id }: CodingAgent): string {
  return join(zephFolders(context).state, "connected", `${id}.json`);
}

async function readRecord(context: CliContext, agent: CodingAgent): Promise<WrittenRecord | undefined> {
  const text = await readRegularText(recordPath(context, agent), { maxBytes: MAX_BYTES * 4 });
  if (text === undefined) return undefined;
  try {
    return recordShape.parse(JSON.parse(text));
  } catch {
    // Damaged: what was written is then not known any more.
    return undefined;
  }
}

/** @returns the folders that were not there, the outermost first */
async function makeFolders(folder: string): Promise<string[]> {
  const missing: string[] = [];
  for (let each = folder; !existsSync(each); each = dirname(each)) missing.unshift(each);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  return missing;
}

async function modeOf(file: string): Promise<number> {
  return stat(file).then(
    ({ mode }) => mode & 0o777,
    () => 0o600,
  );
}
