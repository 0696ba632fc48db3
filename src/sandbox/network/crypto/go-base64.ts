/** What Go's decoder says about text it cannot read. */
export class GoBase64Error extends Error {
  constructor(position: number) {
    super(`illegal base64 data at input byte ${position}`);
  }
}

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/**
 * Decodes like Go's `base64.StdEncoding`: the standard alphabet only, padding required, CR and LF skipped wherever
 * they stand, unused trailing bits ignored. Throws {@link GoBase64Error} with Go's words and byte position.
 */
export function decodeGoBase64(text: string): Buffer {
  const bytes: number[] = [];
  let position = 0;
  const skipLineBreaks = () => {
    while (text[position] === "\r" || text[position] === "\n") position += 1;
  };
  for (;;) {
    const group: number[] = [];
    while (group.length < 4) {
      skipLineBreaks();
      if (position >= text.length) {
        if (group.length === 0) return Buffer.from(bytes);
        throw new GoBase64Error(position - group.length);
      }
      const letter = text.charAt(position);
      const value = ALPHABET.indexOf(letter);
      if (value >= 0) {
        group.push(value);
        position += 1;
        continue;
      }
      if (letter !== "=" || group.length < 2) throw new GoBase64Error(position);
      position += 1;
      if (group.length === 2) {
        skipLineBreaks();
        if (position >= text.length) throw new GoBase64Error(text.length);
        if (text[position] !== "=") throw new GoBase64Error(position - 1);
        position += 1;
      }
      skipLineBreaks();
      if (position < text.length) throw new GoBase64Error(position);
      return Buffer.from([...bytes, ...joinGroup(group)]);
    }
    bytes.push(...joinGroup(group));
  }
}

function joinGroup(group: readonly number[]): number[] {
  const [first = 0, second = 0, third = 0, fourth = 0] = group;
  const joined = [(first << 2) | (second >> 4), ((second & 15) << 4) | (third >> 2), ((third & 3) << 6) | fourth];
  return joined.slice(0, group.length - 1);
}
