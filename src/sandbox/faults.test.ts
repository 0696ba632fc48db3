import { describe, expect, it } from "vitest";
import { FAULT_FORMS, parseFault } from "./faults.ts";

describe("parseFault", () => {
  it.each([
    ["refuse", { kind: "refuse" }],
    ["reset", { kind: "refuse", how: "reset" }],
    ["status:503", { kind: "status", status: 503 }],
    ["status:429@/chat/completions", { kind: "status", status: 429, on: "/chat/completions" }],
    ["html", { kind: "html-page" }],
    ["html:503", { kind: "html-page", status: 503 }],
    ["cut", { kind: "cut" }],
    ["cut:10", { kind: "cut", afterFrames: 10 }],
    ["moved:http://127.0.0.1:9/v1", { kind: "moved", newUrl: "http://127.0.0.1:9/v1" }],
    ["delay:250@/models", { kind: "delay", delayMs: 250, on: "/models" }],
    ["oversized-line", { kind: "oversized", of: "line" }],
  ])("%s", (text, fault) => {
    expect(parseFault(text)).toEqual(fault);
  });

  it.each(["", "explode", "status", "status:", "status:abc", "hang:3", "cut:-1"])("refuses %j", (text) => {
    expect(() => parseFault(text)).toThrow(expect.objectContaining({ code: "usage" }));
  });

  it("names every fault once", () => {
    expect(FAULT_FORMS).toContain("status:CODE");
    expect(new Set(FAULT_FORMS).size).toBe(FAULT_FORMS.length);
  });
});
