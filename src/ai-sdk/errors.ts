import { APICallError } from "@ai-sdk/provider";
import { scrub } from "../base/secret.ts";
import { ZephError, type ZephErrorCode } from "../errors.ts";
import { isRecord, serverError } from "../wire/chat-shape.ts";
import { refusalError } from "../wire/refusals.ts";

/**
 * Errors of the AI SDK by name: the code they have with us, and fixed words, because their own messages repeat prompts
 * and answers. (`AI_APICallError` and `AI_RetryError` are looked into instead.)
 */
const SDK_ERRORS: Readonly<Record<string, readonly [ZephErrorCode, string]>> = {
  AI_DownloadError: ["invalid_request", "a file that the prompt names could not be loaded"],
  AI_EmptyResponseBodyError: ["bad_response", "the answer was empty"],
  AI_InvalidArgumentError: ["invalid_request", "a setting has a value that is not allowed"],
  AI_InvalidDataContentError: ["invalid_request", "a file in the prompt is in a form that is not supported"],
  AI_InvalidMessageRoleError: ["invalid_request", "a message has a role that is not known"],
  AI_InvalidPromptError: ["invalid_request", "the prompt is not in the form the AI SDK takes"],
  AI_InvalidResponseDataError: ["bad_response", "a part of the answer was missing"],
  AI_InvalidToolInputError: ["bad_response", "the model called a tool with arguments that do not fit"],
  AI_JSONParseError: ["bad_response", "the answer is not JSON"],
  AI_LoadAPIKeyError: ["secret_missing", "no API key was given"],
  AI_MessageConversionError: ["invalid_request", "a message could not be converted"],
  AI_MissingToolResultsError: ["invalid_request", "a tool call of the conversation has no result"],
  AI_NoContentGeneratedError: ["bad_response", "the answer was empty"],
  AI_NoObjectGeneratedError: ["bad_response", "the answer does not fit the schema"],
  AI_NoOutputGeneratedError: ["bad_response", "there was no answer"],
  AI_NoSuchModelError: ["unsupported_capability", "no model of this kind"],
  AI_NoSuchToolError: ["bad_response", "the model called a tool that it was not given"],
  AI_ToolChoiceViolationError: ["bad_response", "the model called no tool although one was required"],
  AI_ToolCallRepairError: ["bad_response", "a tool call of the model could not be repaired"],
  AI_TooManyEmbeddingValuesForCallError: ["invalid_request", "too many values for one call"],
  AI_TypeValidationError: ["bad_response", "the answer is not in the expected form"],
  AI_UnsupportedFunctionalityError: ["unsupported_capability", "the prompt uses something that is not supported"],
  AI_UnsupportedModelVersionError: ["internal", "this version of `ai` does not take models of specification V3"],
};

/**
 * Whatever a call of the AI SDK threw, or put into its stream as an error, as a `ZephError` with a code, words and the
 * next step. A `ZephError` is given back as it is; an abort becomes `cancelled`, a timeout `timeout_total`.
 *
 * @example
 * ```ts
 * try { await generateText({ model, prompt }); } catch (error) {
 *   const { code, message, hint } = toZephError(error);
 * }
 * ```
 */
export function toZephError(error: unknown): ZephError {
  if (ZephError.is(error)) return error;
  if (!(error instanceof Error)) return fromValue(error);
  if (error.name === "AbortError" || error.name === "ResponseAborted")
    return new ZephError("cancelled", { cause: error });
  if (error.name === "TimeoutError") return new ZephError("timeout_total", { cause: error });
  if (APICallError.isInstance(error)) return fromCall(error);
  if (error.name === "AI_RetryError" && "lastError" in error) return toZephError(error.lastError);
  const [code, detail] = SDK_ERRORS[error.name] ?? [];
  if (code !== undefined && detail !== undefined) {
    return zephErrorIn(error.cause) ?? new ZephError(code, { detail: named(error, detail), cause: error });
  }
  return zephErrorIn(error.cause) ?? new ZephError("internal", { detail: scrub(error.message), cause: error });
}

function fromValue(value: unknown): ZephError {
  if (isRecord(value) || typeof value === "string") return serverError(value, "stream_error");
  return new ZephError("internal", { detail: "something was thrown that is not an error" });
}

function fromCall(error: APICallError): ZephError {
  const behind = zephErrorIn(error.cause);
  if (behind !== undefined) return behind;
  const { statusCode: status, responseBody: bodyText = "" } = error;
  if (status === undefined) return new ZephError("unreachable", { cause: error });
  if (status < 300)
    return new ZephError("bad_response", { detail: "the answer is not in the expected form", cause: error });
  const headers = new Headers(error.responseHeaders);
  return refusalError({ status, headers, bodyText, path: pathOf(error.url) });
}

/** Below the base URL, which ends in `/v1`. */
function pathOf(url: string): string {
  return URL.canParse(url) ? new URL(url).pathname.replace(/^.*\/v1(?=\/)/, "") : "";
}

/** Adds the name of what is missing, where the SDK's error has one that is safe to show. */
function named(error: Error, detail: string): string {
  const name = "toolName" in error ? error.toolName : "modelId" in error ? error.modelId : undefined;
  return typeof name === "string" ? `${detail}: ${scrub(name)}` : detail;
}

/** The error of ours at the bottom of a chain of causes. */
function zephErrorIn(cause: unknown, depth = 0): ZephError | undefined {
  if (ZephError.is(cause)) return cause;
  if (!(cause instanceof Error) || depth > 8) return undefined;
  if (cause.name === "AbortError") return new ZephError("cancelled", { cause });
  return zephErrorIn(cause.cause, depth + 1);
}
