import type { HttpBindings } from "@hono/node-server";

/** The TCP connection under a request, for the faults that HTTP has no word for. */
export interface RawConnection {
  /** Ends it after what was written has left, without the end that HTTP wants. */
  close(): void;
  /** Ends it with a TCP reset. */
  reset(): void;
}

/** The connection of a request that came through our server; none when the app was called as a function. */
export function rawConnection(bindings: Partial<HttpBindings> | undefined): RawConnection | undefined {
  const socket = bindings?.incoming?.socket;
  if (socket === undefined) return undefined;
  return {
    close: () => socket.destroySoon(),
    reset: () => {
      // The empty write is called back after all earlier ones; a reset before that would take them along.
      socket.write("", () => socket.resetAndDestroy());
    },
  };
}
