import { constants } from "node:fs";
import { access, mkdir, mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, dirname, isAbsolute, join } from "node:path";
import type { CliContext } from "../../base/world.ts";
import { addToTotal, EMPTY_TOTAL, UNKNOWN_USAGE, type UsageTotal } from "../../chat/session.ts";
import { readGatewaySettings } from "../../config/schema.ts";
import { ZephError } from "../../errors.ts";
import { listen } from "../../gateway/listen.ts";
import { makeLocalKey } from "../../gateway/state.ts";
import type { Run } from "../command-table.ts";
import { promptSelect } from "../input.ts";
import {
  type AgentStart,
  agentEnvironment,
  CODING_AGENTS,
  type CodingAgent,
  type LaunchModel,
  launchModel,
} from "../launch/agents.ts";
import { openUpstream } from "../local-endpoint.ts";
import { setupOf } from "../setup.ts";
import { renderTotal, show } from "../terminal.ts";

/**
 * `zeph launch`: a coding agent on the user's provider, with nothing to configure. The endpoint lives in this process, on
 * a free port, with a key of this run; the agent is told in its environment, its arguments and a private folder. Both
 * end together, and no file of the user's was touched.
 */
export const runLaunch: Run<"launch"> = async (context, flags) => {
  const { agent, file } = await installedAgent(context, flags.agent);
  const settings = readGatewaySettings((await setupOf(context)).loaded.config.localGateway);
  const choice = { provider: flags.provider ?? settings.provider, model: flags.model ?? settings.model };
  // While the agent has the terminal, nobody else writes there.
  const notices = new Set<string>();
  let hasTerminal = false;
  const tell = (line: string) => (hasTerminal ? notices.add(line) : show(context.stderr, line));
  const upstream = await openUpstream(context, choice, { tell });
  const model = await launchModel(context, upstream);
  const key = makeLocalKey();
  let total: UsageTotal = EMPTY_TOTAL;
  const gateway = await upstream.gateway({
    defaultModel: model.id,
    // Agents name models of their own for work beside the conversation.
    aliases: { ...settings.aliases, ...Object.fromEntries((agent.modelNames ?? []).map((name) => [name, model.id])) },
    key,
    onNotice: (text) => tell(`${text}\n`),
    onRequest({ usage }, cost) {
      if (cost === undefined) return;
      const tokens = { ...UNKNOWN_USAGE, input: usage?.promptTokens, output: usage?.completionTokens };
      total = addToTotal(total, { usage: tokens, costUsd: cost.usd, costNgonka: cost.ngonka });
    },
  });
  const listening = await listen(gateway, { port: 0, clock: context.clock });
  const url = listening.baseURL.slice(0, -"/v1".length);
  const folder = await mkdtemp(join(tmpdir(), "zeph-launch-"));
  try {
    const start = agent.start({ url, key: key.reveal(), model, folder });
    await writeFiles(folder, start.files);
    introduce(context, agent, model, upstream.opened.config.name);
    const runAgent = context.runAgent ?? (await import("../launch/run-agent.ts")).runAgent;
    hasTerminal = true;
    return await runAgent({
      file,
      args: [...start.args, ...(flags.args ?? [])],
      env: agentEnvironment(context.env, start),
      cwd: context.cwd,
      folder,
    });
  } finally {
    await listening.close({ graceMs: 0 });
    await upstream.flush();
    await rm(folder, { recursive: true, force: true });
    for (const notice of notices) show(context.stderr, notice);
    show(
      context.stderr,
      `${agent.name}: ${total.answers === 0 ? "nothing was asked" : renderTotal(total, "request")}\n`,
    );
  }
};

function introduce({ stderr }: CliContext, agent: CodingAgent, model: LaunchModel, provider: string): void {
  show(stderr, `${agent.name} on ${model.id} (${provider})\n`);
  if (agent.extraRequests !== undefined) show(stderr, `${agent.extraRequests}; that is paid for as well.\n`);
}

// -- the agent -------------------------------------------------------------------------------------------------------

interface Installed {
  readonly agent: CodingAgent;
  readonly file: string;
}

async function installedAgent(context: CliContext, id: string | undefined): Promise<Installed> {
  if (id === undefined) return chooseAgent(context);
  const agent = CODING_AGENTS.find((each) => each.id === id.toLowerCase());
  if (agent === undefined) {
    const known = CODING_AGENTS.map((each) => each.id).join(", ");
    throw new ZephError("usage", { detail: "no coding agent of this name is known", hint: `Known are ${known}.` });
  }
  const file = await programOf(agent, context);
  if (file !== undefined) return { agent, file };
  throw new ZephError("agent_not_found", {
    detail: `${agent.name} (the program \`${agent.program}\`)`,
    hint: `Install it with \`${agent.install}\`, then run \`zeph launch ${agent.id}\` again.`,
  });
}

/** A menu of those that are there. */
async function chooseAgent(context: CliContext): Promise<Installed> {
  const looked = await Promise.all(
    CODING_AGENTS.map(async (agent) => ({ agent, file: await programOf(agent, context) })),
  );
  const installed = looked.flatMap(({ agent, file }) => (file === undefined ? [] : [{ agent, file }]));
  if (installed.length === 0) {
    const ways = CODING_AGENTS.map(({ name, install }) => `${name}: ${install}`).join("; ");
    throw new ZephError("agent_not_found", { detail: "no coding agent is installed", hint: `Install one. ${ways}.` });
  }
  const ids = installed.map(({ agent }) => agent.id).join(", ");
  if (!context.interactive) {
    throw new ZephError("missing_input", { detail: "which agent?", hint: `Name one of those installed: ${ids}.` });
  }
  const options = installed.map((each) => ({ value: each, label: each.agent.name, hint: each.agent.id }));
  return promptSelect(context, "Which coding agent?", options);
}

/** The agent's program on the PATH, as a shell would find it. */
async function programOf({ program }: CodingAgent, { env, platform }: CliContext): Promise<string | undefined> {
  const endings = platform === "win32" ? [".exe", ".cmd", ".bat"] : [""];
  const folders = (env.PATH ?? env.Path ?? "").split(delimiter).filter((folder) => isAbsolute(folder));
  for (const folder of folders) {
    for (const ending of endings) {
      const file = join(folder, program + ending);
      if (await isProgram(file)) return file;
    }
  }
  return undefined;
}

async function isProgram(file: string): Promise<boolean> {
  try {
    await access(file, constants.X_OK);
    return (await stat(file)).isFile();
  } catch {
    // Not here.
    return false;
  }
}

// -- the folder of the run -------------------------------------------------------------------------------------------

async function writeFiles(folder: string, files: AgentStart["files"]): Promise<void> {
  for (const { name, text } of files) {
    const path = join(folder, name);
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    await writeFile(path, text, { mode: 0o600 });
  }
}
