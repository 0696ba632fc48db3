import { open, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { CliContext, TerminalStream } from "../base/world.ts";
import { type Conversation, toTranscript } from "../chat/conversation.ts";
import type { ConversationKeeper, ConversationSummary, KeptConversation } from "../chat/conversations.ts";
import type { ChatModelListing } from "../chat/session.ts";
import { ZephError } from "../errors.ts";
import { findProgram, runProgram } from "../init/inferenced.ts";
import type { Budget } from "../journal/budget.ts";
import type { ReplDependencies } from "./commands/ask.ts";
import {
  cutToWidth,
  displayWidth,
  formatLocalTime,
  renderTable,
  style,
  toTerminalLine,
  toTerminalText,
} from "./terminal.ts";

/** What the commands of the chat can see and change. */
export interface Repl {
  readonly context: CliContext;
  readonly dependencies: ReplDependencies;
  readonly conversation: Conversation;
  readonly budget: Budget;
  /** Aborted when the user leaves. */
  readonly signal: AbortSignal;
  /** What the endpoint offered when it was last asked. */
  models: readonly ChatModelListing[];
  providers: readonly string[];
  /** Conversations as they were listed last. */
  kept: readonly ConversationSummary[];
  /** Keeps what is said. Absent: it is not kept. */
  keeper: ConversationKeeper | undefined;
  hideReasoning: boolean;
  /** What was sent last, for `/retry`; a question that was refused before it was sent is in no conversation. */
  lastMessage: string | undefined;
  /** Files this chat has written, which it may write again. */
  readonly savedFiles: Set<string>;
  /** Where `print` writes. */
  readonly screen: TerminalStream;
  /** Text for the user, apart from answers. */
  print(text: string): void;
  /** Asks one short question. `undefined`: the user leaves. */
  askUser(prompt: string): Promise<string | undefined>;
  /** Sends a message to the model and shows the answer. */
  send(message: string): Promise<void>;
  /** Asks the last question of the conversation again; the new answer takes the place of the old one. */
  sendAgain(): Promise<void>;
}

interface ConversationsView {
  readonly color: boolean;
  readonly columns: number;
  /** A number in front, to choose by. */
  readonly isNumbered?: boolean;
}

/** Titles narrower than this say nothing; the model and the number of answers make room first. */
const LEAST_TITLE = 16;

/** A table of conversations that fits into the window: titles are cut, and columns left out, before a line breaks. */
export function renderConversations(
  conversations: readonly ConversationSummary[],
  { color, columns, isNumbered = false }: ConversationsView,
): string {
  const { bold, dim } = style(color);
  const rows = conversations.map(({ id, title, updatedAtMs, exchangeCount, modelId }, index) => ({
    number: String(index + 1),
    id: bold(id),
    used: formatLocalTime(updatedAtMs),
    answers: String(exchangeCount),
    model: modelId.split("/").at(-1) ?? modelId,
    title,
  }));
  const first = isNumbered ? (["number", "id"] as const) : (["id"] as const);
  const layouts = [
    [...first, "used", "answers", "model"],
    [...first, "used", "answers"],
    [...first, "used"],
    first,
  ] as const;
  for (const layout of layouts) {
    const heads = layout.map((column) => dim(column === "number" ? "" : column));
    const cells = rows.map((row) => layout.map((column) => toTerminalLine(row[column])));
    const width = displayWidth(renderTable([heads, ...cells]));
    const room = columns - width - 2;
    if (room < LEAST_TITLE && layout !== first) continue;
    const titles = rows.map(({ title }) => cut(toTerminalLine(title), Math.max(room, 8)));
    return renderTable([[...heads, dim("title")], ...cells.map((row, index) => [...row, titles[index] ?? ""])]);
  }
  return "";
}

function cut(text: string, columns: number): string {
  return displayWidth(text) <= columns ? text : `${cutToWidth(text, columns - 1).trimEnd()}…`;
}

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

/** `/save [FILE]`: the conversation as Markdown. A file that was there before is not touched. */
export async function saveConversation(repl: Repl, argument: string): Promise<void> {
  const { context, conversation, savedFiles } = repl;
  const { system } = conversation;
  if (conversation.exchanges.length === 0) return repl.print("There is nothing to save yet.\n");
  const savedAtMs = context.clock.nowMs();
  const path = toPath(context, argument === "" ? defaultName(savedAtMs) : argument);
  const transcript = toTranscript(conversation.exchanges, { savedAtMs, system });
  try {
    if (savedFiles.has(path)) await writeFile(path, transcript, { mode: 0o600 });
    else await writeNew(path, transcript);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EEXIST") {
      return repl.print(`${path} exists and was left as it is. Choose another name.\n`);
    }
    throw new ZephError("file_unwritable", { detail: path, cause: error });
  }
  savedFiles.add(path);
  repl.print(`Saved to ${path}\n`);
}

