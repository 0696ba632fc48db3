import type { Model } from "../../protocol/models.ts";
import { refreshModels } from "../../provider/model-cache.ts";
import { openProvider } from "../../provider/open-provider.ts";
import type { CliContext, RunCommand } from "../context.ts";
import { displayWidth } from "../render/display-width.ts";
import { priceColumns } from "../render/price-columns.ts";
import { style, withoutStyles } from "../render/style.ts";
import { renderTable } from "../render/table.ts";
import { toTerminalLine } from "../render/terminal-text.ts";
import { setupOf } from "../setup.ts";
import { writeResult } from "../write-result.ts";

export interface ModelsFlags {
  readonly provider?: string;
}

/** `zeph models`: what the provider offers now, never from a list in the program. */
export const runModels: RunCommand<ModelsFlags> = async (context, { provider }) => {
  const setup = await setupOf(context, { provider });
  const opened = await openProvider(setup, { name: provider });
  const models = await refreshModels(opened, setup.world, context.signal);
  const data = { provider: opened.config.name, configured: opened.config.model ?? null, models };
  if (models.length === 0)
    return writeResult(context, { data, notice: `${opened.config.name} lists no models now.\n` });
  return writeResult(context, { data, answer: renderModels(context, models, opened.config.model) });
};

function renderModels({ color, stdout }: CliContext, models: readonly Model[], configured: string | undefined): string {
  const { bold, dim, green } = style(color);
  const nameOf = (id: string) => toTerminalLine(id === configured ? `${green("●")} ${bold(id)}` : `  ${id}`);
  const prices = priceColumns(models);
  const rows = models.map((model) => {
    const context = model.contextLengthTokens === undefined ? dim("?") : shortCount(model.contextLengthTokens);
    return [context, ...prices.cells(model), kindOf(model)];
  });
  const head = ["  model", "context", ...prices.heads, "kind"].map(dim);
  const table = renderTable([head, ...rows.map((row, index) => [nameOf(models[index]?.id ?? ""), ...row])]);
  if (tableWidth(table) <= (stdout.columns ?? Number.POSITIVE_INFINITY)) return table;
  return models
    .map((model, index) => {
      const facts = `${rows[index]?.[0]} context · ${prices.words(model)} · ${kindOf(model)}`;
      return `${nameOf(model.id)}\n    ${facts}\n`;
    })
    .join("");
}

function tableWidth(table: string): number {
  return Math.max(...table.split("\n").map((line) => displayWidth(withoutStyles(line))));
}

/** What one can do with it, as far as the list tells. */
function kindOf({ kind, tools }: Model): string {
  if (kind === "embedding" || tools === undefined) return kind;
  return tools ? "chat, tools" : "chat, no tools";
}

function shortCount(tokens: number): string {
  return tokens >= 1000 ? `${Math.round(tokens / 1000)}K` : String(tokens);
}
