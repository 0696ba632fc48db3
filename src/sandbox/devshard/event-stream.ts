import type { ServerResponse } from "node:http";
import type { Clock } from "../../internal/clock.ts";
import type { HostFaults } from "./host-faults.ts";

/** The answer to a chat request: server-sent events, with whatever oddities the host's switches ask for. */
export class EventStream {
  readonly #outgoing: ServerResponse;
  readonly #faults: HostFaults;
  readonly #clock: Clock;
  #lines = 0;

  constructor(outgoing: ServerResponse, faults: HostFaults, clock: Clock) {
    this.#outgoing = outgoing;
    this.#faults = faults;
    this.#clock = clock;
    outgoing.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-cache" });
  }

  /** An event of the protocol itself. */
  event(value: object): Promise<void> {
    return this.#write(JSON.stringify(value));
  }

  /** A piece of the answer. */
  async line(content: Buffer): Promise<void> {
    const { chunkDelayMs, comments, longLineBytes, textLine } = this.#faults;
    if (chunkDelayMs > 0) await this.#clock.sleep(chunkDelayMs);
    if (comments) await this.#send(Buffer.from(": keep-alive\n\nevent: chunk\nid: 1\nretry: 10\n"));
    const isFirst = this.#lines++ === 0;
    if (isFirst && textLine) await this.#write("upstream notice, no JSON");
    // Blanks are the one padding that leaves a JSON value as it was.
    await this.#write(isFirst ? content.toString().padEnd(longLineBytes, " ") : content.toString());
  }

  /** What Go's http.Error leaves in a stream that has already begun. */
  bareText(text: string): Promise<void> {
    return this.#send(Buffer.from(`${text}\n`));
  }

  done(): Promise<void> {
    return this.#write("[DONE]");
  }

  end(): void {
    this.#outgoing.end();
  }

  #write(data: string): Promise<void> {
    const end = this.#faults.crlf ? "\r\n" : "\n";
    return this.#send(Buffer.from(`data: ${data}${end}${end}`));
  }

  async #send(bytes: Buffer): Promise<void> {
    if (!this.#faults.splitUtf8) return this.#piece(bytes);
    const inside = bytes.findIndex((byte) => (byte & 0xc0) === 0x80);
    if (inside < 0) return this.#piece(bytes);
    await this.#piece(bytes.subarray(0, inside));
    // A turn of the loop, or the two would leave as one.
    await new Promise((resolve) => setImmediate(resolve));
    await this.#piece(bytes.subarray(inside));
  }

  /** Resolves when the client can take more, or is gone. */
  #piece(bytes: Buffer): Promise<void> {
    return new Promise((resolve) => {
      if (this.#outgoing.destroyed) return resolve();
      this.#outgoing.write(bytes, () => resolve());
    });
  }
}
