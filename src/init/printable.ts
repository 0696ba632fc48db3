/** The same for one line: the name of a model, a choice. */
export function printableLine(text: string): string {
  return printable(text).replaceAll("\n", " ");
}

/** Words from outside made fit for one place on the screen: control signs could move the cursor or hide text. */
export function printable(text: string, maxChars = 1_000): string {
  const clean = text
    .replace(/\r\n?/g, "\n")
    .replace(/[^\P{Cc}\n]|\p{Cf}|[\u2028\u2029]/gu, " ")
    .trim();
  return clean.length > maxChars ? `${clean.slice(0, maxChars - 1)}…` : clean;
}
