/** C0 controls other than tab and line feed, DEL, C1 controls, and invisible signs that reorder or hide text. */
const UNSAFE = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069\u{e0000}-\u{e007f}]/gu;

/** What `style` writes. Nothing else of the kind is ours. */
const OWN_STYLES = /(\u001b\[(?:1|2|22|3[1236]|39)m)/;

/**
 * The same for a whole page that zeph has put together: its own bold, dim and colours stay, everything else that names,
 * servers and files may have brought along is made harmless.
 */
export function toTerminalPage(page: string): string {
  return page
    .split(OWN_STYLES)
    .map((part, index) => (index % 2 === 1 ? part : toTerminalText(part)))
    .join("");
}

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
