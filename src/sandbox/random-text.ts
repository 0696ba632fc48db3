import { randomBytes } from "node:crypto";

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/** Letters and digits drawn with `random`. */
export function randomText(random: () => number, length: number): string {
  return Array.from({ length }, () => ALPHABET[Math.floor(random() * ALPHABET.length)]).join("");
}

/** The default chance of the sandbox: 0 <= value < 1, from the system's source. */
export function systemRandom(): number {
  return randomBytes(4).readUInt32BE() / 2 ** 32;
}
