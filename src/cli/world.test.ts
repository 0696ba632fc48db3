import { describe, expect, it } from "vitest";
import { thrownBy } from "../../test/support/thrown-by.ts";
import { ZephError } from "../errors.ts";
import { namesProxy, proxyFor, throughProxies } from "./world.ts";

const HTTPS = new URL("https://api.example/v1/models");
const HTTP = new URL("http://api.example:8000/v1/models");
const PROXY = "http://127.0.0.1:3128";

describe("proxyFor", () => {
  it.each([
    [{ HTTPS_PROXY: PROXY }, "HTTPS_PROXY"],
    [{ https_proxy: PROXY, HTTPS_PROXY: "http://other.example" }, "https_proxy"],
    [{ https_proxy: "", HTTPS_PROXY: PROXY }, "HTTPS_PROXY"],
    [{ https_proxy: " ", HTTPS_PROXY: PROXY }, "HTTPS_PROXY"],
    [{ HTTPS_PROXY: "127.0.0.1:3128" }, "HTTPS_PROXY"],
    [{ HTTPS_PROXY: " 127.0.0.1:3128 " }, "HTTPS_PROXY"],
    [{ ALL_PROXY: PROXY }, "ALL_PROXY"],
    [{ all_proxy: "127.0.0.1:3128", HTTPS_PROXY: "" }, "all_proxy"],
    [{ HTTP_PROXY: PROXY }, "HTTP_PROXY"],
  ])("with %j goes through the proxy for https", (env, variable) => {
    expect(namesProxy(env)).toBe(true);
    const proxy = proxyFor(HTTPS, env);
    expect(proxy?.variable).toBe(variable);
    expect(proxy?.url.origin).toBe(PROXY);
  });

  it.each([[{}], [{ HTTPS_PROXY: "" }], [{ HTTPS_PROXY: PROXY }]])("with %j goes straight for http", (env) => {
    expect(proxyFor(HTTP, env)).toBeUndefined();
  });

  it("takes a name without dots, IPv6, a name and password, and SOCKS", () => {
    expect(proxyFor(HTTPS, { HTTPS_PROXY: "proxy:8080" })?.url.href).toBe("http://proxy:8080/");
    expect(proxyFor(HTTPS, { HTTPS_PROXY: "[::1]:3128" })?.url.host).toBe("[::1]:3128");
    expect(proxyFor(HTTPS, { HTTPS_PROXY: "ann:pass@proxy:8080" })?.url.username).toBe("ann");
    expect(proxyFor(HTTPS, { ALL_PROXY: "socks5h://proxy:1080" })?.url.protocol).toBe("socks5:");
  });

  it.each(["http://", "http://:3128", "127.0.0.1:port", "ftp://proxy:21", "http://a b", "http://user:s3cretword@:1"])(
    "names the variable that holds %j, and not what it holds",
    (value) => {
      const error = thrownBy(() => proxyFor(HTTPS, { HTTPS_PROXY: value }));
      expect(error.code).toBe("config_invalid");
      expect(error.detail).toContain("HTTPS_PROXY");
      expect(error.hint).toContain("unset HTTPS_PROXY");
      expect(JSON.stringify(error)).not.toContain("s3cretword");
    },
  );

  it.each([
    ["api.example", true],
    ["API.EXAMPLE", true],
    ["example", true],
    [".example", true],
    ["*.example", true],
    ["*", true],
    ["other, api.example", true],
    ["other api.example", true],
    ["api.example:443", true],
    ["api.example:8443", false],
    ["pi.example", false],
    ["other", false],
    ["", false],
  ])("NO_PROXY=%j: straight is %s", (noProxy, isStraight) => {
    expect(proxyFor(HTTPS, { HTTPS_PROXY: PROXY, NO_PROXY: noProxy }) === undefined).toBe(isStraight);
    expect(proxyFor(HTTPS, { HTTPS_PROXY: PROXY, no_proxy: "", NO_PROXY: noProxy }) === undefined).toBe(isStraight);
  });

  it("knows IPv6 hosts in NO_PROXY with and without brackets", () => {
    for (const NO_PROXY of ["::1", "[::1]", "[::1]:8000"]) {
      expect(proxyFor(new URL("http://[::1]:8000/v1"), { HTTP_PROXY: PROXY, NO_PROXY })).toBeUndefined();
    }
  });
});

describe("throughProxies", () => {
  const failing = (cause: Error) => async () => {
    throw new TypeError("fetch failed", { cause });
  };
  const errorOf = async (cause: Error, env: Record<string, string> = { HTTPS_PROXY: PROXY }) =>
    throughProxies(env, () => failing(cause))(HTTPS.href).catch((error: unknown) => error);
  const coded = (code: string, message = code) => Object.assign(new Error(message), { code });

  it("opens one way for each proxy, and one for none", async () => {
    const opened: (string | undefined)[] = [];
    const fetch = throughProxies({ HTTPS_PROXY: PROXY, NO_PROXY: "near.example" }, (proxy) => {
      opened.push(proxy);
      return async () => new Response("");
    });
    for (const url of [HTTPS.href, HTTPS.href, "https://near.example/", HTTP.href]) await fetch(url);
    expect(opened).toEqual([`${PROXY}/`, undefined]);
  });

  it.each([
    [coded("ECONNREFUSED"), /the proxy 127.0.0.1:3128 \(HTTPS_PROXY\): connection refused/, /unset HTTPS_PROXY/],
    [coded("ENOTFOUND"), /the proxy .*host name is not known/, /Check the address in HTTPS_PROXY/],
    [coded("UND_ERR_CONNECT_TIMEOUT"), /the proxy .*no connection in time/, /NO_PROXY=api.example/],
    [
      coded("UND_ERR_ABORTED", "Proxy response (407) !== 200 when HTTP Tunneling"),
      /407/,
      /NAME:PASSWORD@127.0.0.1:3128/,
    ],
    [
      coded("UND_ERR_ABORTED", "Proxy response (403) !== 200 when HTTP Tunneling"),
      /answered 403/,
      /may reach api.example/,
    ],
  ])("says what the proxy did: %s", async (cause, detail, hint) => {
    const error = await errorOf(cause);
    expect(ZephError.is(error) && [error.code, error.detail, error.hint]).toEqual([
      "unreachable",
      expect.stringMatching(detail),
      expect.stringMatching(hint),
    ]);
  });

  it("repeats no password of the variable", async () => {
    const env = { HTTPS_PROXY: "http://ann:s3cretword@proxy:8080" };
    for (const cause of [coded("ECONNREFUSED"), coded("X", "Proxy response (407) !== 200 when HTTP Tunneling")]) {
      const error = await errorOf(cause, env);
      expect(ZephError.is(error) && `${error.message} ${error.hint}`).not.toMatch(/s3cretword|ann/);
    }
  });

  it.each(["ECONNRESET", "UND_ERR_SOCKET", "UNABLE_TO_GET_ISSUER_CERT_LOCALLY"])(
    "leaves %s, which may be of the endpoint behind it",
    async (code) => {
      const cause = coded(code);
      expect(await errorOf(cause)).toMatchObject({ message: "fetch failed", cause });
    },
  );
});
