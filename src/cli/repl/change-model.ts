import type { ChatModelListing, ChatSession } from "../../chat/session.ts";
import { foldText } from "../render/fold-text.ts";
import { priceColumns } from "../render/price-columns.ts";
import { style } from "../render/style.ts";
import { renderTable } from "../render/table.ts";
import { toTerminalLine } from "../render/terminal-text.ts";
import { formatCount } from "../render/usage-line.ts";
import { findModel } from "./find-model.ts";
import type { Repl } from "./repl.ts";

/** `/model`: a numbered list of what the endpoint offers now; `/model NAME` takes the one that is meant. */
export async function changeModel(repl: Repl, argument: string): Promise<void> {
  repl.models = await repl.conversation.session.listModels(repl.signal);
  if (repl.models.length === 0) return repl.print("The endpoint lists no models now.\n");
  const typed = argument === "" ? await pick(repl) : argument;
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

async function pick(repl: Repl): Promise<string | undefined> {
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

/** The session with what the live list tells about its model, where the session does not know it already. */
export function withListing(session: ChatSession, models: readonly ChatModelListing[]): ChatSession {
  const listing = models.find(({ id }) => id === session.modelId);
  if (listing === undefined) return session;
  const { contextLengthTokens, promptUsdPer1M, completionUsdPer1M, pricePerTokenNgonka, parameters } = listing;
  return {
    ...session,
    ...(session.contextLengthTokens !== undefined || contextLengthTokens === undefined ? {} : { contextLengthTokens }),
    ...(session.pricing !== undefined || promptUsdPer1M === undefined || completionUsdPer1M === undefined
      ? {}
      : { pricing: { promptUsdPer1M, completionUsdPer1M } }),
    ...(pricePerTokenNgonka === undefined ? {} : { pricePerTokenNgonka }),
    ...(parameters === undefined ? {} : { parameters }),
  };
}
