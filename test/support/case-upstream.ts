import { createServer, type Socket } from "node:net";

/** One answer, as a case writes it (test/cases). */
export interface CaseAnswer {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly json?: unknown;
  readonly text?: string;
  readonly base64?: string;
  readonly events?: readonly CaseEvent[];
}

export type CaseEvent =
  | string
  | { readonly raw?: string; readonly hex?: string; readonly sleep?: number; readonly bigText?: number };

export type CaseScript = Readonly<Partial<Record<"stream" | "whole" | "any", CaseAnswer | readonly CaseAnswer[]>>>;

/** The bytes of an answer's body, a piece for each that is sent by itself; `undefined` stands for a pause. */
export function caseBody({ json, text, base64, events = [] }: CaseAnswer): readonly (Buffer | undefined)[] {
  if (json !== undefined) return [Buffer.from(JSON.stringify(json))];
  if (text !== undefined) return [Buffer.from(text)];
  if (base64 !== undefined) return [Buffer.from(base64, "base64")];
  return events.map((event) => {
    if (typeof event === "string") return Buffer.from(`data: ${event}\n\n`);
    if (event.sleep !== undefined) return undefined;
    if (event.hex !== undefined) return Buffer.from(event.hex, "hex");
    if (event.bigText === undefined) return Buffer.from(event.raw ?? "");
    const choice = { index: 0, delta: { content: "x".repeat(event.bigText) }, finish_reason: null };
    return Buffer.from(`data: ${JSON.stringify({ id: "c1", choices: [choice] })}\n\n`);
  });
}

export interface CaseUpstream extends AsyncDisposable {
  readonly baseURL: string;
  /** What was asked last, and how often anything was asked since `answer`. */
  readonly asked: { readonly count: number; readonly body: Readonly<Record<string, unknown>> | undefined };
  /** Answers like this from now on. `pause` is waited for wherever the case pauses. */
  answer(script: CaseScript, pause?: () => Promise<void>): void;
}

/** A server on bare sockets that answers chat requests as a case tells: what it sends is what the case says, byte for byte. */
export async function caseUpstream(): Promise<CaseUpstream> {
  let script: CaseScript = {};
  let pause = () => Promise.resolve();
  let count = 0;
  let body: Readonly<Record<string, unknown>> | undefined;
  const sockets = new Set<Socket>();

  async function reply(socket: Socket, head: string, content: string): Promise<void> {
    if (!head.startsWith("POST") || !/^\S+ \S*\/chat\/completions\b/.test(head)) {
      const models = JSON.stringify({ object: "list", data: [{ id: "m", object: "model" }] });
      socket.write(
        `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${models.length}\r\n\r\n${models}`,
      );
      return;
    }
    const request: Readonly<Record<string, unknown>> = JSON.parse(content);
    body = request;
    count += 1;
    const found = script[request.stream === true ? "stream" : "whole"] ?? script.any ?? script.stream ?? script.whole;
    const list = [found ?? { status: 500, text: "no script" }].flat();
    const answer = list[Math.min(count, list.length) - 1] ?? {};
    const { status = 200, headers, events } = answer;
    const type = { "content-type": events === undefined ? "application/json" : "text/event-stream" };
    const lines = Object.entries(headers ?? type).map(([name, value]) => `${name}: ${value}\r\n`);
    socket.write(`HTTP/1.1 ${status} Case\r\n${lines.join("")}transfer-encoding: chunked\r\n\r\n`);
    for (const piece of caseBody(answer)) {
      if (piece === undefined) await pause();
      else if (piece.length > 0) {
        socket.write(Buffer.concat([Buffer.from(`${piece.length.toString(16)}\r\n`), piece, Buffer.from("\r\n")]));
      }
    }
    socket.write("0\r\n\r\n");
  }

  const server = createServer((socket) => {
    sockets.add(socket);
    let received = Buffer.alloc(0);
    socket.on("error", () => {});
    socket.on("close", () => sockets.delete(socket));
    socket.on("data", (bytes) => {
      received = Buffer.concat([received, bytes]);
      const end = received.indexOf("\r\n\r\n");
      if (end === -1) return;
      const head = received.toString("latin1", 0, end);
      const length = Number(/^content-length: *(\d+)/im.exec(head)?.[1] ?? 0);
      if (received.length < end + 4 + length) return;
      const content = received.toString("utf8", end + 4, end + 4 + length);
      received = received.subarray(end + 4 + length);
      reply(socket, head, content).catch((error) => socket.destroy(error));
    });
  });
  await new Promise<void>((settle) => server.listen(0, "127.0.0.1", settle));
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  return {
    baseURL: `http://127.0.0.1:${port}/v1`,
    get asked() {
      return { count, body };
    },
    answer(given, wait = () => Promise.resolve()) {
      script = given;
      pause = wait;
      count = 0;
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((settle) => server.close(settle));
    },
  };
}
