import type { Command } from "commander";
import type { ServeFlags } from "../serve-choices.ts";
import type { Binding } from "./bind.ts";

const EXAMPLES = `
Examples:
  zeph serve                                    then set the client's base URL to http://127.0.0.1:8424/v1
  zeph serve --alias gpt-4o=ID                  for a client whose model names are fixed
  zeph serve --alias 'claude-*=ID'              for every name that begins so
  zeph serve --cors http://localhost:3000       for a web page of yours
`;

export function addServeCommand(program: Command, { bind }: Binding): void {
  const collect = (value: string, before: readonly string[] = []) => [...before, value];
  bind<ServeFlags>(
    program
      .command("serve")
      .description("an OpenAI- and Anthropic-compatible endpoint on this computer, for other programs")
      .option("-p, --port <number>", "port; 0 takes any free one (default 8424)")
      .option("--host <address>", "address to listen on (default 127.0.0.1)")
      .option("--provider <name>", "a configured provider; default the default one")
      .option("-m, --model <id>", "model for requests that name none")
      .option("--alias <name=id>", "another name for a model; may be given more than once", collect)
      .option("--no-auth", "ask for no key; on this computer only")
      .option("--show-key", "print the key although it is not new")
      .option("--cors <origin>", "let web pages of this origin call; may be given more than once", collect)
      .option(
        "--allow-host <name>",
        "another name clients may use for this computer, e.g. host.docker.internal",
        collect,
      )
      .option("--always-stream", "ask the provider for streams only; whole answers are put together here")
      .option("--no-clean-up", "send requests as they come, without making them fit the network's rules")
      .option("--quiet", "no line per request")
      .addHelpText("after", EXAMPLES),
    [],
    async (context, flags) => (await import("../commands/serve.ts")).runServe(context, flags),
  );
}
