import { describe, expect, it } from "vitest";
import { thrownBy } from "../../../test/support/thrown-by.ts";
import { isLoopbackHost, serveChoices } from "./serve.ts";

describe("serveChoices", () => {
  it("keeps to this computer by default", () => {
    expect(serveChoices({}, {})).toEqual({
      port: 8424,
      host: "127.0.0.1",
      aliases: {},
      keyRequired: true,
      allowedOrigins: [],
      allowedHosts: [],
      upstreamMode: "as-asked",
      cleanUp: "network",
    });
  });

  it("takes the config's table, and flags before it", () => {
    const settings = {
      port: 9000,
      host: "localhost",
      aliases: { a: "one", b: "two" },
      cors: ["http://a.example"],
      allowHosts: ["box"],
      alwaysStream: true,
      cleanUp: false,
    };
    expect(serveChoices({ auth: true, cleanUp: true }, settings)).toEqual({
      port: 9000,
      host: "localhost",
      aliases: { a: "one", b: "two" },
      keyRequired: true,
      allowedOrigins: ["http://a.example"],
      allowedHosts: ["box"],
      upstreamMode: "always-stream",
      cleanUp: "none",
    });
    const flags = {
      port: "0",
      host: "::1",
      alias: ["b=three=3", "c=x/y"],
      cors: ["app://obsidian.md/"],
      allowHost: ["docker"],
    };
    expect(serveChoices(flags, settings)).toMatchObject({
      port: 0,
      host: "::1",
      aliases: { a: "one", b: "three=3", c: "x/y" },
      allowedOrigins: ["http://a.example", "app://obsidian.md"],
      allowedHosts: ["box", "docker"],
    });
  });

  it("takes an IPv6 address with or without brackets", () => {
    expect(serveChoices({ host: "[::1]", auth: false }, {}).host).toBe("::1");
  });

  it("lets callers use the name of an address that is not this computer's own", () => {
    expect(serveChoices({ host: "192.168.1.5" }, {}).allowedHosts).toEqual(["192.168.1.5"]);
  });

  it.each<[object, RegExp]>([
    [{ port: "eighty" }, /--port/],
    [{ port: "65536" }, /--port/],
    [{ port: "-1" }, /--port/],
    [{ alias: ["gpt-4o"] }, /--alias/],
    [{ alias: ["=x"] }, /--alias/],
    [{ alias: ["a=b c"] }, /--alias/],
    [{ cors: ["*"] }, /--cors/],
    [{ cors: ["http://a.example/path"] }, /--cors/],
    [{ auth: false, host: "0.0.0.0" }, /spend your money/],
    [{ auth: false, host: "192.168.1.5" }, /spend your money/],
    [{ auth: false, host: "::" }, /spend your money/],
  ])("refuses %j", (flags, detail) => {
    expect(thrownBy(() => serveChoices(flags, {}))).toMatchObject({
      code: "usage",
      detail: expect.stringMatching(detail),
    });
  });

  it.each(["127.0.0.1", "127.1.2.3", "localhost", "::1"])("needs no key on %s when told so", (host) => {
    expect(isLoopbackHost(host)).toBe(true);
    expect(serveChoices({ auth: false, host }, {}).keyRequired).toBe(false);
  });
});
