import { type Command, Option } from "commander";
import type { AskFlags } from "../commands/ask.ts";
import type {
  ChatsDeleteFlags,
  ChatsExportFlags,
  ChatsIdFlags,
  ChatsListFlags,
  ChatsRenameFlags,
} from "../commands/chats.ts";
import type { ModelsFlags } from "../commands/models.ts";
import type { ProvidersFlags } from "../commands/providers.ts";
import type { UsageFlags } from "../commands/usage.ts";
import type { Binding } from "./bind.ts";

export function addChatCommands(program: Command, { bind }: Binding): void {
  bind<AskFlags>(
    withChatOptions(program.command("chat").description("talk in the terminal; with words, as ask does")),
    ["prompt"],
    async (context, flags) => {
      const [{ isConversation, runChat, setUpFirst }, { chatDependencies }] = await Promise.all([
        import("../commands/chat.ts"),
        import("../chat-dependencies.ts"),
      ]);
      const ended = await setUpFirst(context, flags);
      if (ended !== undefined) return ended;
      const kind = isConversation(context, flags) ? "conversation" : "question";
      return runChat(context, flags, await chatDependencies(context, flags, kind));
    },
  );
  bind<AskFlags>(
    withChatOptions(program.command("ask").description("one question, one answer; only the answer on standard output")),
    ["prompt"],
    async (context, flags) => {
      const [{ runAsk }, { chatDependencies }] = await Promise.all([
        import("../commands/ask.ts"),
        import("../chat-dependencies.ts"),
      ]);
      return runAsk(context, flags, await chatDependencies(context, flags, "question"));
    },
  );
  bind(
    program.command("templates").description("list the templates that `zeph ask -t` takes"),
    [],
    async (context, flags: Record<string, unknown>) =>
      (await import("../commands/templates.ts")).runTemplates(context, flags),
  );
  addChatsCommands(program, { bind });
  bind<UsageFlags>(
    program
      .command("usage")
      .description("tokens and cost by day, provider and model, from this computer's own ledger")
      .option("--days <number>", "how many days, today included; default 30")
      .option("--csv", "a line for each day, provider and model, for a spreadsheet"),
    [],
    async (context, flags) => (await import("../commands/usage.ts")).runUsage(context, flags),
  );
  bind<ModelsFlags>(
    program
      .command("models")
      .description("list what the provider offers now, with context length and prices")
      .option("--provider <name>", "a configured provider; default the default one"),
    [],
    async (context, flags) => (await import("../commands/models.ts")).runModels(context, flags),
  );
  bind<ProvidersFlags>(
    program
      .command("providers")
      .description("list the configured providers")
      .option("--brokers", "list the brokers zeph knows, with their sign-up pages"),
    [],
    async (context, flags) => (await import("../commands/providers.ts")).runProviders(context, flags),
  );
}

function addChatsCommands(program: Command, { bind }: Pick<Binding, "bind">): void {
  const chats = program
    .command("chats")
    .description("look at, rename, delete and export the conversations that were kept");
  const ID = "its id, the beginning of one, a part of the title, or last";
  bind<ChatsListFlags>(
    chats
      .command("list", { isDefault: true })
      .description("list them, newest first; with words, those that hold all of them")
      .argument("[words...]", "words to look for")
      .option("--limit <number>", "most that are shown; default 30"),
    ["words"],
    async (context, flags) => (await import("../commands/chats.ts")).runChatsList(context, flags),
  );
  bind<ChatsIdFlags>(
    chats.command("show").description("show the whole conversation").argument("<id>", ID),
    ["id"],
    async (context, flags) => (await import("../commands/chats.ts")).runChatsShow(context, flags),
  );
  bind<ChatsRenameFlags>(
    chats
      .command("rename")
      .description("give it another title")
      .argument("<id>", ID)
      .argument("<title...>", "the title"),
    ["id", "title"],
    async (context, flags) => (await import("../commands/chats.ts")).runChatsRename(context, flags),
  );
  bind<ChatsDeleteFlags>(
    chats
      .command("delete")
      .alias("rm")
      .description("delete conversations for good; there is no backup")
      .argument("[ids...]", ID)
      .option("--all", "all of them")
      .option("-y, --yes", "do not ask"),
    ["ids"],
    async (context, flags) => (await import("../commands/chats.ts")).runChatsDelete(context, flags),
  );
  bind<ChatsExportFlags>(
    chats
      .command("export")
      .description("write it as Markdown or JSON")
      .argument("<id>", ID)
      .addOption(new Option("--format <format>", "default what the file's ending says").choices(["markdown", "json"]))
      .option("-o, --output <file>", "a new file; default standard output"),
    ["id"],
    async (context, flags) => (await import("../commands/chats.ts")).runChatsExport(context, flags),
  );
}

function collect(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value];
}

function withChatOptions(command: Command): Command {
  return command
    .argument("[prompt...]", "the question; joined with what comes on standard input")
    .option("-m, --model <id>", "model to use; `zeph models` lists them")
    .option("-p, --provider <name>", "configured provider to use")
    .option("-s, --system <text>", "instruction to the model")
    .option("-f, --file <path>", "a text that goes with the question (repeatable)", collect)
    .option("-a, --attach <file>", "an image that goes with it, for models that take them (repeatable)", collect)
    .option("-t, --template <name>", "put the question into a template; `zeph templates` lists them")
    .option("-c, --continue", "go on with the conversation that was kept last")
    .option("--load <id>", "go on with another one; `zeph chats` lists them")
    .option("--private", "do not keep this conversation")
    .option("--max-tokens <number>", "longest answer")
    .option("--temperature <number>", "0 to 2")
    .option("--top-p <number>", "0 to 1; look only at the most likely words")
    .option("--frequency-penalty <number>", "-2 to 2; above 0 repeats less")
    .option("--presence-penalty <number>", "-2 to 2; above 0 changes the subject more")
    .option("--no-stream", "wait for the whole answer")
    .option("--hide-reasoning", "do not show the model's thinking")
    .option("--debug-dump <folder>", "write each request there as JSON, without keys and known secrets");
}
