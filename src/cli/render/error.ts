import type { ZephError } from "../../errors/zeph-error.ts";
import { style } from "./style.ts";
import { toTerminalLine } from "./terminal-text.ts";
import { formatWait } from "./usage-line.ts";

/**
 * The error card: what happened, in whose words, what to do, where to read more. One line per node comes before it when
 * several were tried.
 */
export function renderError(error: ZephError, { color }: { readonly color: boolean }): string {
  const { bold, dim, red, cyan } = style(color);
  const lines: string[] = [];
  if (new Set(error.attempts.map(({ endpoint }) => endpoint)).size > 1) {
    for (const { endpoint, status, code, detail, elapsedMs } of error.attempts) {
      const words = [status === undefined ? code : `${status} ${code}`, detail].filter((word) => word !== undefined);
      lines.push(dim(toTerminalLine(`  ${endpoint}  ${words.join(": ")}  (${elapsedMs} ms)`)));
    }
  }
  lines.push(`${red("✗")} ${bold(toTerminalLine(error.summary))}`);
  if (error.detail !== undefined && error.code !== "all_endpoints_failed") lines.push(`  ${inLines(error.detail)}`);
  if (error.charged === "maybe") lines.push(dim("  This attempt may have been charged for all the same."));
  if (error.retryAfterMs !== undefined) lines.push(`  It asks to wait ${formatWait(error.retryAfterMs)}.`);
  lines.push(`  ${cyan("→")} ${inLines(error.hint)}`);
  const requestId =
    error.requestId === undefined ? "" : `  ·  request id ${toTerminalLine(error.requestId)}, to quote in a report`;
  lines.push(dim(`  more: zeph explain ${error.code}${requestId}`));
  return `${lines.join("\n")}\n`;
}

/** Lines that a server or a name brings along stay inside the card. */
function inLines(text: string): string {
  return text.split("\n").map(toTerminalLine).join("\n  ");
}
