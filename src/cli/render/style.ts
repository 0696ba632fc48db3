import { randomInt } from "node:crypto";
import { stripVTControlCharacters } from "node:util";

/**
 * Nobody outside knows it: with it as a first parameter, styles of zeph's own are told from those that a name or a server
 * brings along. `toTerminalPage` takes it out again; a terminal would pass over it.
 */
const OWN = randomInt(10 ** 14 - 1) + 1;

/** What {@link style} writes, with the code of the style. */
export const OWN_STYLE = new RegExp(`\u001b\\[${OWN};(\\d+)m`, "g");

/** What is seen of a text, for measuring it. Node 20's own function knows numbers of up to four digits only. */
export function withoutStyles(text: string): string {
  return stripVTControlCharacters(text.replace(OWN_STYLE, ""));
}

/** Terminal styles; each returns the text unchanged when colour is off. For `toTerminalPage`, the last step of printing. */
export interface Style {
  readonly bold: (text: string) => string;
  readonly dim: (text: string) => string;
  readonly red: (text: string) => string;
  readonly green: (text: string) => string;
  readonly yellow: (text: string) => string;
  readonly cyan: (text: string) => string;
}

const CODES = {
  bold: [1, 22],
  dim: [2, 22],
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
  cyan: [36, 39],
} as const;

export function style(color: boolean): Style {
  const wrap = ([open, close]: readonly [number, number]) =>
    color ? (text: string) => `\u001b[${OWN};${open}m${text}\u001b[${OWN};${close}m` : (text: string) => text;
  return {
    bold: wrap(CODES.bold),
    dim: wrap(CODES.dim),
    red: wrap(CODES.red),
    green: wrap(CODES.green),
    yellow: wrap(CODES.yellow),
    cyan: wrap(CODES.cyan),
  };
}
