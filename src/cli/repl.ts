import { join } from "node:path";
import { stateFile } from "../base/lock.ts";
import type { CliContext } from "../base/world.ts";
import { type Conversation, startConversation } from "../chat/conversation.ts";
import { type LineHistory, openLineHistory } from "../chat/conversations.ts";
import type { ConversationEvent } from "../chat/session.ts";
import { EXIT, ZephError } from "../errors.ts";
import { showAnswer } from "./answer.ts";
import { type AskFlags, conversationSettings, dailyBudget, openChat, type ReplDependencies } from "./commands/ask.ts";
import { keepConversation, type Repl, renderRecap } from "./kept-conversations.ts";
import { type LineInput, openLineInput } from "./line-editor.ts";
import { completeSlashCommand, lookAtModel, runSlashCommand } from "./slash-commands.ts";
import {
  foldFor,
  formatCount,
  renderError,
  renderTotal,
  show,
  style,
  toTerminalLine,
  toTerminalPage,
} from "./terminal.ts";

/** The interactive chat. Returns when the user leaves: 0, or 130 when that was by Ctrl-C. */
export async function runRepl(context: CliContext, flags: AskFlags, dependencies: ReplDependencies): Promise<number> {
  const settings = conversationSettings(flags);
  const { session, kept } = await openChat(context, flags, dependencies);
  const budget = dailyBudget(context, dependencies, "zeph chat");
  const conversation = startConversation({
    session,
    clock: context.clock,
    budget,
    ...settings,
  });
  if (kept !== undefined) {
    conversation.restore(kept.exchanges);
    conversation.system = flags.system ?? kept.system;
  }
  const history = openLineHistory({ file: stateFile(join(dependencies.stateFolder, "chat-history.jsonl")) });
  const recall = await history.load();
  const screen = context.stderr.isTTY === true ? context.stderr : context.stdout;
  const print = (text: string) => show(screen, foldFor(screen, text));
  const { dim } = style(context.color);

  const leaving = new AbortController();
  let exitCode: number = EXIT.ok;
  const leave = (code: number) => {
    if (leaving.signal.aborted) return;
    exitCode = code;
    leaving.abort();
    input.close();
  };
  const interrupts = watchInterrupts({
    warn: () => input.printAbove(dim("Ctrl-C again, or Ctrl-D, leaves.\n")),
    leave: () => leave(EXIT.interrupted),
    leaving: leaving.signal,
  });
  print(renderBanner(conversation, context.color));
  if (kept !== undefined) print(`${renderRecap(kept, context.color)}\n`);
  const input = openLineInput({
    keyboard: context.stdin,
    screen,
    history: recall,
    complete: (line) => completeSlashCommand(repl, line),
    onInterrupt: interrupts.press,
    onClose: () => leave(EXIT.ok),
  });
  const onSignal = () => leave(EXIT.interrupted);
  if (context.signal.aborted) onSignal();
  else context.signal.addEventListener("abort", onSignal, { once: true });

  const repl: Repl = {
    context,
    dependencies,
    conversation,
    budget,
    signal: leaving.signal,
    models: [],
    providers: [],
    kept: [],
    keeper: dependencies.conversations?.keeper(kept),
    hideReasoning: flags.hideReasoning === true,
    lastMessage: kept?.exchanges.at(-1)?.question,
    savedFiles: new Set(),
    screen,
    print,
    askUser: (prompt) => input.readLine(prompt),
    send: (message) => {
      repl.lastMessage = message;
      return answer(repl, interrupts, (signal) => conversation.ask(message, signal));
    },
    sendAgain: () => answer(repl, interrupts, (signal) => conversation.askAgain(signal)),
  };
  try {
    await talk(repl, { input, interrupts, history });
  } finally {
    // Also after a failure the terminal must be given back as it was.
    leave(EXIT.ok);
    context.signal.removeEventListener("abort", onSignal);
  }
  const { total } = conversation;
  print(total.answers === 0 ? "\n" : `\n${dim(renderTotal(total))}\n`);
  return exitCode;
}

