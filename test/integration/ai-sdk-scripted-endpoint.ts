import { readFileSync } from "node:fs";
import { createServer, type IncomingHttpHeaders, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";

/** What the endpoint saw. */
export interface SeenRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Readonly<Record<string, unknown>>;
  /** Settles when the connection of this request has ended; true when the client broke it off. */
  readonly brokenOff: Promise<boolean>;
}

export type Answer = (request: SeenRequest, response: ServerResponse, count: number) => void | Promise<void>;

export interface ScriptedEndpoint extends AsyncDisposable {
  readonly baseURL: string;
  readonly seen: readonly SeenRequest[];
}

/** An HTTP server on this computer that answers as told and remembers what it was asked. */
export async function scriptedEndpoint(answer: Answer): Promise<ScriptedEndpoint> {
  const seen: SeenRequest[] = [];
  const server = createServer(async (request, response) => {
    const bodyText = await text(request);
    const entry: SeenRequest = {
      method: request.method ?? "",
      path: request.url ?? "",
      headers: request.headers,
      body: bodyText === "" ? {} : JSON.parse(bodyText),
      brokenOff: new Promise((settle) => response.on("close", () => settle(!response.writableFinished))),
    };
    seen.push(entry);
    await answer(entry, response, seen.length);
  });
  await new Promise<void>((settle) => server.listen(0, "127.0.0.1", settle));
  const { port } = server.address() as AddressInfo;
  return {
    baseURL: `http://127.0.0.1:${port}/v1`,
    seen,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((settle) => server.close(settle));
    },
  };
}

const FIXTURES = new URL("../support/answers/", import.meta.url);

export function fixtureJson(name: string): string {
  return readFileSync(new URL(`${name}.json`, FIXTURES), "utf8").trim();
}

/** A fixture's chunks as SSE frames, without `[DONE]`. */
export function fixtureFrames(name: string): readonly string[] {
  const lines = readFileSync(new URL(`${name}.chunks.txt`, FIXTURES), "utf8")
    .trim()
    .split("\n");
  return lines.map((line) => `data: ${line}\n\n`);
}

export const DONE = "data: [DONE]\n\n";

export function sendJson(response: ServerResponse, status: number, body: unknown, headers: object = {}): void {
  response.writeHead(status, { "content-type": "application/json", ...headers });
  response.end(typeof body === "string" ? body : JSON.stringify(body));
}

export function sendEvents(response: ServerResponse, frames: readonly string[], headers: object = {}): void {
  response.writeHead(200, { "content-type": "text/event-stream", ...headers });
  response.end(frames.join(""));
}

/** Answers chat requests with a fixture, as a stream or whole, as it was asked. */
export function answerWith(name: string, headers: object = {}): Answer {
  return ({ body }, response) => {
    if (body.stream === true) sendEvents(response, [...fixtureFrames(name), DONE], headers);
    else sendJson(response, 200, fixtureJson(name), headers);
  };
}
