import { newlineOf } from "../splice.ts";
import { hasSection } from "./known-bad-values.ts";
import type { MigratedText } from "./migration.ts";

/** Sections of today's schema, as comments with their defaults. */
const SECTIONS: Readonly<Record<string, readonly string[]>> = {
  timeouts: [
    "# Seconds: until an answer begins, and for a whole answer.",
    "#[timeouts]",
    "#llm_seconds = 120",
    "#llm_request_timeout_secs = 600",
  ],
  cost: [
    "# Requests stop when a day's spending reaches the limit. 0 is no limit.",
    "#[cost]",
    "#enabled = false",
    "#max_daily_cents = 0",
  ],
  vault: ['# "age" (files) or "env" (environment variables, for CI).', "#[vault]", '#backend = "age"'],
  session: ["#[session]", "#provider_persistence = true", "#keep_conversations = true"],
};

/** Sections the file does not have, added at its end as comments: nothing changes, everything can be found. */
export function missingSections(text: string): MigratedText | undefined {
  const missing = Object.keys(SECTIONS).filter((section) => !hasSection(text, section));
  if (missing.length === 0) return undefined;
  const newline = newlineOf(text);
  const added = missing.map((section) => (SECTIONS[section] ?? []).join(newline)).join(newline + newline);
  const open = text === "" || text.endsWith("\n") ? "" : newline;
  const gap = text.trim() === "" ? "" : newline;
  return {
    rule: "missing_sections",
    message: `added as comments: ${missing.map((section) => `[${section}]`).join(", ")}`,
    text: `${text}${open}${gap}${added}${newline}`,
  };
}
