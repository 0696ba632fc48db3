import { join } from "node:path";
import { type Conversation, startConversation } from "../../chat/conversation.ts";
import { type LineHistory, openLineHistory } from "../../chat/history.ts";
import { stateFile } from "../../chat/state-file.ts";
import { EXIT } from "../../errors/catalogue.ts";
import { ZephError } from "../../errors/zeph-error.ts";
import { nearest } from "../../protocol/match-model.ts";
import { type AskFlags, conversationSettings, dailyBudget, sessionChoice } from "../commands/ask.ts";
import type { CliContext } from "../context.ts";
import { showAnswer } from "../render/answer-view.ts";
import { renderError } from "../render/error.ts";
import { style } from "../render/style.ts";
import { toTerminalText } from "../render/terminal-text.ts";
import { formatCount, renderTotal } from "../render/usage-line.ts";
import { withListing } from "./change-model.ts";
import { openLineInput } from "./line-input.ts";
import type { Repl } from "./repl.ts";
import type { ReplDependencies } from "./repl-dependencies.ts";
import { completeSlashCommand, runSlashCommand } from "./slash-commands.ts";

/** The interactive chat. Returns when the user leaves: 0, or 130 when that was Ctrl-C. */
export async function runRepl(context: CliContext, flags: AskFlags, dependencies: ReplDependencies): Promise<number> {
  const settings = conversationSettings(flags);
  const session = await dependencies.openSession(sessionChoice(flags));
  const budget = dailyBudget(context, dependencies);
  const conversation = startConversation({ session, clock: context.clock, budget, ...settings });
  const history = openLineHistory({ file: stateFile(join(dependencies.stateFolder, "chat-history.jsonl")) });
  const screen = context.stderr.isTTY === true ? context.stderr : context.stdout;
  const { bold, cyan, dim, yellow } = style(context.color);

  const leaving = new AbortController();
  let answering: AbortController | undefined;
  let leaveOnInterrupt = false;
  let leftByInterrupt = false;
  let lateNotices: string[] = [];

  const input = openLineInput({
    keyboard: context.stdin,
    screen,
    history: await history.load(),
    complete: (line) => completeSlashCommand(repl, line),
    onInterrupt() {
      if (answering !== undefined && !answering.signal.aborted) {
        leaveOnInterrupt = true;
        answering.abort();
      } else if (leaveOnInterrupt) leave("interrupt");
      else {
        leaveOnInterrupt = true;
        input.printAbove(dim("Ctrl-C again, or Ctrl-D, leaves.\n"));
      }
    },
    onClose: () => leave("end"),
  });

  function leave(by: "interrupt" | "end"): void {
    if (leaving.signal.aborted) return;
    leftByInterrupt = by === "interrupt";
    leaving.abort();
    answering?.abort();
    input.close();
  }
  const onSignal = () => leave("interrupt");
  context.signal.addEventListener("abort", onSignal, { once: true });
  if (context.signal.aborted) onSignal();

  async function send(message: string): Promise<void> {
    repl.lastMessage = message;
    answering = new AbortController();
    if (leaving.signal.aborted) answering.abort();
    screen.write("\n");
    try {
      const events = conversation.ask(message, answering.signal);
      const outcome = await showAnswer(events, {
        context,
        session: conversation.session,
        hideReasoning: repl.hideReasoning,
      });
      if (outcome.type === "failed") screen.write(renderError(outcome.error, context));
      if (outcome.type === "cancelled") screen.write(dim(stopWords(outcome.partialText)));
      screen.write("\n");
    } finally {
      answering = undefined;
      for (const notice of lateNotices) screen.write(notice);
      lateNotices = [];
    }
  }

  const repl: Repl = {
    context,
    dependencies,
    conversation,
    budget,
    system: flags.system,
    signal: leaving.signal,
    models: [],
    providers: [],
    hideReasoning: flags.hideReasoning === true,
    lastMessage: undefined,
    savedFiles: new Set(),
    print: (text) => screen.write(text),
    askUser: (prompt) => input.readLine(prompt),
    send,
  };

  screen.write(renderBanner(conversation, context.color));
  void lookAtModel(repl, (text) => {
    if (answering === undefined) input.printAbove(yellow(text));
    else lateNotices.push(yellow(text));
  });

  const prompt = bold(cyan("› "));
  for (;;) {
    const message = await input.readMessage(prompt, dim("… "));
    if (message === undefined) break;
    if (message.trim() === "") continue;
    leaveOnInterrupt = false;
    const next = await handle(repl, history, message);
    if (next === "leave") break;
  }
  leave("end");
  context.signal.removeEventListener("abort", onSignal);
  const { total } = conversation;
  screen.write(total.answers === 0 ? "\n" : `\n${dim(renderTotal(total))}\n`);
  return leftByInterrupt ? EXIT.interrupted : EXIT.ok;
}

async function handle(repl: Repl, history: LineHistory, message: string): Promise<"stay" | "leave"> {
  await history.add(message);
  try {
    const next = await runSlashCommand(repl, message);
    if (next !== undefined) return next;
    await repl.send(message.trim());
  } catch (error) {
    // A command that failed is no reason to lose the conversation.
    if (repl.signal.aborted) return "leave";
    const named = ZephError.is(error) ? error : repl.conversation.session.toZephError(error);
    repl.print(renderError(named, repl.context));
  }
  return "stay";
}

function stopWords(partialText: string): string {
  return partialText === "" ? "Stopped.\n" : "Stopped. The text so far stays in the conversation.\n";
}

function renderBanner({ session }: Conversation, color: boolean): string {
  const { bold, dim } = style(color);
  const reads =
    session.contextLengthTokens === undefined ? "" : ` · reads ${formatCount(session.contextLengthTokens)} tokens`;
  const names = `${session.providerName} · ${toTerminalText(session.modelId)}`;
  return `${bold("zeph")}  ${names}${dim(reads)}\n${dim("/help lists the commands, Ctrl-C stops an answer, Ctrl-D leaves")}\n\n`;
}

/** Looks, while the user types, whether the configured model is still offered, and what it costs and reads. */
async function lookAtModel(repl: Repl, warn: (text: string) => void): Promise<void> {
  const { session } = repl.conversation;
  try {
    const models = await session.listModels(repl.signal);
    repl.models = models;
    const ids = models.map(({ id }) => id);
    // Another model was chosen meanwhile.
    if (repl.conversation.session !== session) return;
    if (ids.includes(session.modelId)) repl.conversation.use(withListing(session, models));
    else if (ids.length > 0) {
      const offered = nearest(session.modelId, ids, 3).map(toTerminalText).join(", ");
      warn(`! ${session.providerName} no longer offers ${session.modelId}. Nearest: ${offered}. /model lists all.\n`);
    }
  } catch {
    // Only a look ahead: whatever is wrong shows, with its name, at the first question.
  }
}
