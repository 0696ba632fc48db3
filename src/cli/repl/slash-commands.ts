import { nearest } from "../../protocol/match-model.ts";
import { style } from "../render/style.ts";
import { renderTable } from "../render/table.ts";
import { formatUsd, renderTotal } from "../render/usage-line.ts";
import { changeModel } from "./change-model.ts";
import { changeProvider } from "./change-provider.ts";
import { copyAnswer } from "./clipboard.ts";
import { beginAnew, changeSystem, loadConversation, undoExchange } from "./kept-conversations.ts";
import type { Repl } from "./repl.ts";
import { saveConversation } from "./save-conversation.ts";
import { EFFORT_WORDS, setReasoningEffort, setThinkTokens } from "./set-thinking.ts";

/** `answered`: the screen already stands as after an answer. */
export type AfterCommand = "stay" | "answered" | "leave";

export interface SlashCommand {
  readonly name: string;
  /** What may follow the name. */
  readonly takes: string;
  readonly help: string;
  /** Other names for it, which the help does not list. */
  readonly aliases?: readonly string[];
  run(repl: Repl, argument: string): Promise<AfterCommand>;
}

function command(
  name: string,
  takes: string,
  help: string,
  work: (repl: Repl, argument: string) => Promise<void> | void,
): SlashCommand {
  return {
    name,
    takes,
    help,
    run: async (repl, argument) => {
      await work(repl, argument);
      return "stay";
    },
  };
}

export const SLASH_COMMANDS: readonly SlashCommand[] = [
  command("model", "[NAME]", "choose another model, from the live list or by a part of its name", changeModel),
  command("provider", "[NAME]", "choose another provider", changeProvider),
  { ...command("clear", "", "begin a new conversation", beginAnew), aliases: ["new"] },
  command("load", "[ID]", "go on with an earlier conversation, from the list or by its id", loadConversation),
  command("undo", "", "take the last question and its answer back", undoExchange),
  command("copy", "[code]", "copy the last answer, or the code in it, to the clipboard", copyAnswer),
  command("system", "[TEXT|off]", "show, change or take away the instruction to the model", changeSystem),
  command("usage", "", "tokens and cost so far", showUsage),
  command("save", "[FILE]", "write the conversation to a Markdown file", saveConversation),
  command("reasoning", "[on|off]", "show or hide what the model thinks", switchReasoning),
  command("reasoning-effort", "[LEVEL]", "how hard the model thinks: none, low, high … auto", setReasoningEffort),
  command("think-tokens", "[NUMBER]", "most tokens for thinking; 0 is off, auto is the model's choice", setThinkTokens),
  { name: "retry", takes: "", help: "ask the last question again; the new answer replaces the old one", run: retry },
  command("migrate-config", "", "show what today's form would change in your config file", showMigration),
  command("help", "", "this list", showHelp),
  {
    name: "quit",
    takes: "",
    help: "leave; Ctrl-D does the same",
    aliases: ["exit", "q"],
    run: async () => "leave",
  },
];

/** Runs a line that begins with `/`. A line that only looks so (`/etc/hosts …`) is no command: `undefined`. */
export async function runSlashCommand(repl: Repl, line: string): Promise<AfterCommand | undefined> {
  const [, name, argument = ""] = /^\/([a-z?][a-z-]*)(?:\s+(.*))?$/is.exec(line.trimEnd()) ?? [];
  if (name === undefined) return undefined;
  const wanted = name === "?" ? "help" : name.toLowerCase();
  const found = SLASH_COMMANDS.find((each) => each.name === wanted || each.aliases?.includes(wanted) === true);
  if (found !== undefined) return await found.run(repl, argument.trim());
  const [guess = "help"] = nearest(
    wanted,
    SLASH_COMMANDS.map((each) => each.name),
    1,
  );
  repl.print(
    `There is no /${name}. Did you mean /${guess}? /help lists all. Begin with a blank to send it as it is.\n`,
  );
  return "stay";
}

/** Completions for the line editor: commands, then models and providers. */
export function completeSlashCommand(repl: Repl, line: string): readonly [string[], string] {
  const [, name, part] = /^\/([a-z-]+)\s+(.*)$/i.exec(line) ?? [];
  if (name === undefined || part === undefined) {
    if (!line.startsWith("/")) return [[], line];
    const names = SLASH_COMMANDS.map((each) => `/${each.name}${each.takes === "" ? "" : " "}`);
    return [names.filter((each) => each.startsWith(line.toLowerCase())), line];
  }
  const words = wordsFor(repl, name.toLowerCase());
  return [words.filter((word) => word.toLowerCase().includes(part.toLowerCase())), part];
}

function wordsFor(repl: Repl, name: string): readonly string[] {
  if (name === "model") return repl.models.map(({ id }) => id);
  if (name === "provider") return repl.providers;
  if (name === "load") return repl.kept.map(({ id }) => id);
  if (name === "copy") return ["code"];
  return name === "reasoning-effort" ? EFFORT_WORDS : [];
}

async function showMigration({ context }: Repl): Promise<void> {
  const { runConfigMigrate } = await import("../commands/config-migrate.ts");
  await runConfigMigrate(context, { diff: true });
}

async function showUsage(repl: Repl): Promise<void> {
  const lines = [renderTotal(repl.conversation.total)];
  const { maxDailyCents = 0 } = repl.dependencies;
  const today = await repl.budget.spentTodayUsd();
  if (maxDailyCents > 0) lines.push(`today ${formatUsd(today)} of ${formatUsd(maxDailyCents / 100)}`);
  else if (today > 0) lines.push(`today ${formatUsd(today)}`);
  repl.print(`${lines.join(" · ")}\n`);
}

function switchReasoning(repl: Repl, argument: string): void {
  if (argument !== "on" && argument !== "off" && argument !== "") {
    repl.print("Say /reasoning on or /reasoning off.\n");
    return;
  }
  repl.hideReasoning = argument === "" ? !repl.hideReasoning : argument === "off";
  repl.print(`Thoughts of the model are ${repl.hideReasoning ? "hidden" : "shown"}.\n`);
}

async function retry(repl: Repl): Promise<AfterCommand> {
  if (repl.lastMessage === undefined) {
    repl.print("Nothing was asked yet.\n");
    return "stay";
  }
  if (repl.conversation.exchanges.at(-1)?.question === repl.lastMessage) await repl.sendAgain();
  else await repl.send(repl.lastMessage);
  return "answered";
}

function showHelp(repl: Repl): void {
  const { cyan, dim } = style(repl.context.color);
  const commands = SLASH_COMMANDS.map(({ name, takes, help }) => [cyan(`/${name} ${takes}`.trim()), help]);
  const keys = [
    ["\\ at the end of a line", "the next line belongs to the message"],
    ['"""', "begins and ends a message of several lines"],
    ["Ctrl-C", "stops an answer, or clears the line; twice leaves"],
    ["Up, Tab", "earlier messages; completes commands and models"],
  ].map(([key = "", help = ""]) => [dim(key), help]);
  repl.print(renderTable([...commands, ["", ""], ...keys]));
}
