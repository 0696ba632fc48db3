const ALPHABET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";
const GENERATORS = [0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3] as const;
const CHECKSUM_LENGTH = 6;
/** The constant that makes it bech32; bech32m uses another one. */
const BECH32_CONSTANT = 1;

/** Bech32 (BIP 173) of `bytes`. The sandbox's own, so that zeph's signer is judged by other code. */
export function encodeBech32(prefix: string, bytes: Uint8Array): string {
  const words = regroup([...bytes], 8, 5, "pad");
  const values = [...expandPrefix(prefix), ...(words ?? [])];
  const check = checksum([...values, 0, 0, 0, 0, 0, 0]) ^ BECH32_CONSTANT;
  const tail = Array.from({ length: CHECKSUM_LENGTH }, (_, index) => (check >>> (5 * (5 - index))) & 31);
  return `${prefix}1${[...(words ?? []), ...tail].map((word) => ALPHABET.charAt(word)).join("")}`;
}

/** The prefix and bytes of a bech32 text, or undefined when anything about it is wrong. */
export function decodeBech32(text: string): { readonly prefix: string; readonly bytes: Uint8Array } | undefined {
  const lower = text.toLowerCase();
  if (lower !== text && text.toUpperCase() !== text) return undefined;
  const separator = lower.lastIndexOf("1");
  if (separator < 1 || lower.length - separator - 1 < CHECKSUM_LENGTH) return undefined;
  const prefix = lower.slice(0, separator);
  const words = [...lower.slice(separator + 1)].map((letter) => ALPHABET.indexOf(letter));
  if (words.includes(-1)) return undefined;
  if (checksum([...expandPrefix(prefix), ...words]) !== BECH32_CONSTANT) return undefined;
  const bytes = regroup(words.slice(0, -CHECKSUM_LENGTH), 5, 8, "strict");
  return bytes === undefined ? undefined : { prefix, bytes: Uint8Array.from(bytes) };
}

function expandPrefix(prefix: string): number[] {
  const codes = [...prefix].map((letter) => letter.charCodeAt(0));
  return [...codes.map((code) => code >>> 5), 0, ...codes.map((code) => code & 31)];
}

function checksum(values: readonly number[]): number {
  let state = 1;
  for (const value of values) {
    const top = state >>> 25;
    state = ((state & 0x1ffffff) << 5) ^ value;
    GENERATORS.forEach((generator, bit) => {
      if ((top >>> bit) & 1) state ^= generator;
    });
  }
  return state;
}

function regroup(
  values: readonly number[],
  fromBits: number,
  toBits: number,
  rest: "pad" | "strict",
): number[] | undefined {
  const result: number[] = [];
  let held = 0;
  let heldBits = 0;
  for (const value of values) {
    held = (held << fromBits) | value;
    heldBits += fromBits;
    while (heldBits >= toBits) {
      heldBits -= toBits;
      result.push((held >>> heldBits) & ((1 << toBits) - 1));
    }
    held &= (1 << heldBits) - 1;
  }
  if (rest === "pad") {
    if (heldBits > 0) result.push((held << (toBits - heldBits)) & ((1 << toBits) - 1));
    return result;
  }
  return heldBits < fromBits && held === 0 ? result : undefined;
}
