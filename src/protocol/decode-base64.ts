/** Either the bytes, or where the text first goes wrong. */
export type Base64Result =
  | { readonly ok: true; readonly bytes: Uint8Array }
  | { readonly ok: false; readonly errorAt: number };

const ALPHABET = /^[A-Za-z0-9+/]$/;
const LINE_BREAK = /[\r\n]/g;

/**
 * Decodes base64 exactly as the nodes do (Go `encoding/base64` `StdEncoding`): padding is required, the URL-safe
 * alphabet refused, line breaks skipped, and the offset of the first fault is reported, because nodes repeat it in
 * their answer (`illegal base64 data at input byte N`).
 */
export function decodeBase64(text: string): Base64Result {
  const errorAt = firstFault(text);
  if (errorAt !== undefined) return { ok: false, errorAt };
  return { ok: true, bytes: new Uint8Array(Buffer.from(text.replace(LINE_BREAK, ""), "base64")) };
}

function firstFault(text: string): number | undefined {
  const characters = [...text].map((character, index) => ({ character, index }));
  const significant = characters.filter(({ character }) => character !== "\r" && character !== "\n");
  for (const [position, { character, index }] of significant.entries()) {
    if (ALPHABET.test(character)) continue;
    if (character !== "=" || position % 4 < 2) return index;
    return faultInPadding(significant, position, text.length);
  }
  const incomplete = significant.length % 4;
  return incomplete === 0 ? undefined : text.length - incomplete;
}

/** `position` is that of the first "=", which closes its group of four after two or three characters. */
function faultInPadding(
  significant: readonly { readonly character: string; readonly index: number }[],
  position: number,
  length: number,
): number | undefined {
  let last = position;
  if (position % 4 === 2) {
    const second = significant[position + 1];
    if (second === undefined) return length;
    if (second.character !== "=") return second.index - 1;
    last = position + 1;
  }
  return significant[last + 1]?.index;
}
