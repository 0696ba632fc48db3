import { describe, expect, it } from "vitest";
import { ZephError } from "../errors/zeph-error.ts";
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

  it.each([
    ["UNABLE_TO_GET_ISSUER_CERT_LOCALLY", /authority/, /NODE_EXTRA_CA_CERTS=/],
    ["SELF_SIGNED_CERT_IN_CHAIN", /authority/, /NODE_EXTRA_CA_CERTS=/],
    ["DEPTH_ZERO_SELF_SIGNED_CERT", /self-signed/, /NODE_EXTRA_CA_CERTS=/],
    ["UNABLE_TO_VERIFY_LEAF_SIGNATURE", /authority/, /NODE_EXTRA_CA_CERTS=/],
    ["CERT_HAS_EXPIRED", /expired/, /date/],
    ["CERT_NOT_YET_VALID", /not valid yet/, /date/],
    ["ERR_TLS_CERT_ALTNAME_INVALID", /another host/, /base_url/],
    ["ERR_SSL_WRONG_VERSION_NUMBER", /does not speak TLS/, /http:\/\//],
    ["ERR_SSL_TLSV1_ALERT_UNKNOWN_CA", /TLS failed/, /zeph doctor/],
  ])("%s is TLS, before anything was sent, with its own way out", (code, detail, hint) => {
    const failure = readNetworkFailure(caused(code));
    expect(failure).toMatchObject({ requestLeft: false, stage: "tls", error: { code: "unreachable" } });
    expect(failure.error.detail).toMatch(detail);
    expect(failure.error.hint).toMatch(hint);
  });

  it("an answer that is not HTTP was asked for", () => {
    const failure = readNetworkFailure(caused("HPE_INVALID_CONSTANT"));
    expect(failure).toMatchObject({ requestLeft: true, error: { detail: "what came back is not HTTP" } });
  });

  it("leaves an error of ours, which a fetch that was given may throw, as it is", () => {
    const own = new ZephError("config_invalid", { detail: "HTTPS_PROXY" });
    expect(readNetworkFailure(own)).toMatchObject({ requestLeft: false, error: own });
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
