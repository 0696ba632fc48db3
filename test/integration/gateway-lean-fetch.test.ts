import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { brotliCompressSync, deflateSync, gzipSync } from "node:zlib";
import { Agent } from "undici";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { leanFetch, plainFetch } from "../../src/cli/lean-fetch.ts";
import { isKeepAliveRace } from "../../src/transport/attempt.ts";
import { readNetworkFailure } from "../../src/wire/refusals.ts";

const agent = new Agent();
let answer: (request: IncomingMessage, response: ServerResponse) => void;
const server = createServer((request, response) => answer(request, response));
let origin: string;

beforeAll(async () => {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(async () => {
  await agent.destroy();
  server.closeAllConnections();
  server.close();
});
afterEach(() => {
  answer = (_request, response) => response.end();
});

const FETCHES = [
  { name: "undici", lean: leanFetch(agent), own: [] },
  { name: "node:http", lean: plainFetch(), own: ["accept", "user-agent"] },
];

describe.each(FETCHES)("a fetch on $name", ({ lean, own }) => {
  describe("as the transport uses it", () => {
    it.each<[string, string | Uint8Array<ArrayBuffer>]>([
      ["text", "grüß"],
      ["bytes", new TextEncoder().encode("grüß")],
    ])("sends method, path, headers and a body of %s", async (_, body) => {
      answer = async (request, response) => {
        let text = "";
        for await (const piece of request.setEncoding("utf8")) text += piece;
        response.end(JSON.stringify({ method: request.method, url: request.url, headers: request.headers, text }));
      };
      const headers = new Headers({ "X-One": "1", "content-type": "text/plain" });
      const seen = (await (await lean(`${origin}/a/b?c=d`, { method: "POST", headers, body })).json()) as object;
      expect(seen).toMatchObject({
        method: "POST",
        url: "/a/b?c=d",
        text: "grüß",
        headers: { "x-one": "1", "content-type": "text/plain", "content-length": "6" },
      });
    });

    it("sends nothing else by itself, and gets by default", async () => {
      answer = (request, response) =>
        response.end(JSON.stringify({ method: request.method, names: Object.keys(request.headers) }));
      expect(await (await lean(new URL(origin))).json()).toEqual({
        method: "GET",
        names: [...own, "host", "connection"],
      });
    });

    it("refuses bodies that cannot be sent again", async () => {
      await expect(lean(origin, { method: "POST", body: new FormData() })).rejects.toThrow(TypeError);
    });

    it("gives status, headers and bytes as they came", async () => {
      answer = (_request, response) => {
        response.writeHead(418, { "x-a": ["1", "2"], "content-type": "application/json" });
        response.end(Buffer.from([0, 255, 10]));
      };
      const response = await lean(origin);
      expect([response.status, response.ok, response.headers.get("x-a")]).toEqual([418, false, "1, 2"]);
      expect([...new Uint8Array(await response.arrayBuffer())]).toEqual([0, 255, 10]);
    });

    it("follows no redirect", async () => {
      answer = (_request, response) => response.writeHead(307, { location: "http://127.0.0.1:1/" }).end();
      expect((await lean(origin)).status).toBe(307);
    });

    it("takes answers without a body", async () => {
      answer = (_request, response) => response.writeHead(204).end();
      expect((await lean(origin)).body).toBeNull();
    });

    it.each([
      ["gzip", gzipSync],
      ["br", brotliCompressSync],
      ["deflate", deflateSync],
    ] as const)("reads %s, which it did not ask for", async (coding, compress) => {
      answer = (_request, response) =>
        response.writeHead(200, { "content-encoding": coding }).end(compress("hello ".repeat(1000)));
      expect(await (await lean(origin)).text()).toBe("hello ".repeat(1000));
    });

    it("fails where coded bytes are none", async () => {
      answer = (_request, response) => response.writeHead(200, { "content-encoding": "gzip" }).end("no gzip");
      await expect((await lean(origin)).text()).rejects.toThrow();
    });
  });

  describe("the end", () => {
    it("of a signal before the headers is its reason, and reaches the server", async () => {
      const controller = new AbortController();
      const reason = new Error("enough");
      const closed = new Promise((resolve) => {
        answer = (request) => {
          request.on("close", resolve);
          controller.abort(reason);
        };
      });
      await expect(lean(origin, { signal: controller.signal })).rejects.toBe(reason);
      await closed;
    });

    it("of a signal that was aborted already: nothing is sent", async () => {
      let requests = 0;
      answer = () => {
        requests += 1;
      };
      await expect(lean(origin, { signal: AbortSignal.abort(new Error("enough")) })).rejects.toThrow("enough");
      expect(requests).toBe(0);
    });

    it.each(["signal", "cancel"] as const)("by %s in the middle of the body reaches the server", async (how) => {
      const controller = new AbortController();
      const closed = new Promise((resolve) => {
        answer = (_request, response) => {
          response.on("close", resolve);
          response.write("first");
        };
      });
      const reader = (await lean(origin, { signal: controller.signal })).body?.getReader();
      expect(Buffer.from((await reader?.read())?.value ?? []).toString()).toBe("first");
      const rest = reader?.read();
      if (how === "signal") {
        controller.abort(new Error("enough"));
        await expect(rest).rejects.toThrow("enough");
      } else {
        await reader?.cancel();
      }
      await closed;
    });

    it("of the connection in the middle of the body is an error", async () => {
      answer = (_request, response) => {
        response.writeHead(200, { "content-length": "100" });
        response.write("half", () => response.destroy());
      };
      await expect((await lean(origin)).text()).rejects.toThrow();
    });

    it("of the connection before an answer is one the transport can name", async () => {
      answer = (_request, response) => response.destroy();
      const thrown = await lean(origin).catch((error: unknown) => error);
      expect(readNetworkFailure(thrown)).toMatchObject({ requestLeft: true, error: { code: "unreachable" } });
    });

    it("where nobody listens: the transport knows that nothing was sent", async () => {
      const thrown = await lean("http://127.0.0.1:9").catch((error: unknown) => error);
      expect(readNetworkFailure(thrown)).toMatchObject({ requestLeft: false, error: { detail: "connection refused" } });
    });
  });

  it("reads no further than its reader", async () => {
    let written = 0;
    let isOver = false;
    answer = (_request, response) => {
      const piece = Buffer.alloc(64 * 1024);
      response.on("close", () => {
        isOver = true;
      });
      const more = () => {
        while (!isOver && written < 200_000_000) {
          written += piece.length;
          if (!response.write(piece)) return;
        }
      };
      response.on("drain", more);
      more();
    };
    const reader = (await lean(origin)).body?.getReader();
    await reader?.read();
    let before = -1;
    while (before !== written) {
      before = written;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    expect(written).toBeLessThan(50_000_000);
    await reader?.cancel();
  });
});

it("a request on node:http that met a closing connection may go again, unless the server promised to keep it", async () => {
  const lean = plainFetch();
  let connections = 0;
  server.on("connection", () => {
    connections += 1;
  });
  answer = (request, response) => {
    if (request.url === "/first") response.end("one");
    else response.destroy();
  };
  expect(await (await lean(`${origin}/first`)).text()).toBe("one");
  const before = connections;
  const thrown = await lean(`${origin}/second`).catch((error: unknown) => error);
  // Node promises to keep connections (Keep-Alive: timeout=5), so this was no race, whoever sent it.
  expect([connections, isKeepAliveRace(thrown, 1)]).toEqual([before, false]);
  answer = (request, response) => {
    response.shouldKeepAlive = true;
    response.setHeader("connection", "keep-alive");
    response.removeHeader("keep-alive");
    if (request.url === "/third") response.writeHead(200, { "content-length": 3, "keep-alive": "max=9" }).end("one");
    else response.destroy();
  };
  expect(await (await lean(`${origin}/third`)).text()).toBe("one");
  const raced = await lean(`${origin}/fourth`).catch((error: unknown) => error);
  expect(isKeepAliveRace(raced, 1)).toBe(true);
});
