import type { Model } from "../../protocol/models.ts";
import { refreshModels } from "../../provider/model-cache.ts";
import { openProvider } from "../../provider/open-provider.ts";
import type { CliContext, RunCommand } from "../context.ts";
import { style } from "../render/style.ts";
import { renderTable } from "../render/table.ts";
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

function renderModels({ color }: CliContext, models: readonly Model[], configured: string | undefined): string {
  const { bold, dim, green } = style(color);
  const rows = models.map((model) => [
    model.id === configured ? `${green("●")} ${bold(model.id)}` : `  ${model.id}`,
    model.contextLengthTokens === undefined ? dim("?") : shortCount(model.contextLengthTokens),
    price(model.promptUsdPer1M),
    price(model.completionUsdPer1M),
    model.kind === "embedding"
      ? "embedding"
      : model.tools === undefined
        ? dim("?")
        : model.tools
          ? "tools"
          : "no tools",
  ]);
  const head = ["  model", "context", "in $/1M", "out $/1M", ""].map(dim);
  return renderTable([head, ...rows]);
}

function price(usdPer1M: number | undefined): string {
  return usdPer1M === undefined ? "?" : String(Number(usdPer1M.toPrecision(4)));
}

function shortCount(tokens: number): string {
  return tokens >= 1000 ? `${Math.round(tokens / 1000)}K` : String(tokens);
}
