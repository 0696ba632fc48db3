import { ZephError } from "../errors/zeph-error.ts";
import { matchModel } from "../protocol/match-model.ts";
import type { Model } from "../protocol/models.ts";
import type { Choice } from "./ask.ts";
import { askOr, type InitSession } from "./init-session.ts";

export interface ModelChoice {
  /** The live list; `undefined` when it could not be read. */
  readonly models: readonly Model[] | undefined;
  /** The last good choice: what the record has now. */
  readonly previous: string | undefined;
}

const EMBEDDING_FAULT = "makes embeddings; a chat needs another model";

const TYPE_IT = Symbol("type it");

/**
 * The exact id of a model of the live list. `--model` is compared without letter case; `--model auto` takes the last
 * good choice, else the first. Without a list any text is taken. Throws `model_not_found` with the nearest three,
 * `no_models`, `missing_input`.
 */
export async function chooseModel(session: InitSession, { models, previous }: ModelChoice): Promise<string> {
  const listed = models?.filter((model) => model.kind === "chat") ?? [];
  const embeddingIds = models?.filter((model) => model.kind === "embedding").map((model) => model.id) ?? [];
  const ids = listed.map((model) => model.id);
  const { request } = session;
  const isLastChoiceWanted = request.model === undefined && session.ask === undefined && previous !== undefined;
  if (request.model === "auto" || isLastChoiceWanted) return chooseFirst(ids, previous);
  if (request.model !== undefined && ids.length === 0) return request.model;
  const match = request.model === undefined ? undefined : matchModel(request.model, ids);
  if (match !== undefined && match.kind !== "none") return match.id;
  if (match !== undefined) {
    const wanted = request.model ?? "";
    const fault = matchModel(wanted, embeddingIds).kind === "none" ? "is not in the live list" : EMBEDDING_FAULT;
    if (session.ask === undefined) throw unusableModel(`${wanted} ${fault}`, match.nearest);
    session.tell.warn(`"${wanted}" ${fault}.`);
  }
  return ids.length === 0 ? typeModel(session, []) : pickModel(session, listed, previous);
}

function chooseFirst(ids: readonly string[], previous: string | undefined): string {
  const match = previous === undefined ? undefined : matchModel(previous, ids);
  if (ids.length === 0 && previous !== undefined) return previous;
  const chosen = match === undefined || match.kind === "none" ? ids[0] : match.id;
  if (chosen === undefined) throw new ZephError("no_models");
  return chosen;
}

async function pickModel(
  session: InitSession,
  models: readonly Model[],
  previous: string | undefined,
): Promise<string> {
  const ids = models.map((model) => model.id);
  const width = Math.max(...ids.map((id) => id.length));
  const choices: Choice<string | typeof TYPE_IT>[] = models.map((model) => ({
    value: model.id,
    label: `${model.id.padEnd(width)}  ${describeModel(model)}`.trimEnd(),
  }));
  const match = previous === undefined ? undefined : matchModel(previous, ids);
  const chosen = await askOr(session, "--model").select<string | typeof TYPE_IT>({
    message: "Model",
    choices: [...choices, { value: TYPE_IT, label: "Another id" }],
    ...(match === undefined || match.kind === "none" ? {} : { initial: match.id }),
  });
  return typeof chosen === "string" ? chosen : typeModel(session, ids);
}

/** Asks for an id. One that is not listed is offered its neighbours, and taken as it is when the user insists. */
async function typeModel(session: InitSession, ids: readonly string[]): Promise<string> {
  const ask = askOr(session, "--model");
  const typed = await ask.text({
    message: ids.length === 0 ? "Model id (the list could not be read)" : "Model id",
    check: (value) => (value === "" ? "Nothing was typed." : undefined),
  });
  if (ids.length === 0) return typed;
  const match = matchModel(typed, ids);
  if (match.kind !== "none") return match.id;
  return ask.select({
    message: `"${typed}" is not in the list. Did you mean`,
    choices: [
      ...match.nearest.map((id) => ({ value: id, label: id })),
      { value: typed, label: `No, use ${typed}`, hint: "the endpoint will probably refuse it" },
    ],
  });
}

function unusableModel(detail: string, nearest: readonly string[]): ZephError {
  const hint = `Nearest chat models of the live list: ${nearest.join(", ")}. Or give --model auto.`;
  return new ZephError("model_not_found", { detail, hint });
}

/** What people choose by, as far as the list tells: `128K context · $0.22 in, $0.44 out per 1M · tools`. */
export function describeModel(model: Model): string {
  const { contextLengthTokens: context, promptUsdPer1M: input, completionUsdPer1M: output, tools } = model;
  const parts = [
    context === undefined ? undefined : `${formatTokens(context)} context`,
    input === undefined || output === undefined ? undefined : `$${usd(input)} in, $${usd(output)} out per 1M`,
    tools === undefined ? undefined : tools ? "tools" : "no tools",
  ];
  return parts.filter((part) => part !== undefined).join(" · ");
}

function formatTokens(tokens: number): string {
  return tokens < 1000 ? String(tokens) : `${Math.round(tokens / 1000)}K`;
}

/** Two digits, or as many as a small price needs to be more than 0. */
function usd(price: number): string {
  return price === 0 || price >= 0.01 ? price.toFixed(2) : price.toPrecision(1);
}
