import { formatGnk } from "../../protocol/accounts.ts";
import type { Model } from "../../protocol/models.ts";

type Priced = Pick<Model, "promptUsdPer1M" | "completionUsdPer1M" | "pricePerTokenNgonka">;

export interface PriceColumns {
  readonly heads: readonly string[];
  cells(model: Priced): readonly string[];
  /** The same as words, where there is no room for a table. */
  words(model: Priced): string;
}

const DOLLARS: PriceColumns = {
  heads: ["in $/1M", "out $/1M"],
  cells: ({ promptUsdPer1M, completionUsdPer1M }) => [dollars(promptUsdPer1M), dollars(completionUsdPer1M)],
  words: ({ promptUsdPer1M, completionUsdPer1M }) =>
    `$${dollars(promptUsdPer1M)} in, $${dollars(completionUsdPer1M)} out per 1M`,
};

/** The network has one price for what is read and what is written. */
const GNK: PriceColumns = {
  heads: ["per 1M tokens"],
  cells: (model) => [gnkPer1M(model)],
  words: (model) => `${gnkPer1M(model)} per 1M tokens`,
};

/** How a list shows its prices: in GNK where it has them, which is on the native path, else in US dollars. */
export function priceColumns(models: readonly Priced[]): PriceColumns {
  return models.some(({ pricePerTokenNgonka }) => pricePerTokenNgonka !== undefined) ? GNK : DOLLARS;
}

function gnkPer1M({ pricePerTokenNgonka: price }: Priced): string {
  return price === undefined ? "?" : formatGnk(price * 1_000_000n);
}

function dollars(usdPer1M: number | undefined): string {
  return usdPer1M === undefined ? "?" : String(Number(usdPer1M.toPrecision(4)));
}
