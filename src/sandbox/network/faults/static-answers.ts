/** An answer that does not depend on the request. */
export interface StaticAnswer {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
  readonly headers?: Readonly<Record<string, string>>;
}

const JSON_TYPE = "application/json";
const TEXT_TYPE = "text/plain; charset=utf-8";

/** `{"error": text}` and a newline, the shape of everything a node itself refuses. */
export function errorAnswer(status: number, text: string): StaticAnswer {
  return { status, contentType: JSON_TYPE, body: `${JSON.stringify({ error: text })}\n` };
}

function nginxPage(status: number, title: string): StaticAnswer {
  const heading = `${status} ${title}`;
  const body =
    `<html>\r\n<head><title>${heading}</title></head>\r\n<body>\r\n<center><h1>${heading}</h1></center>\r\n` +
    "<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n";
  return { status, contentType: "text/html", body };
}

/** What hosts from v0.2.14 on answer to classic inference (shared reference, section 0). */
export function retiredAnswer(message = "classic inference is deprecated; use devshard"): StaticAnswer {
  return {
    status: 410,
    contentType: JSON_TYPE,
    body: `${JSON.stringify({ error: "deprecated", message })}\n`,
    headers: { Deprecation: "true", Link: '</devshard/{version}>; rel="successor-version"' },
  };
}

/** What a devshard gateway says to a signed request: it knows Bearer keys only, and answers in OpenAI's shape. */
export function gatewayAnswer(model: string): StaticAnswer {
  const error = { message: `model ${JSON.stringify(model)} requires an API key`, type: "authentication_error" };
  return { status: 401, contentType: JSON_TYPE, body: `${JSON.stringify({ error })}\n` };
}

/** Answers that come from in front of the node, or instead of it, before it looks at the request. */
export const FRONT_ANSWERS = {
  retired: retiredAnswer(),
  "body-malformed": errorAnswer(400, "malformed request body"),
  "body-timeout": errorAnswer(408, "request body read timeout"),
  "body-cancelled": errorAnswer(400, "request body read cancelled"),
  "body-unreadable": errorAnswer(400, "failed to read request body"),
  "body-too-large": errorAnswer(413, "request body too large"),
  "nginx-413": nginxPage(413, "Request Entity Too Large"),
  "nginx-502": nginxPage(502, "Bad Gateway"),
  "nginx-503": nginxPage(503, "Service Temporarily Unavailable"),
  "nginx-504": nginxPage(504, "Gateway Time-out"),
  "api-disabled": { status: 404, contentType: TEXT_TYPE, body: "App API Disabled" },
  "chain-api-disabled": { status: 404, contentType: TEXT_TYPE, body: "Chain API Disabled" },
  "chain-rpc-disabled": { status: 404, contentType: TEXT_TYPE, body: "Chain RPC Disabled" },
  blocked: {
    status: 403,
    contentType: JSON_TYPE,
    body: '{"error": "Access Denied", "message": "This route is currently blocked."}',
  },
  "rate-limit": { status: 429, contentType: TEXT_TYPE, body: "rate limit exceeded\n" },
  panic: errorAnswer(500, "runtime error: invalid memory address or nil pointer dereference: panic"),
  "gateway-401": gatewayAnswer("the-model"),
  "wallet-page": { status: 200, contentType: "text/html", body: "<!doctype html><title>Wallet</title><p>Wallet</p>" },
} as const satisfies Readonly<Record<string, StaticAnswer>>;

export type FrontAnswerKind = keyof typeof FRONT_ANSWERS;
