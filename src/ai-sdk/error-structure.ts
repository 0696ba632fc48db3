import type { ProviderErrorStructure } from "@ai-sdk/openai-compatible";
import { z } from "zod";

/** The error forms of brokers and nodes: OpenAI's object, or a bare text. */
const errorSchema = z.looseObject({
  error: z.union([z.string(), z.looseObject({ message: z.string() })]),
});

/**
 * How the SDK reads refusals that come from a fetch which is not ours, and error objects inside streams. Only an
 * explicit `x-should-retry: true` makes the SDK repeat a request: the connection owns the retries.
 */
export const errorStructure: ProviderErrorStructure<z.infer<typeof errorSchema>> = {
  errorSchema,
  errorToMessage: ({ error }) => (typeof error === "string" ? error : error.message),
  isRetryable: (response) => response.headers.get("x-should-retry") === "true",
};
