import { ZephError } from "../errors/zeph-error.ts";
import { matchModel } from "../protocol/match-model.ts";
import { errorBehind, errorResponse } from "../transport/give-up.ts";
import type { GonkaFetch } from "./gonka-fetch.ts";
import { listModels } from "./list-models.ts";

/**
 * Adds one look at the live list to a "no such model" refusal, so that the hint names what is there. Only this refusal
 * costs the second, free request.
 */
export function withNearestModels(gonka: GonkaFetch): GonkaFetch {
  const ask: GonkaFetch = Object.assign(
    async (input: string | URL | Request, init?: RequestInit) => {
      const response = await gonka(input, init);
      const error = errorBehind(response);
      if (error?.code !== "model_not_found") return response;
      const hint = await nearestHint(gonka, modelOf(init?.body), init?.signal ?? undefined);
      return hint === undefined ? response : errorResponse(withHint(error, hint), new Headers(response.headers));
    },
    { baseURL: gonka.baseURL, endpoints: gonka.endpoints },
  );
  return ask;
}

async function nearestHint(
  gonka: GonkaFetch,
  model: string,
  signal: AbortSignal | undefined,
): Promise<string | undefined> {
  try {
    const ids = (await listModels(gonka, signal)).filter(({ kind }) => kind === "chat").map(({ id }) => id);
    if (ids.length === 0) return "The endpoint lists no models now; try again in a moment.";
    const match = matchModel(model, ids);
    if (match.kind === "loose")
      return `It is called ${match.id} here; letter case counts. Change it with --model or /model.`;
    if (match.kind !== "none")
      return "The endpoint lists it all the same: it may be coming or going. Try again in a moment.";
    return `Offered now: ${match.nearest.join(", ")}. Choose with --model, /model or \`zeph init\`.`;
  } catch (error) {
    // The list is an addition; the refusal itself is told in any case.
    if (ZephError.is(error)) return undefined;
    throw error;
  }
}

function withHint(error: ZephError, hint: string): ZephError {
  const { detail, status, requestId, attempts } = error;
  return new ZephError(error.code, {
    hint,
    attempts,
    ...(detail === undefined ? {} : { detail }),
    ...(status === undefined ? {} : { status }),
    ...(requestId === undefined ? {} : { requestId }),
  });
}

function modelOf(body: RequestInit["body"]): string {
  if (typeof body !== "string") return "";
  try {
    const parsed: unknown = JSON.parse(body);
    return typeof parsed === "object" && parsed !== null && "model" in parsed ? String(parsed.model) : "";
  } catch {
    // A body that is not JSON was refused for that already.
    return "";
  }
}
