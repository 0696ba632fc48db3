/** Shortest runs that count as a leak: 6 bytes of the key in whatever spelling. */
const HEX_DIGITS = 12;
const RAW_BYTES = 6;
const BASE64_OF_RAW = 8;
const BASE64_OF_HEX = 16;

/** Every way a run of a private key could stand in a request: hex, bytes, and the base64 of both at any offset. */
function needles(privateKeyHex: string): readonly string[] {
  const raw = Buffer.from(privateKeyHex, "hex");
  const spellings = [privateKeyHex.toLowerCase(), privateKeyHex.toUpperCase()];
  const found = [
    ...spellings.flatMap((hex) => runs(hex, HEX_DIGITS)),
    ...runs(raw.toString("latin1"), RAW_BYTES),
    ...base64Runs(raw, BASE64_OF_RAW),
    ...spellings.flatMap((hex) => base64Runs(Buffer.from(hex), BASE64_OF_HEX)),
  ];
  return [...new Set(found)];
}

function runs(text: string, length: number): string[] {
  return Array.from({ length: Math.max(text.length - length + 1, 0) }, (_, at) => text.slice(at, at + length));
}

function base64Runs(bytes: Buffer, length: number): string[] {
  return [0, 1, 2].flatMap((offset) => {
    const whole = bytes.subarray(offset, bytes.length - ((bytes.length - offset) % 3));
    return [...runs(whole.toString("base64"), length), ...runs(whole.toString("base64url"), length)];
  });
}

/** Finds key material in requests. Keys are added as accounts are made. */
export class KeyLeakDetector {
  readonly #needlesByLength = new Map<number, Set<string>>();
  /** Which pairs of bytes any needle starts with, so that megabytes pass quickly. */
  readonly #starts = new Uint8Array(65_536);
  readonly #known = new Set<string>();

  add(privateKeysHex: readonly string[]): void {
    for (const key of privateKeysHex) {
      if (this.#known.has(key)) continue;
      this.#known.add(key);
      for (const needle of needles(key)) this.#addNeedle(needle);
    }
  }

  /** True when the text (one character per byte) holds a run of any known key. */
  finds(text: string): boolean {
    for (let at = 0; at + 1 < text.length; at += 1) {
      if (this.#starts[text.charCodeAt(at) * 256 + text.charCodeAt(at + 1)] !== 1) continue;
      for (const [length, set] of this.#needlesByLength) {
        if (set.has(text.slice(at, at + length))) return true;
      }
    }
    return false;
  }

  #addNeedle(needle: string): void {
    // A run of one character, as in keys like 1, stands in innocent text too.
    if (new Set(needle).size < 3) return;
    const set = this.#needlesByLength.get(needle.length) ?? new Set();
    set.add(needle);
    this.#needlesByLength.set(needle.length, set);
    this.#starts[needle.charCodeAt(0) * 256 + needle.charCodeAt(1)] = 1;
  }
}
