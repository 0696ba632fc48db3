import { open, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { toTranscript } from "../../chat/transcript.ts";
import { ZephError } from "../../errors/zeph-error.ts";
import type { CliContext } from "../context.ts";
import type { Repl } from "./repl.ts";

/** `/save [FILE]`: the conversation as Markdown. A file that was there before is not touched. */
export async function saveConversation(repl: Repl, argument: string): Promise<void> {
  const { context, conversation, savedFiles } = repl;
  const { system } = conversation;
  if (conversation.exchanges.length === 0) return repl.print("There is nothing to save yet.\n");
  const savedAtMs = context.clock.nowMs();
  const path = toPath(context, argument === "" ? defaultName(savedAtMs) : argument);
  const transcript = toTranscript(conversation.exchanges, { savedAtMs, system });
  try {
    if (savedFiles.has(path)) await writeFile(path, transcript, { mode: 0o600 });
    else await writeNew(path, transcript);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EEXIST") {
      return repl.print(`${path} exists and was left as it is. Choose another name.\n`);
    }
    throw new ZephError("file_unwritable", { detail: path, cause: error });
  }
  savedFiles.add(path);
  repl.print(`Saved to ${path}\n`);
}

/** Opened exclusively: a typing mistake must not replace somebody's file. Private, as conversations are. */
async function writeNew(path: string, text: string): Promise<void> {
  const file = await open(path, "wx", 0o600);
  try {
    await file.writeFile(text);
  } finally {
    await file.close();
  }
}

function toPath({ cwd, homeDir }: CliContext, name: string): string {
  return name === "~" || name.startsWith("~/") ? join(homeDir, name.slice(1)) : resolve(cwd, name);
}

function defaultName(nowMs: number): string {
  return `zeph-${new Date(nowMs).toISOString().slice(0, 19).replace(/[:T]/g, "-")}.md`;
}
