import { join } from "node:path";
import { conversationStore, conversationsFolder } from "../chat/conversations.ts";
import { zephFolders } from "../config/paths.ts";
import { writeFileAtomic } from "../internal/atomic-file.ts";
import { readRegularText } from "../internal/regular-file.ts";
import type { AskFlags } from "./commands/ask.ts";
import type { CliContext } from "./context.ts";
import type { ReplDependencies } from "./repl/repl-dependencies.ts";
import { sessionOpener } from "./session.ts";
import { setupOf } from "./setup.ts";

/**
 * What a chat needs from config and state folder: how to open a provider, the daily limit, the provider used last. Only
 * a conversation follows the provider that was chosen in the last one; a single question goes where the config says.
 */
export async function chatDependencies(
  context: CliContext,
  choice: Pick<AskFlags, "provider" | "model" | "debugDump" | "continue" | "load" | "private">,
  kind: "conversation" | "question",
): Promise<ReplDependencies> {
  const { loaded } = await setupOf(context, { provider: choice.provider, model: choice.model });
  const { config } = loaded;
  const stateFolder = zephFolders(context).state;
  const lastProvider = join(stateFolder, "last-provider");
  const runnable = config.providers.filter((provider) => provider.type !== "other");
  const { debugDump } = choice;
  const remarks = kind === "conversation" && context.interactive;
  const open = sessionOpener(context, { remarks, ...(debugDump === undefined ? {} : { debugDump }) });
  const isResumed = choice.continue === true || choice.load !== undefined;
  const follows = kind === "conversation" && config.providerPersistence && choice.model === undefined && !isResumed;
  const last = follows ? await readName(lastProvider) : undefined;
  const remembered = runnable.find(({ name }) => name === last)?.name;
  return {
    openSession: (wanted) =>
      open(wanted.provider === undefined && remembered !== undefined ? { ...wanted, provider: remembered } : wanted),
    stateFolder,
    conversations:
      config.keepConversations && choice.private !== true
        ? conversationStore({ folder: conversationsFolder(stateFolder), clock: context.clock, random: context.random })
        : undefined,
    defaultProvider: runnable.find(({ isDefault }) => isDefault)?.name,
    maxDailyCents: config.cost.enabled ? config.cost.maxDailyCents : 0,
    listProviders: async () => runnable.map(({ name, model }) => ({ name, ...(model === undefined ? {} : { model }) })),
    rememberProvider: async (name) => {
      if (config.providerPersistence) await writeFileAtomic(lastProvider, `${name}\n`);
    },
  };
}

async function readName(path: string): Promise<string | undefined> {
  try {
    return (await readRegularText(path, { maxBytes: 4096 }))?.trim();
  } catch {
    // Nothing was chosen yet.
    return undefined;
  }
}