/** Message after message, until the user leaves. */
async function talk(
  repl: Repl,
  { input, interrupts, history }: { input: LineInput; interrupts: Interrupts; history: LineHistory },
): Promise<void> {
  const { bold, cyan, dim, yellow } = style(repl.context.color);
  let lateWarning = "";
  const look = lookAtModel(repl).then((warning) => {
    if (warning === undefined || repl.signal.aborted) return;
    if (interrupts.isAnswering) lateWarning = yellow(warning);
    else input.printAbove(yellow(warning));
  });
  // Both are for later; nobody waits for them, least of all a user who leaves.
  void look.catch(() => {});
  for (;;) {
    const message = await input.readMessage(toTerminalPage(bold(cyan("› "))), toTerminalPage(dim("… ")));
    if (message === undefined) break;
    if (message.trim() === "") continue;
    interrupts.reset();
    await history.add(message);
    if ((await handle(repl, message)) === "leave") break;
    repl.print(lateWarning);
    lateWarning = "";
  }
}

async function handle(repl: Repl, message: string): Promise<"stay" | "leave"> {
  try {
    const next = await runSlashCommand(repl, message);
    if (next === undefined) await repl.send(message.trim());
    else if (next === "leave") return next;
    else if (next === "stay") repl.print("\n");
  } catch (error) {
    if (repl.signal.aborted) return "leave";
    // A command that failed is no reason to lose the conversation.
    const named = ZephError.is(error) ? error : repl.conversation.session.toZephError(error);
    repl.print(`${renderError(named, repl.context)}\n`);
  }
  return "stay";
}

async function answer(
  repl: Repl,
  interrupts: Interrupts,
  ask: (signal: AbortSignal) => AsyncIterable<ConversationEvent>,
): Promise<void> {
  const { context, conversation, hideReasoning, print } = repl;
  const { dim } = style(context.color);
  print("\n");
  try {
    const events = ask(interrupts.startAnswer());
    const outcome = await showAnswer(events, { context, session: conversation.session, hideReasoning });
    await keepConversation(repl);
    if (outcome.type === "failed") print(renderError(outcome.error, context));
    const isKept = outcome.type !== "finished" && conversation.exchanges.at(-1)?.state === "finished";
    if (outcome.type === "cancelled") print(dim(isKept ? EARLIER_STAYS : stopWords(outcome.partialText)));
    print("\n");
  } finally {
    interrupts.endAnswer();
  }
}

const EARLIER_STAYS = "Stopped. The earlier answer stays in the conversation.\n";

function stopWords(partialText: string): string {
  return partialText === "" ? "Stopped.\n" : "Stopped. The text so far stays in the conversation.\n";
}

function renderBanner({ session }: Conversation, color: boolean): string {
  const { bold, dim } = style(color);
  const reads =
    session.contextLengthTokens === undefined ? "" : ` · reads ${formatCount(session.contextLengthTokens)} tokens`;
  const names = `${session.providerName} · ${toTerminalLine(session.modelId)}`;
  const help = "/help lists the commands, Ctrl-C stops an answer, Ctrl-D leaves";
  return `${bold("zeph")}  ${names}${dim(reads)}\n${dim(help)}\n\n`;
}

/** What Ctrl-C means at each moment. */
interface Interrupts {
  /** Ctrl-C was pressed. */
  press(): void;
  /** An answer begins; the signal ends it. */
  startAnswer(): AbortSignal;
  endAnswer(): void;
  /** The user goes on: the next Ctrl-C is a first one again. */
  reset(): void;
  readonly isAnswering: boolean;
}

interface InterruptsOptions {
  /** Tells that the next Ctrl-C leaves. */
  readonly warn: () => void;
  readonly leave: () => void;
  /** Aborted when the user leaves in another way; ends the answer too. */
  readonly leaving: AbortSignal;
}

/** The first Ctrl-C stops the answer, or warns at an empty prompt; the one after it leaves. */
export function watchInterrupts({ warn, leave, leaving }: InterruptsOptions): Interrupts {
  let answer: AbortController | undefined;
  let leavesNext = false;
  leaving.addEventListener("abort", () => answer?.abort(), { once: true });
  return {
    press() {
      if (leavesNext) leave();
      else if (answer === undefined) warn();
      else answer.abort();
      leavesNext = true;
    },
    startAnswer() {
      answer = new AbortController();
      if (leaving.aborted) answer.abort();
      return answer.signal;
    },
    endAnswer() {
      answer = undefined;
    },
    reset() {
      leavesNext = false;
    },
    get isAnswering() {
      return answer !== undefined;
    },
  };
}
