const VERSION_LINE = "age-encryption.org/v1\n";
const ARMOR_LINE = "-----BEGIN AGE ENCRYPTED FILE-----";
const ARMOR_END = "-----END AGE ENCRYPTED FILE-----";

/** What can be seen of an age file without any key. */
export interface AgeFile {
  readonly armored: boolean;
  /** The file without armour. */
  readonly binary: Uint8Array;
  /** The kind of each recipient in the header, such as `X25519` or `scrypt`; without grease, which stands for nobody. */
  readonly recipientTypes: readonly string[];
  /** The header with its MAC: who can open the file. */
  readonly header: Uint8Array;
}

/** Looks at a file; `undefined` when it is no age v1 file or its armour is damaged. */
export function inspectAgeFile(bytes: Uint8Array): AgeFile | undefined {
  const armored = isArmored(bytes);
  const binary = armored ? removeArmor(bytes) : bytes;
  if (binary === undefined || !toLatin1(binary.subarray(0, VERSION_LINE.length)).startsWith(VERSION_LINE)) return;
  const header = headerOf(binary);
  return { armored, binary, header, recipientTypes: recipientTypes(header) };
}

/** Is this meant to be an age file, intact or not? */
export function looksLikeAgeFile(bytes: Uint8Array): boolean {
  return isArmored(bytes) || toLatin1(bytes.subarray(0, 14)) === VERSION_LINE.slice(0, 14);
}

function isArmored(bytes: Uint8Array): boolean {
  return toLatin1(bytes.subarray(0, 256)).trimStart().startsWith(ARMOR_LINE);
}

/** A strict form of PEM (C2SP age specification, "ASCII armor"): full lines of 64 but the last, canonical base64. */
function removeArmor(bytes: Uint8Array): Uint8Array | undefined {
  const lines = toLatin1(bytes).trim().replaceAll("\r\n", "\n").split("\n");
  if (lines.shift() !== ARMOR_LINE || lines.pop() !== ARMOR_END) return undefined;
  const last = lines.at(-1) ?? "";
  if (last.length === 0 || last.length > 64 || lines.slice(0, -1).some((line) => line.length !== 64)) return undefined;
  const text = lines.join("");
  const decoded = Buffer.from(text, "base64");
  return decoded.toString("base64") === text ? decoded : undefined;
}

/** The header is text, ended by the `---` line with the MAC (C2SP age specification). */
function headerOf(binary: Uint8Array): Uint8Array {
  const text = toLatin1(binary.subarray(0, 65_536));
  const end = text.indexOf("\n", text.indexOf("\n--- ") + 1);
  return binary.subarray(0, end === -1 ? 0 : end + 1);
}

/** One `-> TYPE …` line per recipient. Grease has a type that ends so, and is there to keep readers tolerant. */
function recipientTypes(header: Uint8Array): string[] {
  const lines = toLatin1(header).split("\n");
  return lines
    .filter((line) => line.startsWith("-> "))
    .map((line) => line.split(" ")[1] ?? "")
    .filter((type) => !type.endsWith("-grease"));
}

function toLatin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
}
