import type { Server } from "node:http";
import type { Socket } from "node:net";

/** The connections of a server that have no request under way. */
export interface IdleConnections {
  /** Closes them, and from now on every connection whose request has ended. */
  close(): void;
}

/**
 * Node's own `closeIdleConnections` leaves those open that never sent anything, such as a browser's spare ones; and its
 * `maxConnections` turns the newest away, so that a program which opens and forgets connections would shut out all others.
 * @param maxConnections beyond it the connection that has been idle longest makes room; a new one is closed when none is
 */
export function idleConnections(server: Server, maxConnections: number): IdleConnections {
  /** The one that has been idle longest stands first. */
  const idle = new Set<Socket>();
  let open = 0;
  let isClosing = false;
  server.on("connection", (socket) => {
    open += 1;
    socket.once("close", () => {
      open -= 1;
      idle.delete(socket);
    });
    if (open > maxConnections) {
      const [longestIdle = socket] = idle;
      idle.delete(longestIdle);
      longestIdle.destroy();
    }
    if (!socket.destroyed) idle.add(socket);
  });
  server.on("request", ({ socket }, outgoing) => {
    idle.delete(socket);
    outgoing.once("close", () => {
      if (socket.destroyed) return;
      if (isClosing) socket.destroySoon();
      else idle.add(socket);
    });
  });
  return {
    close() {
      isClosing = true;
      for (const socket of idle) socket.destroy();
    },
  };
}
