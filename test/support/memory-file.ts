import type { StateFile } from "../../src/base/lock.ts";

/** A state file that lives in memory. */
export function memoryFile(start?: string): StateFile {
  let text = start;
  let changes = 0;
  return {
    read: async () => text,
    stamp: async () => String(changes),
    append: async (more) => {
      text = (text ?? "") + more;
      changes += 1;
    },
    replace: async (next) => {
      text = next;
      changes += 1;
    },
    alone: (work) => work(),
  };
}
