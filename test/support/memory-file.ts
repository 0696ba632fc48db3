import type { StateFile } from "../../src/base/lock.ts";

/** A state file that lives in memory. */
export function memoryFile(start?: string): StateFile {
  let text = start;
  return {
    read: async () => text,
    append: async (more) => {
      text = (text ?? "") + more;
    },
    replace: async (next) => {
      text = next;
    },
    alone: (work) => work(),
  };
}
