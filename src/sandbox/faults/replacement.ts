import { htmlPage, refusalResponse } from "../broker/broker-refusal.ts";
import type { Fault } from "./fault.ts";

const CODES: Readonly<Record<number, string>> = {
  401: "invalid_api_key",
  404: "model_not_found",
  429: "rate_limit_exceeded",
  503: "service_unavailable",
};

const TITLES: Readonly<Record<number, string>> = {
  500: "Internal Server Error",
  502: "Bad Gateway",
  503: "Service Temporarily Unavailable",
  504: "Gateway Time-out",
};

/** What is answered in place of the real thing, for the faults that do so. */
export function replacement(fault: Fault): Response | undefined {
  switch (fault.kind) {
    case "status": {
      const code = fault.code ?? CODES[fault.status];
      return refusalResponse({
        status: fault.status,
        message: fault.message ?? `The sandbox was told to answer ${fault.status}.`,
        ...(code === undefined ? {} : { code }),
        ...(fault.retryAfter === undefined ? {} : { headers: { "retry-after": fault.retryAfter } }),
      });
    }
    case "html-page": {
      const status = fault.status ?? 502;
      return htmlPage(status, TITLES[status] ?? "Error");
    }
    case "redirect":
      return new Response(null, { status: fault.status ?? 307, headers: { location: fault.location } });
    case "moved": {
      const body = { error: { message: "This gateway has moved." }, new_url: fault.newUrl };
      return Response.json(body, { status: 308, headers: { location: fault.newUrl } });
    }
    default:
      return undefined;
  }
}
