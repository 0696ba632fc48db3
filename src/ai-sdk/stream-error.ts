import { isZephErrorCode, type ZephErrorCode } from "../errors/catalogue.ts";
import { ZephError } from "../errors/zeph-error.ts";
import { scrub } from "../internal/redact.ts";

/** Codes of brokers that mean the same inside a stream as they do as a refusal. */
const KNOWN_CODES: Readonly<Record<string, ZephErrorCode>> = {
  context_length_exceeded: "context_length",
  insufficient_quota: "insufficient_quota",
  rate_limit_exceeded: "rate_limited",
  service_unavailable: "service_unavailable",
  transfer_agent_capacity_reached: "capacity_reached",
};

/** Our error as the object that OpenAI-compatible servers put into a stream. {@link readErrorObject} reads it back. */
export function toErrorObject({ code, message, detail }: ZephError) {
  return { type: "zeph_error", code, message, detail: detail ?? null };
}

/** What an error object inside a 200 answer means; `fallback` where its code says nothing to us. */
export function readErrorObject(error: unknown, fallback: "stream_error" | "upstream_error"): ZephError {
  const { type, code, message, detail } = { ...(typeof error === "object" ? error : { message: error }) } as Readonly<
    Record<string, unknown>
  >;
  if (type === "zeph_error" && isZephErrorCode(code)) {
    return new ZephError(code, typeof detail === "string" ? { detail } : {});
  }
  const said = typeof message === "string" ? scrub(message) : "";
  const known = typeof code === "string" ? KNOWN_CODES[code] : undefined;
  return new ZephError(known ?? fallback, said === "" ? {} : { detail: said });
}
