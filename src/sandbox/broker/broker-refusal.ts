/** A refusal as a broker words it. */
export interface BrokerRefusal {
  readonly status: number;
  readonly message: string;
  readonly code?: string;
  readonly type?: string;
  readonly param?: string;
  readonly metadata?: Readonly<Record<string, unknown>>;
  readonly headers?: Readonly<Record<string, string>>;
}

const TYPES: Readonly<Record<number, string>> = {
  401: "authentication_error",
  402: "billing_error",
  403: "permission_error",
  429: "rate_limit_error",
};

function typeOf(status: number): string {
  return TYPES[status] ?? (status >= 500 ? "server_error" : "invalid_request_error");
}

/** The error object inside a body or a stream, in the shape of `/v1/*` (GonkaGate documentation, 2026). */
export function errorObject(refusal: BrokerRefusal): Record<string, unknown> {
  return {
    error: {
      message: refusal.message,
      type: refusal.type ?? typeOf(refusal.status),
      code: refusal.code ?? null,
      param: refusal.param ?? null,
      ...(refusal.metadata === undefined ? {} : { metadata: refusal.metadata }),
    },
  };
}

/** The answer of `/v1/*` to a refused request. */
export function refusalResponse(refusal: BrokerRefusal): Response {
  return Response.json(errorObject(refusal), { status: refusal.status, headers: { ...refusal.headers } });
}

/** The answer of `/api/*`, which has another shape. */
export function accountRefusalResponse(refusal: BrokerRefusal, requestId: string, nowMs: number): Response {
  const { message, status } = refusal;
  const error = { message, statusCode: status, requestId, timestamp: new Date(nowMs).toISOString() };
  return Response.json({ success: false, error }, { status, headers: { ...refusal.headers } });
}

/** What a web server in front of a broker answers to a path it does not know: HTML, no JSON. */
export function htmlPage(status: number, title: string): Response {
  const heading = `${status} ${title}`;
  const page = `<html>\r\n<head><title>${heading}</title></head>\r\n<body>\r\n<center><h1>${heading}</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n`;
  return new Response(page, { status, headers: { "content-type": "text/html" } });
}
