import { OWN_STYLE } from "./style.ts";

/** C0 controls other than tab and line feed, DEL, C1 controls, and invisible signs that reorder or hide text. */
const UNSAFE =
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u2028\u2029\u202a-\u202e\u2066-\u2069\u{e0000}-\u{e007f}]/gu;
/** Signs that are not seen at all: two names that differ in one of them only would look the same. */
const INVISIBLE = /[\p{Cf}\p{Default_Ignorable_Code_Point}]/gu;
const LINE_BREAKS = /[\n\v\f\r\u0085\u2028\u2029]+|\t/gu;

/**
 * Text of a model made fit for a terminal: escape sequences could move the cursor, rename the window, fill the clipboard
 * or hide text, so every control sign is shown as a picture (`␛`) or dropped. Tabs and line feeds stay, and so do the
 * joiners that some scripts and emoji are written with.
 */
export function toTerminalText(text: string): string {
  return text.replace(UNSAFE, (sign) => {
    const code = sign.codePointAt(0) ?? 0;
    if (code === 0x0d) return "";
    if (code < 0x20) return String.fromCodePoint(0x2400 + code);
    if (code === 0x7f) return "\u2421";
    return code < 0xa0 ? "\ufffd" : "";
  });
}

/** A name, an id or the cell of a table: one line, without anything that is not seen. zeph's own styles stay. */
export function toTerminalLine(text: string): string {
  return betweenOwnStyles(text, (part) => plain(part.replace(LINE_BREAKS, " ")));
}

/**
 * The last step before the screen, a file or a pipe, for all that zeph has put together itself: its own styles become
 * what a terminal understands, and what names, servers and files may have brought along is made harmless. To be done
 * once: after it, own styles are no longer told from foreign ones.
 */
export function toTerminalPage(page: string): string {
  return betweenOwnStyles(page, plain, (code) => `\u001b[${code}m`);
}

function plain(text: string): string {
  return toTerminalText(text).replace(INVISIBLE, "");
}

function betweenOwnStyles(
  text: string,
  clean: (part: string) => string,
  show: (code: string, own: string) => string = (_code, own) => own,
): string {
  let shown = "";
  let end = 0;
  for (const { 0: own, 1: code = "", index } of text.matchAll(OWN_STYLE)) {
    shown += clean(text.slice(end, index)) + show(code, own);
    end = index + own.length;
  }
  return shown + clean(text.slice(end));
}
