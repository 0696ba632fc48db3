import { describe, expect, it } from "vitest";
import { thrownBy } from "../../test/support/thrown-by.ts";
import { compareVersions, formatVersion, isClassicInferenceRetired, parseVersion, parseVersions } from "./versions.ts";

describe("parseVersions", () => {
  it("reads what a node answers", () => {
    const versions = parseVersions({
      timestamp: "2026-05-01T12:00:00Z",
      api_version: { application_name: "decentralized-api", version: "release/v0.2.13-post4", commit: "8a35022b" },
      node_version: { application_name: "inferenced", version: "v0.2.13", commit: "x" },
    });
    expect(versions).toEqual({
      apiVersion: { major: 0, minor: 2, patch: 13 },
      apiVersionText: "release/v0.2.13-post4",
      chainVersionText: "v0.2.13",
    });
  });

  it.each([
    {},
    { api_version: null },
    { api_version: { version: "" } },
    { api_version: { version: "dirty-8a35022b" } },
  ])("knows no version in %j, which does not count as retired", (value) => {
    expect(parseVersions(value).apiVersion).toBeUndefined();
    expect(isClassicInferenceRetired(parseVersions(value).apiVersion)).toBe(false);
  });

  it.each([
    [{}],
    [{ api_version: null }],
    [{ api_version: { version: "" } }],
    [{ api_version: { version: "  " } }],
    [{ api_version: { version: "dirty-8a35022b" } }],
    [{ api_version: { version: 2 } }],
    [{ api_version: [] }],
  ])("goes by the chain node's version beside %j", (value) => {
    const versions = parseVersions({ ...value, node_version: { version: "v0.2.15-post1" } });
    expect(versions).toMatchObject({ apiVersion: { major: 0, minor: 2, patch: 15 }, apiVersionText: "v0.2.15-post1" });
    expect(isClassicInferenceRetired(versions.apiVersion)).toBe(true);
  });

  it("goes by the API's own version where both can be read", () => {
    const versions = parseVersions({ api_version: { version: "0.2.13" }, node_version: { version: "0.2.14" } });
    expect(versions.apiVersionText).toBe("0.2.13");
  });

  it("reads a version that stands without an object around it", () => {
    expect(parseVersions({ api_version: "v0.2.13" }).apiVersion).toEqual({ major: 0, minor: 2, patch: 13 });
  });

  it("keeps what it cannot read, to show it, and nothing where there are only blanks", () => {
    expect(parseVersions({ api_version: { version: "dirty-8a35022b" } }).apiVersionText).toBe("dirty-8a35022b");
    expect(parseVersions({ api_version: { version: " " } }).apiVersionText).toBeUndefined();
  });

  it.each([null, [], "v0.2.13"])("refuses %j", (value) => {
    expect(thrownBy(() => parseVersions(value)).code).toBe("bad_response");
  });
});

describe("isClassicInferenceRetired", () => {
  it.each([
    ["0.2.5", false],
    ["v0.2.13", false],
    ["0.2.13-post7", false],
    ["0.2.9", false],
    ["0.2.14", true],
    ["release/v0.2.14-rc1", true],
    ["v0.2.15-post2", true],
    ["0.2.100", true],
    ["0.3.0", true],
    ["1.0.0", true],
    ["0.1.99", false],
  ])("of %s is %s", (text, retired) => {
    expect(isClassicInferenceRetired(parseVersion(text))).toBe(retired);
  });
});

describe("parseVersion", () => {
  it("refuses what has no three numbers", () => {
    expect(parseVersion("v0.2")).toBeUndefined();
    expect(parseVersion("10.0.0.1")).toEqual({ major: 10, minor: 0, patch: 0 });
  });

  it("is undone by formatVersion, and ordered by compareVersions", () => {
    const ordered = ["0.2.9", "0.2.10", "0.10.0", "1.0.0"].map((text) => parseVersion(text)!);
    expect(ordered.map(formatVersion)).toEqual(["0.2.9", "0.2.10", "0.10.0", "1.0.0"]);
    expect([...ordered].reverse().sort(compareVersions)).toEqual(ordered);
  });
});
