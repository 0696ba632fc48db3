// The one way from the page to `zeph serve`. The session is a cookie that scripts cannot read.

/** A refusal in the terminal's words: `message` says what happened, `hint` what to do next. */
export class ApiError extends Error {
  constructor({ code, message, hint, requestId, status }) {
    super(message);
    this.code = code;
    this.hint = hint;
    this.requestId = requestId;
    this.status = status;
  }
}

/** Calls the page's API. `body` is sent as JSON; the answer is JSON, or undefined where there is none. */
export async function call(path, { method = "GET", body, signal } = {}) {
  const response = await send(path, { method, body, signal });
  return response.status === 204 ? undefined : response.json();
}

/** Calls the page's API and gives `[event, data]` for each event of the stream, until it ends. */
export async function* events(path, body, signal) {
  const response = await send(path, { method: "POST", body, signal });
  let rest = "";
  for await (const text of texts(response.body)) {
    const blocks = (rest + text).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const fields = Object.fromEntries(block.split("\n").map((line) => [line.split(":", 1)[0], after(line)]));
      if (fields.data !== undefined) yield [fields.event ?? "message", JSON.parse(fields.data)];
    }
  }
}

/** Spends the one-time token of the printed link for a session of this run. */
export const openSession = (token) => call("session", { method: "POST", body: { token } });

async function send(path, { method, body, signal }) {
  let response;
  try {
    response = await fetch(`/page/api/${path}`, {
      method,
      signal,
      cache: "no-store",
      headers: {
        ...(method === "GET" ? {} : { "x-zeph-page": "1" }),
        ...(body === undefined ? {} : { "content-type": "application/json" }),
      },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (cause) {
    if (signal?.aborted) throw cause;
    throw new ApiError({
      code: "unreachable",
      message: "zeph serve does not answer.",
      hint: "Start it again with: zeph serve. Then open the link that it prints.",
    });
  }
  if (response.ok) return response;
  const told = await response.json().catch(() => undefined);
  throw new ApiError({
    code: "unexpected",
    message: `zeph serve answered with status ${response.status}.`,
    ...told?.error,
    status: told?.error?.status ?? response.status,
  });
}

/** Safari cannot iterate a body, so it is read by hand. */
async function* texts(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    reader.cancel().catch(() => undefined);
  }
}

const after = (line) => line.slice(line.indexOf(":") + 1).replace(/^ /, "");
