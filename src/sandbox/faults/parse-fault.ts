import { ZephError } from "../../errors/zeph-error.ts";
import type { Fault } from "./fault.ts";

type Parse = (value: string) => Fault;

const frames = (value: string) => (value === "" ? {} : { afterFrames: wholeNumber(value) });

/** Every fault by the name it has on the command line, with what may follow the colon. */
const FORMS: Readonly<Record<string, readonly [value: string, parse: Parse]>> = {
  refuse: ["", () => ({ kind: "refuse" })],
  reset: ["", () => ({ kind: "refuse", how: "reset" })],
  hang: ["", () => ({ kind: "hang" })],
  delay: [":MS", (value) => ({ kind: "delay", delayMs: wholeNumber(value) })],
  status: [":CODE", (value) => ({ kind: "status", status: wholeNumber(value) })],
  html: ["[:STATUS]", (value) => ({ kind: "html-page", ...(value === "" ? {} : { status: wholeNumber(value) }) })],
  redirect: [":URL", (value) => ({ kind: "redirect", location: value })],
  moved: [":URL", (value) => ({ kind: "moved", newUrl: value })],
  "bad-json": ["[:FRAMES]", (value) => ({ kind: "bad-json", ...frames(value) })],
  oversized: ["", () => ({ kind: "oversized", of: "answer" })],
  "oversized-line": ["", () => ({ kind: "oversized", of: "line" })],
  "hang-mid-stream": ["[:FRAMES]", (value) => ({ kind: "hang-mid-stream", ...frames(value) })],
  cut: ["[:FRAMES]", (value) => ({ kind: "cut", ...frames(value) })],
  "no-done": ["", () => ({ kind: "no-done" })],
  "error-in-stream": ["[:FRAMES]", (value) => ({ kind: "error-in-stream", ...frames(value) })],
  drip: [
    "[:BYTES]",
    (value) => ({ kind: "drip", delayMs: 5, ...(value === "" ? {} : { chunkBytes: wholeNumber(value) }) }),
  ],
  crlf: ["", () => ({ kind: "crlf" })],
  "multi-line-data": ["", () => ({ kind: "multi-line-data" })],
  comments: ["", () => ({ kind: "comments" })],
  "usage-only": ["", () => ({ kind: "usage-only" })],
};

/** The names `--fault` takes, for help and messages. */
export const FAULT_FORMS: readonly string[] = Object.entries(FORMS).map(([name, [value]]) => name + value);

/**
 * Reads a fault as it is written on the command line: `NAME[:VALUE][@/path]`. Throws `usage`.
 * @example parseFault("status:503@/chat/completions")
 */
export function parseFault(text: string): Fault {
  const [, name = "", value = "", on] = /^([a-z-]+)(?::(.*?))?(?:@(\/[\w/.-]+))?$/.exec(text.trim()) ?? [];
  const form = FORMS[name];
  if (form === undefined || ((form[0] === "") !== (value === "") && !form[0].startsWith("["))) {
    throw new ZephError("usage", {
      detail: `"${text}" is not a fault`,
      hint: `Give one of ${FAULT_FORMS.join(", ")}; @/chat/completions at the end limits it to that path.`,
    });
  }
  return { ...form[1](value), ...(on === undefined ? {} : { on }) };
}

function wholeNumber(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new ZephError("usage", { detail: `"${text}" is not a whole number` });
  return Number(text);
}
