import { describe, expect, it } from "vitest";
import { ZephError } from "../../errors/zeph-error.ts";
import { renderError } from "./error.ts";

const render = (error: ZephError) => renderError(error, { color: false });

describe("renderError", () => {
  it.each([
    [7_000, "It asks to wait 7 s."],
    [3_600_000, "It asks to wait 60 min."],
    [36_000_000, "It asks to wait 10 h."],
  ])("tells how long a server asks to wait: %i ms", (retryAfterMs, words) => {
    expect(render(new ZephError("rate_limited", { retryAfterMs }))).toContain(words);
  });

  it("speaks of no wait and of no request id where there is none", () => {
    const card = render(new ZephError("upstream_error"));
    expect(card).not.toContain("asks to wait");
    expect(card).not.toContain("request id");
    expect(render(new ZephError("bad_response"))).not.toContain("request id");
  });

  it("gives the request id where there is one", () => {
    expect(render(new ZephError("upstream_error", { requestId: "req-1" }))).toContain("request id req-1");
  });
});
