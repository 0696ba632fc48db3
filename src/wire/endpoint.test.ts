import { describe, expect, it } from "vitest";
import { thrownBy } from "../../test/support/thrown-by.ts";
import { isLoopback, normalizeBaseURL } from "./endpoint.ts";

describe("normalizeBaseURL", () => {
  it.each([
    ["https://api.gonkagate.com", "https://api.gonkagate.com/v1"],
    ["https://api.gonkagate.com/v1", "https://api.gonkagate.com/v1"],
    ["https://api.gonkagate.com/v1/", "https://api.gonkagate.com/v1"],
    ["https://api.gonkagate.com/v1/v1///", "https://api.gonkagate.com/v1"],
    ["https://host.example/v1/chat/completions", "https://host.example/v1"],
    ["http://node.example:8000/", "http://node.example:8000/v1"],
    ["http://127.0.0.1:18080/v1?x=1#y", "http://127.0.0.1:18080/v1"],
    ["https://host.example/proxy/v1", "https://host.example/proxy/v1"],
    ["  host.example  ", "https://host.example/v1"],
    ["127.0.0.1:18080", "http://127.0.0.1:18080/v1"],
    ["localhost:8424/v1", "http://localhost:8424/v1"],
    ["localhost.example:8424", "https://localhost.example:8424/v1"],
  ])("%s becomes %s", (typed, expected) => {
    expect(normalizeBaseURL(typed)).toBe(expected);
    expect(normalizeBaseURL(expected)).toBe(expected);
  });

  it.each([undefined, null, 5, {}])("refuses %j, which is no text", (value) => {
    expect(thrownBy(() => normalizeBaseURL(value as unknown as string)).code).toBe("wrong_url");
  });

  it.each(["", "ftp://host.example", "https://user:secret@host.example", "http://"])("refuses %j", (typed) => {
    expect(() => normalizeBaseURL(typed)).toThrow(expect.objectContaining({ code: "wrong_url" }));
  });
});

it.each([
  ["http://127.0.0.1:1/v1", true],
  ["http://127.1.2.3/v1", true],
  ["http://localhost/v1", true],
  ["http://[::1]:8080/v1", true],
  ["http://127.0.0.1.example/v1", false],
  ["http://10.0.0.1/v1", false],
  ["https://localhost.example/v1", false],
])("isLoopback(%s) is %s", (url, expected) => {
  expect(isLoopback(url)).toBe(expected);
});
