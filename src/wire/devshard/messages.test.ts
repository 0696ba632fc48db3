import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { type HostRemedy, readHostRefusal } from "./messages.ts";

interface Exchange {
  readonly name: string;
  readonly status?: number;
  readonly response_headers?: Readonly<Record<string, string>>;
  readonly response_body?: string;
}

const { http } = JSON.parse(readFileSync(new URL("../../../vectors/devshard.json", import.meta.url), "utf8"));

function captured(name: string) {
  const found = (http.exchanges as readonly Exchange[]).find((each) => each.name === name);
  const { status = 0, response_headers = {}, response_body = "" } = found ?? {};
  return readHostRefusal(status, response_body, response_headers["X-Devshard-Error"] ?? null);
}

describe("what refusals of real hosts ask for", () => {
  const expected: readonly (readonly [string, HostRemedy])[] = [
    ["gap", "resend"],
    ["root_mismatch", "diverged"],
    ["bad_user_sig", "diverged"],
    ["drift", "resign"],
    ["no_headers", "stop"],
    ["short_signature", "stop"],
    ["stranger", "stop"],
    ["other_version", "stop"],
    ["requests_disabled", "paused"],
    ["bad_json", "stop"],
    ["payload_prompt_mismatch", "stop"],
    ["payload_params_mismatch", "stop"],
    ["get_unknown_escrow", "elsewhere"],
    ["get_unknown_path", "elsewhere"],
    ["verify_unknown_inference", "elsewhere"],
  ];
  it.each(expected)("%s: %s", (name, remedy) => {
    expect(captured(name).remedy).toBe(remedy);
  });

  it("tell the next nonce of a host, the version it is bound to, and both roots", () => {
    expect(captured("gap")).toMatchObject({ expected: 6, code: "invalid_nonce" });
    expect(captured("other_version").boundVersion).toBe("v4");
  });

  it.each([429, 503, 502])("%i is asked again", (status) => {
    expect(readHostRefusal(status, "<html>busy</html>", null).remedy).toBe("again");
  });

  it("are shown in their own words, and bounded", () => {
    expect(readHostRefusal(500, '{"message":"engine on fire"}', null).text).toBe("engine on fire");
    expect(readHostRefusal(500, "x".repeat(10_000), null).text.length).toBeLessThan(1_000);
  });
});