/** Opened exclusively: a typing mistake must not replace somebody's file. Private, as conversations are. */
async function writeNew(path: string, text: string): Promise<void> {
  const file = await open(path, "wx", 0o600);
  try {
    await file.writeFile(text);
  } finally {
    await file.close();
  }
}

function toPath({ cwd, homeDir }: CliContext, name: string): string {
  return name === "~" || name.startsWith("~/") ? join(homeDir, name.slice(1)) : resolve(cwd, name);
}

function defaultName(nowMs: number): string {
  return `zeph-${new Date(nowMs).toISOString().slice(0, 19).replace(/[:T]/g, "-")}.md`;
}

/** `/copy`: the last answer; `/copy code`: the last block of code in it. */
export async function copyAnswer(repl: Repl, argument: string): Promise<void> {
  if (argument !== "" && argument !== "code") return repl.print("Say /copy for the answer, or /copy code.\n");
  const answer = repl.conversation.exchanges.findLast((exchange) => exchange.answer !== "")?.answer;
  if (answer === undefined) return repl.print("There is no answer to copy yet.\n");
  const text = argument === "code" ? lastCodeBlock(answer) : answer.trim();
  if (text === undefined) return repl.print("There is no block of code in the last answer.\n");
  const way = await copyToClipboard(repl.context, repl.screen, text);
  const what = argument === "code" ? "The code" : "The answer";
  const size = `${text.length} character${text.length === 1 ? "" : "s"}`;
  if (way === undefined) return repl.print(TOO_LONG);
  repl.print(
    way === "program"
      ? `${what} is in the clipboard (${size}).\n`
      : `${what} went to your terminal's clipboard (${size}).\n`,
  );
}

const TOO_LONG =
  "This is too long for the terminal's clipboard, and no clipboard program was found. /save writes a file.\n";

function lastCodeBlock(answer: string): string | undefined {
  const blocks = [...answer.matchAll(/^ {0,3}(`{3,}|~{3,})[^\n]*\n([\s\S]*?)^ {0,3}\1[ \t]*$/gm)];
  return blocks.at(-1)?.[2]?.replace(/\n$/, "");
}

/** What terminals take at most in one such sequence (xterm and its relatives: 100,000 signs). */
const MAX_OSC_CHARS = 100_000;
const PROGRAM_LIMIT_MS = 2_000;

/**
 * By the clipboard program of this computer, where there is one and the user sits at it; else, and within tmux too, by the
 * terminal itself (OSC 52), which also works over SSH. A terminal that does not know the sequence passes over it.
 */
async function copyToClipboard(
  context: CliContext,
  screen: TerminalStream,
  text: string,
): Promise<"program" | "terminal" | undefined> {
  const isCopied = await copyByProgram(context, text);
  const base64 = Buffer.from(text, "utf8").toString("base64");
  if (base64.length <= MAX_OSC_CHARS && context.env.TERM !== "dumb") {
    // Written as it is: it is ours, and `print` would make it harmless.
    screen.write(`\u001b]52;c;${base64}\u0007`);
    return isCopied ? "program" : "terminal";
  }
  return isCopied ? "program" : undefined;
}

async function copyByProgram(context: CliContext, text: string): Promise<boolean> {
  const { env, platform, clock, signal } = context;
  for (const [name, ...args] of programsFor(context)) {
    const file = await findProgram(name, { env, platform });
    if (file === undefined) continue;
    try {
      // Some stay behind and keep their outputs open: whoever waited for the end of these would wait for ever.
      const outputs = { stdout: "terminal", stderr: "terminal" } as const;
      const limits = { timeLimitMs: PROGRAM_LIMIT_MS, clock, signal };
      if ((await runProgram({ file, args, env, stdin: { text }, ...outputs, ...limits })).exitCode === 0) return true;
    } catch {
      // It could not be started; the next one, or the terminal, may do better.
    }
  }
  return false;
}

type Program = readonly [name: string, ...args: string[]];

/** A program on the far side of an SSH connection would fill the clipboard of a computer nobody looks at. */
function programsFor({ env, platform }: Pick<CliContext, "env" | "platform">): readonly Program[] {
  const has = (name: string) => (env[name] ?? "") !== "";
  const tmux: readonly Program[] = has("TMUX") ? [["tmux", "load-buffer", "-w", "-"]] : [];
  if (has("SSH_CONNECTION") || has("SSH_TTY")) return tmux;
  if (platform === "darwin") return [["pbcopy"]];
  if (platform === "win32") return [["clip"]];
  return [
    ...(has("WAYLAND_DISPLAY") ? [["wl-copy"] as const] : []),
    ...(has("DISPLAY")
      ? ([
          ["xsel", "--clipboard", "--input"],
          ["xclip", "-selection", "clipboard"],
        ] as const)
      : []),
    ...(has("WSL_DISTRO_NAME") ? [["clip.exe"] as const] : []),
    ...(has("TERMUX_VERSION") ? [["termux-clipboard-set"] as const] : []),
    ...tmux,
  ];
}
