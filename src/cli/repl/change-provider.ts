import { style } from "../render/style.ts";
import { renderTable } from "../render/table.ts";
import { toTerminalLine } from "../render/terminal-text.ts";
import type { Repl } from "./repl.ts";

/** `/provider`: the configured providers; `/provider NAME` goes on with that one and keeps the conversation. */
export async function changeProvider(repl: Repl, argument: string): Promise<void> {
  const { dependencies, conversation } = repl;
  const providers = (await dependencies.listProviders?.()) ?? [];
  repl.providers = providers.map(({ name }) => name);
  const typed = argument === "" ? await pick(repl, providers) : argument;
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

async function pick(
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
