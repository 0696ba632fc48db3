import type { ZephError } from "../../errors/zeph-error.ts";
import type { Answer } from "../answer.ts";
import { messagesRefusal } from "../dialects/messages.ts";
import { isCodex, responsesRefusal } from "../dialects/responses.ts";
import { errorAnswer } from "../error-answer.ts";
import type { RouteContext } from "../gateway-state.ts";
import type { Route } from "../route.ts";

/** A refusal in the words of the API that was asked, wherever in the gateway it arose. */
export function dialectRefusal(
  { exchange, request }: Pick<RouteContext, "exchange" | "request">,
  route: Route["kind"],
  error: ZephError,
  headers: Readonly<Record<string, string>> = {},
): Answer {
  const { requestId } = exchange.record;
  const plain = errorAnswer(error, { param: fieldIn(error), headers: { ...headers, "content-type": JSON_TYPE } });
  switch (route) {
    case "messages":
    case "count-tokens": {
      const { status, body } = messagesRefusal(error, requestId);
      return { status, headers: plain.headers, body: JSON.stringify(body) };
    }
    case "responses":
    case "response":
    case "compact":
    case "input-tokens": {
      const { status, body } = responsesRefusal(error, { isCodex: isCodex(request.headers), param: fieldIn(error) });
      return { status, headers: plain.headers, body: JSON.stringify(body) };
    }
    default:
      return plain;
  }
}

const JSON_TYPE = "application/json";

/** The field an error is about: details of refused fields begin with its path. */
function fieldIn({ code, detail = "" }: ZephError): string | undefined {
  if (code !== "invalid_request" && code !== "unsupported_capability") return undefined;
  return /^((?:[a-z][\w-]*)(?:[\w.[\]]*)): /.exec(detail)?.[1];
}
