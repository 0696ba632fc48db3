import type { Server } from "node:http";
import type { Socket } from "node:net";

/** The connections of a server that have no request under way. */
export interface IdleConnections {
  /** Closes them, and from now on every connection whose request has ended. */
  close(): void;
}

/** Node's own `closeIdleConnections` leaves those open that never sent anything, such as a browser's spare ones. */
export function idleConnections(server: Server): IdleConnections {
  const idle = new Set<Socket>();
  let isClosing = false;
  server.on("connection", (socket) => {
    idle.add(socket);
    socket.once("close", () => idle.delete(socket));
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
