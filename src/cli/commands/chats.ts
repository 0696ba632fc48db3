import { open } from "node:fs/promises";
import { resolve } from "node:path";
import { fileErrorCode, unwritable } from "../../base/files.ts";
import type { CliContext } from "../../base/world.ts";
import {
  type ConversationStore,
  type ConversationSummary,
  conversationStore,
  conversationsFolder,
  type KeptConversation,
  toMarkdown,
  toPlainData,
} from "../../chat/conversations.ts";
import { zephFolders } from "../../config/files.ts";
import { ZephError } from "../../errors.ts";
import type { Run } from "../command-table.ts";
import { promptConfirm } from "../input.ts";
import { renderConversations } from "../kept-conversations.ts";
import { renderMarkdown } from "../markdown.ts";
import { writeResult } from "../terminal.ts";

const DEFAULT_LIMIT = 30;

/** `zeph chats`: what was kept, newest first. */
export const runChatsList: Run<"chats list"> = async (context, { words = [], limit }) => {
  const most = toLimit(limit);
  const store = conversationsOf(context);
  const found = await (words.length === 0 ? store.list() : store.search(words.join(" ")));
  const shown = found.slice(0, most);
  const data = { conversations: shown.map(toData), total: found.length };
  if (found.length === 0) {
    const notice =
      words.length === 0
        ? "No conversation is kept yet. `zeph` begins one.\n"
        : `No conversation has all of these words: ${words.join(" ")}\n`;
    return writeResult(context, { data, notice });
  }
  const { stdout, color } = context;
  const columns = stdout.isTTY === true ? (stdout.columns ?? 80) : Number.POSITIVE_INFINITY;
  const more = found.length - shown.length;
  return writeResult(context, {
    data,
    answer: renderConversations(shown, { color, columns }),
    notice: more > 0 ? `${more} older ones are not shown; --limit ${found.length} shows all.\n` : "",
  });
};

function toLimit(text: string | undefined): number {
  if (text === undefined) return DEFAULT_LIMIT;
  if (/^[1-9]\d{0,4}$/.test(text)) return Number(text);
  throw new ZephError("usage", { detail: "--limit takes a whole number above 0" });
}

/** `zeph chats show ID`: the whole conversation. */
export const runChatsShow: Run<"chats show"> = async (context, { id }) => {
  const kept = await conversationsOf(context).find(id);
  const { stdout, color } = context;
  if (context.json || stdout.isTTY !== true || !color) {
    return writeResult(context, { data: toPlainData(kept), answer: toMarkdown(kept) });
  }
  const renderer = renderMarkdown({ columns: () => stdout.columns ?? 80 });
  stdout.write(renderer.push(toMarkdown(kept)) + renderer.end());
  return 0;
};

/** `zeph chats rename ID TITLE` */
export const runChatsRename: Run<"chats rename"> = async (context, { id, title }) => {
  const renamed = await conversationsOf(context).rename(id, title.join(" "));
  return writeResult(context, { data: toData(renamed), notice: `${renamed.id} is now called: ${renamed.title}\n` });
};

/** `zeph chats delete ID…`: for good; there is no backup of what somebody wanted gone. */
export const runChatsDelete: Run<"chats delete"> = async (context, { ids = [], all, yes }) => {
  const store = conversationsOf(context);
  if ((ids.length === 0) === (all !== true)) {
    throw new ZephError("usage", { detail: "name conversations by their ids, or give --all" });
  }
  const chosen = await (all === true ? confirmAll(context, store, yes === true) : Promise.all(ids.map(store.find)));
  for (const { id } of chosen) await store.remove(id);
  const lines = chosen.length > 5 ? [`${chosen.length} conversations are deleted.`] : chosen.map(deletedLine);
  return writeResult(context, { data: { deleted: chosen.map(({ id }) => id) }, notice: `${lines.join("\n")}\n` });
};

function deletedLine({ id, title }: ConversationSummary): string {
  return `Deleted ${id}: ${title}`;
}

async function confirmAll(
  context: CliContext,
  store: ConversationStore,
  isYes: boolean,
): Promise<readonly ConversationSummary[]> {
  const all = await store.list();
  if (all.length === 0 || isYes) return all;
  if (!context.interactive)
    throw new ZephError("not_interactive", { hint: "Give --yes to delete all without a question." });
  if (await promptConfirm(context, `Delete all ${all.length} conversations for good?`)) return all;
  throw new ZephError("cancelled", { detail: "nothing was deleted" });
}

/** `zeph chats export ID`: as Markdown, or as plain data. */
export const runChatsExport: Run<"chats export"> = async (context, { id, format, output }) => {
  const kept = await conversationsOf(context).find(id);
  const isJson = (format ?? (/\.json$/i.test(output ?? "") ? "json" : "markdown")) === "json";
  const text = isJson ? `${JSON.stringify(toPlainData(kept), null, 2)}\n` : toMarkdown(kept);
  if (output === undefined) return writeResult(context, { data: toPlainData(kept), answer: text, exact: true });
  const path = resolve(context.cwd, output);
  await writeNew(path, text);
  return writeResult(context, { data: { id: kept.id, path }, notice: `Wrote ${path}\n` });
};

async function writeNew(path: string, text: string): Promise<void> {
  try {
    const file = await open(path, "wx", 0o600);
    try {
      await file.writeFile(text);
    } finally {
      await file.close();
    }
  } catch (error) {
    if (fileErrorCode(error) !== "EEXIST") throw unwritable(path, error);
    throw new ZephError("file_unwritable", {
      detail: `${path} exists and was left as it is`,
      hint: "Choose another name.",
    });
  }
}

/** Whether or not new ones are kept. */
function conversationsOf(context: CliContext): ConversationStore {
  const { clock, random } = context;
  return conversationStore({ folder: conversationsFolder(zephFolders(context).state), clock, random });
}

function toData({ createdAtMs, updatedAtMs, ...rest }: ConversationSummary | KeptConversation) {
  const { id, title, exchangeCount, providerName, modelId } = rest;
  const times = { createdAt: new Date(createdAtMs).toISOString(), updatedAt: new Date(updatedAtMs).toISOString() };
  return { id, title, ...times, exchangeCount, providerName, modelId };
}
