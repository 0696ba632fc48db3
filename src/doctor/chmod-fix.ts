import { chmod, stat } from "node:fs/promises";
import type { Fix } from "./check.ts";

/** Makes a file private to its owner. */
export function chmodFix(path: string, mode: number): Fix {
  return {
    question: `make ${path} readable by you alone`,
    async apply() {
      await chmod(path, mode);
      const { mode: now } = await stat(path);
      return `${path} has mode ${(now & 0o777).toString(8)} now.`;
    },
  };
}

/** A path as a shell takes it. */
export function shellQuote(path: string): string {
  return /^[\w@%+=:,./-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
}
