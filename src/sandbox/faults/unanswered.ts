import { RESPONSE_ALREADY_SENT } from "@hono/node-server/utils/response";

const MARKS = [...RESPONSE_ALREADY_SENT.headers.keys()];

/** The stand-in for an answer that is not given: tells the server that there is nothing to send. */
export function unanswered(): Response {
  return new Response(null, { headers: RESPONSE_ALREADY_SENT.headers });
}

export function isUnanswered(response: Response): boolean {
  return MARKS.every((name) => response.headers.has(name));
}
