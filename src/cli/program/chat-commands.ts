import type { Command } from "commander";
import type { AskFlags } from "../commands/ask.ts";
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

function withChatOptions(command: Command): Command {
  return command
    .argument("[prompt...]", "the question; joined with what comes on standard input")
    .option("-m, --model <id>", "model to use; `zeph models` lists them")
    .option("-p, --provider <name>", "configured provider to use")
    .option("-s, --system <text>", "instruction to the model")
    .option("--max-tokens <number>", "longest answer")
    .option("--temperature <number>", "0 to 2")
    .option("--top-p <number>", "0 to 1; look only at the most likely words")
    .option("--frequency-penalty <number>", "-2 to 2; above 0 repeats less")
    .option("--presence-penalty <number>", "-2 to 2; above 0 changes the subject more")
    .option("--no-stream", "wait for the whole answer")
    .option("--hide-reasoning", "do not show the model's thinking")
    .option("--debug-dump <folder>", "write each request there as JSON, without keys and known secrets");
}
