import { createHash } from "node:crypto";
import { posix, win32 } from "node:path";
import { writeFileAtomic } from "../internal/atomic-file.ts";
import { changingFile } from "../internal/lock-file.ts";
import { isTable } from "./layer.ts";
import { type PathContext, zephFolders } from "./paths.ts";
import type { ReadTextFile } from "./read-text-file.ts";

/** What the user said about a project file with just this content. `open`: nothing yet. */
export type TrustDecision = "trusted" | "refused" | "open";

/** One answer of the user: for one path, and for one content of it. */
interface TrustEntry {
  readonly path: string;
  readonly sha256: string;
  readonly decision: "trusted" | "refused";
}

/** Where the answers are kept: `trusted-projects.json` in the config folder, readable by its owner only. */
export function trustedFilesPath(context: PathContext): string {
  const { join } = context.platform === "win32" ? win32 : posix;
  return join(zephFolders(context).config, "trusted-projects.json");
}

/** The answers so far. A list that cannot be read, or is damaged, trusts nothing. */
export async function readTrust(context: PathContext, readFile: ReadTextFile): Promise<readonly TrustEntry[]> {
  try {
    const value: unknown = JSON.parse((await readFile(trustedFilesPath(context))) ?? "{}");
    const files = isTable(value) && isTable(value.files) ? Object.entries(value.files) : [];
    return files.flatMap(([path, entry]) => {
      if (!isTable(entry) || typeof entry.sha256 !== "string") return [];
      const { sha256, decision } = entry;
      return decision === "trusted" || decision === "refused" ? [{ path, sha256, decision }] : [];
    });
  } catch {
    // Said above: no list, no trust.
    return [];
  }
}

/** As direnv does it: a file that was changed is another file, and is asked about again. */
export function trustIn(
  entries: readonly TrustEntry[],
  { path, text }: { readonly path: string; readonly text: string },
): TrustDecision {
  const entry = entries.find((each) => each.path === path);
  return entry?.sha256 === hashOf(text) ? entry.decision : "open";
}

/** Remembers one answer; `undefined` takes it back. Throws `file_unwritable`. */
export async function rememberTrust(
  context: PathContext,
  readFile: ReadTextFile,
  { path, text }: { readonly path: string; readonly text?: string },
  decision: "trusted" | "refused" | undefined,
): Promise<void> {
  const list = trustedFilesPath(context);
  await changingFile(list, async (lock) => {
    const others = (await readTrust(context, readFile)).filter((entry) => entry.path !== path);
    const entries =
      decision === undefined || text === undefined ? others : [...others, { path, sha256: hashOf(text), decision }];
    const files = Object.fromEntries(entries.map(({ path: name, ...entry }) => [name, entry]));
    await lock.assertHeld();
    await writeFileAtomic(list, `${JSON.stringify({ version: 1, files }, undefined, 2)}\n`);
  });
}

function hashOf(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
