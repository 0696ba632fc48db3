import type { KeptConversation } from "../../chat/conversations.ts";
import { ZephError } from "../../errors/zeph-error.ts";
import { renderConversations } from "../render/conversations.ts";
import { style } from "../render/style.ts";
import { toTerminalLine, toTerminalText } from "../render/terminal-text.ts";
import { formatLocalTime } from "../render/usage-line.ts";
import type { Repl } from "./repl.ts";

/** After each answer. A disk that cannot be written must not end a chat; it is said once. */
export async function keepConversation(repl: Repl): Promise<void> {
  try {
    await repl.keeper?.save(repl.conversation);
  } catch (error) {
    repl.keeper = undefined;
    const words = ZephError.is(error) ? error.message : String(error);
    repl.print(`! This conversation is not kept from here on: ${words}\n`);
  }
}

/** `/clear`: what was said is out of the prompt. Where conversations are kept, the old one stays among them. */
export function beginAnew(repl: Repl): void {
  const { conversation, dependencies, keeper } = repl;
  const id = keeper?.id;
  conversation.clear();
  repl.lastMessage = undefined;
  repl.keeper = dependencies.conversations?.keeper();
  repl.print(
    id === undefined
      ? "The conversation is forgotten.\n"
      : `A new conversation. /load ${id} brings the old one back.\n`,
  );
}

/** `/undo`: the last question and its answer, as if they had not been. */
export async function undoExchange(repl: Repl): Promise<void> {
  const { conversation } = repl;
  const undone = conversation.undo();
  if (undone === undefined) return repl.print("There is nothing to take back.\n");
  repl.lastMessage = conversation.exchanges.at(-1)?.question;
  await keepConversation(repl);
  repl.print(`Taken back: ${beginningOf(undone.question)}\n`);
}

/** `/system`: shows, changes or takes away the instruction to the model. It holds from the next question on. */
export async function changeSystem(repl: Repl, argument: string): Promise<void> {
  const { conversation } = repl;
  if (argument === "") {
    const { system } = conversation;
    return repl.print(
      system === undefined ? "There is no instruction. /system TEXT gives one.\n" : `${system.trim()}\n`,
    );
  }
  conversation.system = argument.toLowerCase() === "off" ? undefined : argument;
  if (conversation.exchanges.length > 0) await keepConversation(repl);
  repl.print(
    conversation.system === undefined ? "No instruction from here on.\n" : "The instruction holds from here on.\n",
  );
}

const MOST_LISTED = 15;

/** `/load`: a numbered list of what was kept; `/load ID` goes on with that one. The present one stays kept. */
export async function loadConversation(repl: Repl, argument: string): Promise<void> {
  const { dependencies, context, print } = repl;
  const store = dependencies.conversations;
  if (store === undefined)
    return print("Conversations are not kept; see [session] keep_conversations in your config.\n");
  const listed = (await store.list()).filter(({ id }) => id !== repl.keeper?.id).slice(0, MOST_LISTED);
  repl.kept = listed;
  if (listed.length === 0) return print("No other conversation is kept yet.\n");
  let wanted = argument;
  if (wanted === "") {
    const { stderr, stdout } = context;
    const columns = (stderr.isTTY === true ? stderr : stdout).columns ?? 80;
    print(renderConversations(listed, { color: context.color, columns, isNumbered: true }));
    wanted = (await repl.askUser("Number or id (Enter stays here): "))?.trim() ?? "";
  }
  if (wanted === "") return;
  const kept = await store.find((/^\d{1,2}$/.test(wanted) ? listed[Number(wanted) - 1]?.id : undefined) ?? wanted);
  await goOnWith(repl, kept);
}

async function goOnWith(repl: Repl, kept: KeptConversation): Promise<void> {
  const { conversation, dependencies, context, print } = repl;
  const { session } = conversation;
  if (kept.providerName !== session.providerName) {
    try {
      const { providerName: provider, modelId: model } = kept;
      conversation.use(await dependencies.openSession({ provider, model }));
    } catch (error) {
      if (!ZephError.is(error)) throw error;
      print(
        `! ${kept.providerName} cannot be asked now (${error.summary}); ${session.providerName} goes on with it.\n`,
      );
    }
  } else if (kept.modelId !== session.modelId) conversation.use(session.withModel(kept.modelId));
  conversation.restore(kept.exchanges);
  conversation.system = kept.system;
  repl.keeper = dependencies.conversations?.keeper(kept);
  repl.lastMessage = kept.exchanges.at(-1)?.question;
  print(renderRecap(kept, context.color));
}

const MOST_LINES = 12;

/** Where the conversation stood: its name, and the last question with the end of its answer. */
export function renderRecap(kept: KeptConversation, color: boolean): string {
  const { bold, cyan, dim } = style(color);
  const { title, exchangeCount, updatedAtMs, exchanges, droppedCount } = kept;
  const facts = [
    `${exchangeCount} answer${exchangeCount === 1 ? "" : "s"}`,
    formatLocalTime(updatedAtMs),
    ...(droppedCount === 0 ? [] : [`the first ${droppedCount} are gone`]),
  ];
  const last = exchanges.at(-1);
  const head = `Going on with ${bold(toTerminalLine(title))} ${dim(`· ${facts.join(" · ")}`)}\n`;
  if (last === undefined) return head;
  const lines = toTerminalText(last.answer).trim().split("\n");
  const shown = lines.length > MOST_LINES ? ["…", ...lines.slice(-MOST_LINES)] : lines;
  return `${head}\n${cyan("›")} ${beginningOf(last.question)}\n${dim(shown.join("\n"))}\n`;
}

const MOST_CHARS = 200;

function beginningOf(question: string): string {
  const line = toTerminalLine(question.trim());
  return line.length > MOST_CHARS ? `${line.slice(0, MOST_CHARS - 1)}…` : line;
}
