type Fields = Readonly<Record<string, unknown>>;

/**
 * USD per million tokens by model, from a broker's public price list. Lenient: GonkaGate publishes the first form, its
 * doctor 0.2.2 accepts the others (GonkaGate/gonkagate-doctor, tests):
 * `{data:{models:[{id,usdPer1MTokens:{total}}]}}` · `{models:{"<id>":{…}}}` · `{data:[{model,totalUsdPer1M}]}`.
 */
export function readPublicPrices(json: unknown): ReadonlyMap<string, number> {
  const body = asFields(json);
  const data = body.data ?? json;
  const models = asFields(data).models ?? body.models ?? data;
  const entries: readonly (readonly [unknown, Fields])[] = Array.isArray(models)
    ? models.map((entry: unknown) => [asFields(entry).id ?? asFields(entry).model, asFields(entry)])
    : Object.entries(asFields(models)).map(([id, entry]) => [id, asFields(entry)]);
  return new Map(
    entries.flatMap(([id, entry]) => {
      const total = totalOf(entry);
      return typeof id === "string" && total !== undefined ? [[id, total] as const] : [];
    }),
  );
}

function totalOf(entry: Fields): number | undefined {
  const nested = asFields(entry.usdPer1MTokens);
  return [nested.total, entry.total, entry.totalUsdPer1M].map(asAmount).find((amount) => amount !== undefined);
}

function asAmount(value: unknown): number | undefined {
  const amount = typeof value === "string" && value.trim() !== "" ? Number(value) : value;
  return typeof amount === "number" && Number.isFinite(amount) && amount >= 0 ? amount : undefined;
}

function asFields(value: unknown): Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? { ...value } : {};
}
