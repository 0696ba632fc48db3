/** What the messages of undici's diagnostics channels hold (nodejs/undici docs/docs/api/DiagnosticsChannel.md, 7.x). */
interface Message {
  readonly request?: object;
  readonly socket?: object;
  readonly response?: { readonly headers?: readonly unknown[] };
  readonly error?: unknown;
}

const socketOf = new WeakMap<object, object>();
/** Sockets that have brought an answer: whether the server said how long it would keep them open. */
const answeredBy = new WeakMap<object, { readonly promised: boolean }>();
const races = new WeakSet<Error>();

/** Longer than a round trip, shorter than any work a server could have done for the money. */
const RACE_MS = 1_000;

/**
 * A server may close a connection that has lain idle in the very moment in which the next request goes out on it. That
 * request was not read by anybody and may be sent again, on a connection of its own, as browsers do. It is taken for such
 * a race only when the connection had brought an answer before, the server never promised (`Keep-Alive: timeout=N`) to
 * keep it, not a byte of an answer came, and it broke at once. Everything else may have been read, and charged for.
 *
 * @param elapsedMs from the beginning of the attempt to its end
 */
export function isKeepAliveRace(thrown: unknown, elapsedMs: number): boolean {
  if (elapsedMs >= RACE_MS) return false;
  for (let error = thrown; error instanceof Error; error = error.cause) if (races.has(error)) return true;
  return false;
}

/** For a connection that undici knows nothing of: the error of a request that nobody read, by the same rule. */
export function noteKeepAliveRace(error: Error): void {
  races.add(error);
}

let isWatching = false;

/** Begins to watch connections, once. Node's own fetch and every undici publish there, whoever made the agent; elsewhere nobody does. */
export function watchConnections(): void {
  if (isWatching) return;
  isWatching = true;
  const { process: node } = globalThis as { readonly process?: Pick<NodeJS.Process, "getBuiltinModule"> };
  const channels = node?.getBuiltinModule?.("node:diagnostics_channel");
  if (channels === undefined) return;
  function on(channel: string, look: (message: Message) => void): void {
    channels?.subscribe(`undici:${channel}`, (message) => {
      if (typeof message === "object" && message !== null) look(message);
    });
  }
  on("client:sendHeaders", ({ request, socket }) => {
    if (request !== undefined && socket !== undefined) socketOf.set(request, socket);
  });
  on("request:headers", ({ request, response }) => {
    const socket = request === undefined ? undefined : socketOf.get(request);
    if (request === undefined || socket === undefined) return;
    answeredBy.set(socket, { promised: promisesToKeep(response?.headers ?? []) });
    socketOf.delete(request);
  });
  on("request:error", ({ request, error }) => {
    const socket = request === undefined ? undefined : socketOf.get(request);
    if (socket !== undefined && answeredBy.get(socket)?.promised === false && error instanceof Error) races.add(error);
  });
}

/** Names and values in turn, as bytes. */
function promisesToKeep(headers: readonly unknown[]): boolean {
  return headers.some(
    (name, index) =>
      index % 2 === 0 && /^keep-alive$/i.test(String(name)) && /timeout\s*=\s*\d/i.test(String(headers[index + 1])),
  );
}
