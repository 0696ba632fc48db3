import { describe, expect, it } from "vitest";
import { toOutgoing } from "./outgoing.ts";

const BASE = "https://api.example/v1";
const decode = (body: Uint8Array | undefined) => new TextDecoder().decode(body);

describe("toOutgoing", () => {
  const bytes = new TextEncoder().encode("{}");
  it.each([
    ["a string", "{}", "text/plain;charset=UTF-8"],
    ["bytes", bytes, null],
    ["an ArrayBuffer", bytes.buffer, null],
    ["a DataView", new DataView(bytes.buffer), null],
    ["a Blob", new Blob(["{}"], { type: "application/json" }), "application/json"],
  ])("takes %s byte for byte", async (_kind, body, type) => {
    const outgoing = await toOutgoing(`${BASE}/chat/completions`, { method: "POST", body }, [BASE]);
    expect(decode(outgoing.body)).toBe("{}");
    expect(outgoing.headers.get("content-type")).toBe(type);
    expect(outgoing).toMatchObject({ method: "POST", path: "/chat/completions" });
  });

  it("takes URLSearchParams", async () => {
    const outgoing = await toOutgoing(`${BASE}/x`, { method: "POST", body: new URLSearchParams({ a: "ü" }) }, [BASE]);
    expect(decode(outgoing.body)).toBe("a=%C3%BC");
    expect(outgoing.headers.get("content-type")).toMatch(/^application\/x-www-form-urlencoded/);
  });

  it("takes a Request, and init wins over it", async () => {
    const request = new Request(`${BASE}/chat/completions?a=1`, {
      method: "POST",
      body: "{}",
      headers: { "x-a": "1" },
    });
    const outgoing = await toOutgoing(request, undefined, [BASE]);
    expect(decode(outgoing.body)).toBe("{}");
    expect(outgoing.path).toBe("/chat/completions?a=1");
    expect(outgoing.headers.get("x-a")).toBe("1");
    expect((await toOutgoing(request, { body: "[]" }, [BASE])).body).toEqual(new TextEncoder().encode("[]"));
  });

  it("copies the caller's buffer", async () => {
    const body = new Uint8Array([1, 2, 3]);
    const outgoing = await toOutgoing(`${BASE}/x`, { method: "POST", body }, [BASE]);
    body[0] = 9;
    expect(outgoing.body?.[0]).toBe(1);
  });

  it.each([
    ["a stream", new ReadableStream()],
    ["a multipart form", new FormData()],
  ])("refuses %s by name", async (kind, body) => {
    const sending = toOutgoing(`${BASE}/x`, { method: "POST", body }, [BASE]);
    await expect(sending).rejects.toMatchObject({ code: "unsupported_body", detail: kind });
  });

  it("refuses a Request that holds a multipart form", async () => {
    const request = new Request(`${BASE}/x`, { method: "POST", body: new FormData() });
    await expect(toOutgoing(request, undefined, [BASE])).rejects.toMatchObject({ code: "unsupported_body" });
  });

  it.each([
    "https://evil.example/v1/chat/completions",
    "http://api.example/v1/chat/completions",
    "https://api.example/v2/chat",
    "https://api.example/v1x/chat",
    "https://api.example:444/v1/chat",
    "/v1/chat",
  ])("refuses the foreign address %s", async (url) => {
    await expect(toOutgoing(url, {}, [BASE])).rejects.toMatchObject({ code: "foreign_origin" });
  });
});
