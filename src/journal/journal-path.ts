import { join } from "node:path";

/** The journal's file in zeph's state folder. */
export function journalPath(stateFolder: string): string {
  return join(stateFolder, "failures.jsonl");
}
