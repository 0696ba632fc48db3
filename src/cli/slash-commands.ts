import {
  type ChatModelListing,
  type ChatSession,
  type Support,
  supportsEffort,
  supportsThinkTokens,
  toReasoningEffort,
  withListing,
} from "../chat/session.ts";
import { REASONING_EFFORTS } from "../rules/parameters.ts";
import { matchModel, nearest } from "../wire/models.ts";
import {
  beginAnew,
  changeSystem,
  copyAnswer,
  loadConversation,
  type Repl,
  saveConversation,
  undoExchange,
} from "./kept-conversations.ts";
import {
  foldText,
  formatCount,
  formatUsd,
  priceColumns,
  renderTable,
  renderTotal,
  style,
  toTerminalLine,
} from "./terminal.ts";

/** `answered`: the screen already stands as after an answer. */
type AfterCommand = "stay" | "answered" | "leave";

interface SlashCommand {
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

/** Words of `/reasoning-effort`. */
const EFFORT_WORDS: readonly string[] = [...REASONING_EFFORTS, "auto"];

const MOST_TOKENS = 1_000_000;

const SLASH_COMMANDS: readonly SlashCommand[] = [
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
  const { runConfigMigrate } = await import("./commands/config.ts");
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

/** `/model`: a numbered list of what the endpoint offers now; `/model NAME` takes the one that is meant. */
async function changeModel(repl: Repl, argument: string): Promise<void> {
  repl.models = await repl.conversation.session.listModels(repl.signal);
  if (repl.models.length === 0) return repl.print("The endpoint lists no models now.\n");
  const typed = argument === "" ? await pickModel(repl) : argument;
  if (typed === undefined || typed === "") return;
  const chosen = /^\d+$/.test(typed) ? repl.models[Number(typed) - 1]?.id : undefined;
  const found =
    chosen === undefined
      ? findModel(
          typed,
          repl.models.map(({ id }) => id),
        )
      : undefined;
  if (chosen !== undefined) return useModel(repl, chosen);
  if (found?.type === "one") return useModel(repl, found.id);
  if (found?.type === "several") {
    return repl.print(`Several models fit: ${found.ids.map(toTerminalLine).join(", ")}. Type more of the name.\n`);
  }
  const nearest = found?.nearest.map(toTerminalLine).join(", ");
  repl.print(`No model is called ${toTerminalLine(typed)} here. Nearest: ${nearest}.\n`);
}

function useModel(repl: Repl, id: string): void {
  const { conversation, models } = repl;
  conversation.use(withListing(conversation.session.withModel(id), models));
  repl.print(`Now talking to ${toTerminalLine(id)}.\n`);
}

async function pickModel(repl: Repl): Promise<string | undefined> {
  const { session } = repl.conversation;
  const { color, stderr, stdout } = repl.context;
  const columns = (stderr.isTTY === true ? stderr : stdout).columns ?? 80;
  repl.print(renderModels(repl.models, session.modelId, { color, columns }));
  return (await repl.askUser("Number or name (Enter keeps the model): "))?.trim();
}

/** Where the window is narrow, the last columns are left out: a table that wraps cannot be read. */
function renderModels(
  models: readonly ChatModelListing[],
  current: string,
  { color, columns }: { readonly color: boolean; readonly columns: number },
): string {
  const { bold, dim, green } = style(color);
  const prices = priceColumns(models);
  const toRow = ({ id, contextLengthTokens, tools, ...model }: ChatModelListing, index: number) => [
    `${id === current ? green("●") : " "} ${index + 1}`,
    id === current ? bold(toTerminalLine(id)) : toTerminalLine(id),
    contextLengthTokens === undefined ? dim("?") : formatCount(contextLengthTokens),
    ...prices.cells(model),
    tools === undefined ? dim("?") : tools ? "yes" : "no",
  ];
  const rows = models.map(toRow);
  const table = [["", "model", "context", ...prices.heads, "tools"].map(dim), ...rows];
  let text = renderTable(table);
  for (let kept = 3 + prices.heads.length; kept >= 2 && foldText(text, columns) !== text; kept--) {
    text = renderTable(table.map((row) => row.slice(0, kept)));
  }
  return text;
}

/**
 * Looks, while the user types, whether the configured model is still offered, and what it costs and reads. Models come
 * and go within weeks. Gives back a warning when it is gone.
 */
export async function lookAtModel(repl: Repl): Promise<string | undefined> {
  const { session } = repl.conversation;
  try {
    const models = await session.listModels(repl.signal);
    // Another model was chosen meanwhile.
    if (repl.conversation.session !== session) return undefined;
    repl.models = models;
    const ids = models.map(({ id }) => id);
    if (ids.includes(session.modelId)) repl.conversation.use(withListing(session, models));
    if (ids.includes(session.modelId) || ids.length === 0) return undefined;
    const offered = nearest(session.modelId, ids, 3).map(toTerminalLine).join(", ");
    return `! ${session.providerName} no longer offers ${session.modelId}. Nearest: ${offered}. /model lists all.\n`;
  } catch {
    // Only a look ahead: whatever is wrong shows, with its name, at the first question.
    return undefined;
  }
}

/** What a typed name stands for in a list of models. */
type FoundModel =
  | { readonly type: "one"; readonly id: string }
  | { readonly type: "several"; readonly ids: readonly string[] }
  | { readonly type: "none"; readonly nearest: readonly string[] };

/** As {@link matchModel}, and also by any part of the id: `/model kimi` should be enough. */
function findModel(typed: string, ids: readonly string[]): FoundModel {
  const match = matchModel(typed, ids);
  if (match.kind !== "none") return { type: "one", id: match.id };
  const containing = ids.filter((id) => id.toLowerCase().includes(typed.toLowerCase()));
  const [first] = containing;
  if (first === undefined) return { type: "none", nearest: match.nearest };
  return containing.length === 1 ? { type: "one", id: first } : { type: "several", ids: containing };
}

/** `/provider`: the configured providers; `/provider NAME` goes on with that one and keeps the conversation. */
async function changeProvider(repl: Repl, argument: string): Promise<void> {
  const { dependencies, conversation } = repl;
  const providers = (await dependencies.listProviders?.()) ?? [];
  repl.providers = providers.map(({ name }) => name);
  const typed = argument === "" ? await pickProvider(repl, providers) : argument;
  if (typed === undefined || typed === "") return;
  const byNumber = /^\d+$/.test(typed) ? providers[Number(typed) - 1]?.name : undefined;
  const byName = repl.providers.find((name) => name.toLowerCase() === typed.toLowerCase());
  const session = await dependencies.openSession({ provider: byNumber ?? byName ?? typed });
  conversation.use(session);
  repl.models = [];
  // A convenience: the next run begins with it.
  await dependencies.rememberProvider?.(session.providerName).catch(() => {});
  repl.print(`Now talking to ${session.providerName} · ${toTerminalLine(session.modelId)}.\n`);
}

async function pickProvider(
  repl: Repl,
  providers: readonly { readonly name: string; readonly model?: string }[],
): Promise<string | undefined> {
  const current = repl.conversation.session.providerName;
  if (providers.length < 2) {
    repl.print(`Talking to ${current}. \`zeph providers\` lists others, \`zeph init\` adds one.\n`);
    return undefined;
  }
  const { dim, green, bold } = style(repl.context.color);
  const rows = providers.map(({ name, model }, index) => [
    `${name === current ? green("●") : " "} ${index + 1}`,
    name === current ? bold(name) : name,
    dim(toTerminalLine(model ?? "")),
  ]);
  repl.print(renderTable(rows));
  return (await repl.askUser("Number or name (Enter keeps the provider): "))?.trim();
}

/** `/reasoning-effort LEVEL`: how hard the model shall think; `auto` leaves it to config and model. */
function setReasoningEffort({ conversation, print }: Repl, argument: string): void {
  const { effort: before, ...rest } = conversation.thinking;
  const effort = toReasoningEffort(argument);
  if (argument !== "" && argument.toLowerCase() !== "auto" && effort === undefined) {
    print(`Say one of: ${EFFORT_WORDS.join(", ")}.\n`);
    return;
  }
  if (argument !== "") conversation.thinking = effort === undefined ? rest : { ...rest, effort };
  const { session } = conversation;
  const current = argument === "" ? before : effort;
  const others = argument === "" ? ` Others: ${EFFORT_WORDS.join(", ")}.` : "";
  const said =
    current === undefined ? describeConfigured(session) : `${current}. ${heed(session, supportsEffort(session))}`;
  print(`Thinking effort: ${said}${others}\n`);
}

function describeConfigured(session: ChatSession): string {
  const { reasoningEffort, modelId } = session;
  if (reasoningEffort === undefined) return "as the model likes.";
  const from = `${toTerminalLine(reasoningEffort)}, from the config`;
  if (toReasoningEffort(reasoningEffort) === undefined) return `${from}; not sent, as no model knows this word.`;
  return supportsEffort(session) === "yes"
    ? `${from}.`
    : `${from}; not sent, as the model list does not say that ${toTerminalLine(modelId)} takes it.`;
}

/** `/think-tokens NUMBER`: most tokens for thinking; 0 switches it off, `auto` leaves it to the model. */
function setThinkTokens({ conversation, print }: Repl, argument: string): void {
  const { tokens: before, ...rest } = conversation.thinking;
  const tokens = /^\d{1,7}$/.test(argument) && Number(argument) <= MOST_TOKENS ? Number(argument) : undefined;
  if (argument !== "" && argument.toLowerCase() !== "auto" && tokens === undefined) {
    print("Say a number of tokens; 0 switches thinking off, auto leaves it to the model.\n");
    return;
  }
  if (argument !== "") conversation.thinking = tokens === undefined ? rest : { ...rest, tokens };
  const { session } = conversation;
  const current = argument === "" ? before : tokens;
  if (current === undefined) print("Tokens for thinking: as many as the model likes.\n");
  else {
    const amount = current === 0 ? "none" : `at most ${current}`;
    print(`Tokens for thinking: ${amount}. ${heed(session, supportsThinkTokens(session))}\n`);
  }
}

function heed({ modelId }: ChatSession, support: Support): string {
  const model = toTerminalLine(modelId);
  if (support === "yes") return `${model} takes this.`;
  if (support === "no") return `${model} does not take this: it is not sent, and holds for other models.`;
  return `It is sent; the model list does not say whether ${model} heeds it.`;
}
