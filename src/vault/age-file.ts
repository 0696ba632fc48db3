import { armor } from "age-encryption";

const VERSION_LINE = "age-encryption.org/v1\n";
const ARMOR_LINE = "-----BEGIN AGE ENCRYPTED FILE-----";

/** What can be seen of an age file without any key. */
export interface AgeFile {
  readonly armored: boolean;
  /** The file without armour. */
  readonly binary: Uint8Array;
  /** The kind of each recipient in the header, such as `X25519` or `scrypt`. */
  readonly recipientTypes: readonly string[];
}

/** Looks at a file; `undefined` when it is no age v1 file or its armour is damaged. */
export function inspectAgeFile(bytes: Uint8Array): AgeFile | undefined {
  const armored = isArmored(bytes);
  const binary = armored ? removeArmor(bytes) : bytes;
  if (binary === undefined || !toLatin1(binary.subarray(0, VERSION_LINE.length)).startsWith(VERSION_LINE)) return;
  return { armored, binary, recipientTypes: recipientTypes(binary) };
}

/** Is this meant to be an age file, intact or not? */
export function looksLikeAgeFile(bytes: Uint8Array): boolean {
  return isArmored(bytes) || toLatin1(bytes.subarray(0, 14)) === VERSION_LINE.slice(0, 14);
}

function isArmored(bytes: Uint8Array): boolean {
  return toLatin1(bytes.subarray(0, 256)).trimStart().startsWith(ARMOR_LINE);
}

function removeArmor(bytes: Uint8Array): Uint8Array | undefined {
  try {
    return armor.decode(toLatin1(bytes));
  } catch {
    // The decoder's only complaint is damaged armour, and the caller words that.
    return undefined;
  }
}

/** The header is text: one `-> TYPE …` line per recipient, ended by the `---` line (C2SP age specification). */
function recipientTypes(binary: Uint8Array): string[] {
  const types: string[] = [];
  for (const line of toLatin1(binary.subarray(0, 65_536)).split("\n")) {
    if (line.startsWith("---")) break;
    if (line.startsWith("-> ")) types.push(line.split(" ")[1] ?? "");
  }
  return types;
}

function toLatin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
}
