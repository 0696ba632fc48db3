import { describe, expect, it } from "vitest";
import { readNetworkFailure } from "./network-error.ts";

const caused = (code: string) => new TypeError("fetch failed", { cause: Object.assign(new Error(code), { code }) });

describe("readNetworkFailure", () => {
  it.each([
    [caused("ECONNREFUSED"), false, "connection refused"],
    [caused("ENOTFOUND"), false, "the host name is not known"],
    [caused("DEPTH_ZERO_SELF_SIGNED_CERT"), false, "its TLS certificate is self-signed"],
    [caused("ECONNRESET"), true, "the connection was reset"],
    [caused("SOMETHING_NEW"), true, "SOMETHING_NEW"],
    [new TypeError("fetch failed"), true, "no answer"],
    ["a string", true, "no answer"],
  ])("%s: left %s, %s", (thrown, requestLeft, detail) => {
    expect(readNetworkFailure(thrown)).toMatchObject({ requestLeft, error: { code: "unreachable", detail } });
  });

  it("looks into the causes of a host with several addresses", () => {
    const refused = Object.assign(new Error("x"), { code: "ECONNREFUSED" });
    const thrown = new TypeError("fetch failed", { cause: new AggregateError([refused, refused]) });
    expect(readNetworkFailure(thrown)).toMatchObject({ requestLeft: false });
  });

  it("knows the ports that fetch itself refuses: nothing was sent", async () => {
    const thrown: unknown = await fetch("http://127.0.0.1:1/").catch((error) => error);
    expect(readNetworkFailure(thrown)).toMatchObject({
      requestLeft: false,
      error: { detail: "fetch refuses to connect to this port" },
    });
  });
});
