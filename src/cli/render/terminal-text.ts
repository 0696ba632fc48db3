/** C0 controls other than tab and line feed, DEL, C1 controls, and invisible signs that reorder or hide text. */
const UNSAFE = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069\u{e0000}-\u{e007f}]/gu;

/**
 * Text of a model or a server made fit for a terminal: escape sequences could move the cursor, rename the window, fill
 * the clipboard or hide text, so every control sign is shown as a picture (`␛`) or dropped. Tabs and line feeds stay.
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
