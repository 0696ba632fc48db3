import { ZephError } from "../../errors/zeph-error.ts";
import type { Model } from "../../protocol/models.ts";
import { findListed } from "../../provider/known-model.ts";
import { refreshModels, rememberedModels } from "../../provider/model-cache.ts";
import type { OpenedProvider } from "../../provider/open-provider.ts";
import type { CliContext } from "../context.ts";
import type { Upstream } from "../local-endpoint.ts";
import { promptSelect } from "../prompt.ts";
import type { LaunchModel } from "./agents.ts";

/** A look at the list must not hold up the agent. */
const LIST_WAIT_MS = 3_000;

/** The model, with what the provider's list says of it. Without one configured it is asked for. */
export async function launchModel(context: CliContext, { opened, setup }: Upstream): Promise<LaunchModel> {
  const listed = await listedModels(context, opened, setup);
  const { config } = opened;
  const wanted = config.model ?? (await chooseModel(context, config.name, listed));
  const known = findListed(listed, wanted);
  return {
    id: known?.id ?? wanted,
    contextTokens: config.contextLength ?? known?.contextLengthTokens,
    outputTokens: known?.maxOutputTokens,
  };
}

async function listedModels(
  context: CliContext,
  opened: OpenedProvider,
  { world }: Upstream["setup"],
): Promise<readonly Model[]> {
  const remembered = await rememberedModels(opened, world);
  if (findListed(remembered, opened.config.model ?? "") !== undefined) return remembered;
  const waiting = new AbortController();
  const cancel = context.clock.schedule(LIST_WAIT_MS, () => waiting.abort());
  try {
    return await refreshModels(opened, world, AbortSignal.any([context.signal, waiting.signal]));
  } catch {
    // The agent's first request will tell in full what is wrong.
    return remembered;
  } finally {
    cancel();
  }
}

async function chooseModel(context: CliContext, provider: string, listed: readonly Model[]): Promise<string> {
  const chat = listed.filter(({ kind }) => kind === "chat");
  if (!context.interactive || chat.length === 0)
    throw new ZephError("model_missing", { detail: `provider "${provider}"` });
  return promptSelect(
    context,
    "Which model?",
    chat.map(({ id }) => ({ value: id, label: id })),
  );
}
