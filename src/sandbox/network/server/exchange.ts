import type { IncomingMessage, ServerResponse } from "node:http";
import type { StaticAnswer } from "../faults/static-answers.ts";
import type { RecordedRequest } from "./request-log.ts";

/** One request being answered. */
export interface Exchange {
  readonly recorded: RecordedRequest;
  /** Aborted when the client goes away or the network stops. */
  readonly signal: AbortSignal;
  /** Sends a whole answer. */
  send(answer: StaticAnswer): void;
  /** Starts an answer that is written piece by piece. */
  begin(status: number, headers: readonly (readonly [string, string])[]): void;
  /** Resolves when the client can take more. */
  write(piece: string | Buffer): Promise<void>;
  end(): void;
  /** Closes the connection without another byte. */
  drop(): void;
}

/** Largest body read at all; what is over the node's limit is thrown away, so that the client hears the refusal. */
const MAX_DRAINED_BYTES = 64 * 1024 * 1024;

/** Headers the nginx in front of a node adds to everything. */
const PROXY_HEADERS: readonly (readonly [string, string])[] = [
  ["X-Frame-Options", "SAMEORIGIN"],
  ["X-Content-Type-Options", "nosniff"],
  ["X-XSS-Protection", "1; mode=block"],
  ["Referrer-Policy", "no-referrer-when-downgrade"],
  ["Access-Control-Allow-Origin", "*"],
];

export function exchange(
  recorded: RecordedRequest,
  response: ServerResponse,
  options: { readonly nowMs: () => number; readonly stopped: AbortSignal },
): Exchange {
  const gone = new AbortController();
  response.once("close", () => gone.abort(new Error("the client went away")));
  response.sendDate = false;
  const begin: Exchange["begin"] = (status, headers) => {
    recorded.status = status;
    const date = ["Date", new Date(options.nowMs()).toUTCString()] as const;
    response.writeHead(status, [date, ...PROXY_HEADERS, ...headers].flat());
  };
  return {
    recorded,
    signal: AbortSignal.any([gone.signal, options.stopped]),
    send(answer) {
      const body = Buffer.from(answer.body);
      begin(answer.status, [
        ["Content-Type", answer.contentType],
        ["Content-Length", String(body.length)],
        ...Object.entries(answer.headers ?? {}),
      ]);
      response.end(body);
    },
    begin,
    write: (piece) =>
      new Promise((resolve) => {
        if (response.destroyed) return resolve();
        response.write(piece, () => resolve());
      }),
    end: () => {
      response.end();
    },
    drop: () => {
      response.destroy();
    },
  };
}

/** Reads the body; what exceeds `maxBytes` is drained and only counted. */
export async function readBody(
  message: IncomingMessage,
  maxBytes: number,
): Promise<{ readonly body: Buffer; readonly isTooLarge: boolean }> {
  const pieces: Buffer[] = [];
  let length = 0;
  for await (const piece of message as AsyncIterable<Buffer>) {
    length += piece.length;
    if (length <= maxBytes) pieces.push(piece);
    if (length > MAX_DRAINED_BYTES) break;
  }
  return { body: Buffer.concat(pieces), isTooLarge: length > maxBytes };
}
