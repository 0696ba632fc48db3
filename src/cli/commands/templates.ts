import type { RunCommand } from "../context.ts";
import { listTemplates, templatesFolder } from "../question.ts";
import { style } from "../render/style.ts";
import { renderTable } from "../render/table.ts";
import { toTerminalLine } from "../render/terminal-text.ts";
import { writeResult } from "../write-result.ts";

const MOST_SHOWN_CHARS = 60;

/** `zeph templates`: the names that `zeph ask -t` takes. */
export const runTemplates: RunCommand<Readonly<Record<string, unknown>>> = async (context) => {
  const folder = templatesFolder(context);
  const templates = await listTemplates(context);
  const data = { folder, templates };
  if (templates.length === 0) {
    const notice = `There are no templates yet. Write one into ${folder}, as summary.md, and use it with: zeph ask -t summary\n`;
    return writeResult(context, { data, notice });
  }
  const { dim } = style(context.color);
  const rows = templates.map(({ name, begins }) => {
    const line = toTerminalLine(begins);
    return [name, dim(line.length > MOST_SHOWN_CHARS ? `${line.slice(0, MOST_SHOWN_CHARS - 1)}…` : line)];
  });
  return writeResult(context, { data, answer: renderTable(rows), notice: `In ${folder}\n` });
};
