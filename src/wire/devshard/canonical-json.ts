import { isUtf8 } from "node:buffer";
import { hash } from "node:crypto";
import { ZephError } from "../../errors.ts";

/**
 * The one spelling of a JSON text that is hashed: no blanks, keys of every object in the order of their UTF-8 bytes, the
 * last of equal keys, numbers as float64, `<`, `>` and `&` as they are. It is what Go's `encoding/json` makes of a value
 * it read, so JavaScript's parser is of no use: it moves keys that look like integers, keeps lone surrogates and takes
 * `1e999` for Infinity. Throws `invalid_request` for what Go refuses, a byte order mark among it.
 *
 * Source: gonka-ai/gonka `devshard/json.go`.
 *
 * @example new TextDecoder().decode(canonicalJson('{"b":1.0,"a":"<"}')) // {"a":"<","b":1}
 */
export function canonicalJson(json: Uint8Array | string): Uint8Array {
  return Buffer.from(new Reader(typeof json === "string" ? Buffer.from(json, "utf8") : json).read(), "utf8");
}

/** SHA-256 of the canonical spelling: `prompt_hash` of MsgStartInference. Throws `invalid_request`. */
export function promptHash(json: Uint8Array | string): Uint8Array {
  return hash("sha256", canonicalJson(json), "buffer");
}

/** Where Go's decoder stops. */
const MAX_DEPTH = 10_000;

/** What is open around the value that is read next: the finished members, and for an object the key it belongs to. */
type Open = { readonly items: string[] } | { readonly members: Map<string, string>; key: string };

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;
const LITERALS = ["null", "true", "false"] as const;
const SHORT_ESCAPES: Readonly<Record<string, string>> = {
  '"': '"',
  "\\": "\\",
  "/": "/",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
};

/** Reads one text and writes its canonical spelling, without recursion: depth is a number here and not a stack. */
class Reader {
  readonly #bytes: Uint8Array;
  /** The same bytes as characters below 256, for expressions and slices of ASCII. */
  readonly #text: string;
  readonly #open: Open[] = [];
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
  }

  read(): string {
    for (;;) {
      let value = this.#value();
      // A value closes as many containers as end right after it.
      while (value !== undefined) {
        const around = this.#open.at(-1);
        if (around === undefined) {
          this.#blanks();
          if (this.#at < this.#text.length) throw this.#refuse("something stands after the value");
          return value;
        }
        value = this.#after(around, value);
      }
    }
  }

  /** A scalar or an empty container; `undefined` when a container was opened whose first value comes next. */
  #value(): string | undefined {
    this.#blanks();
    const first = this.#text[this.#at];
    if (first === '"') return quote(this.#string());
    if (first === "{" || first === "[") return this.#container(first);
    const literal = LITERALS.find((word) => this.#text.startsWith(word, this.#at));
    if (literal !== undefined) {
      this.#at += literal.length;
      return literal;
    }
    return this.#number();
  }

  #container(bracket: "{" | "["): string | undefined {
    if (this.#open.length >= MAX_DEPTH) throw this.#refuse("it is nested too deeply");
    this.#at++;
    this.#blanks();
    if (this.#take(bracket === "{" ? "}" : "]")) return bracket === "{" ? "{}" : "[]";
    this.#open.push(bracket === "{" ? { members: new Map(), key: this.#key() } : { items: [] });
    return undefined;
  }

  /** Puts a value into its container; the container's own text when it ends here. */
  #after(around: Open, value: string): string | undefined {
    this.#blanks();
    if ("items" in around) {
      around.items.push(value);
      if (this.#take(",")) return undefined;
      this.#expect("]");
      this.#open.pop();
      return `[${around.items.join(",")}]`;
    }
    around.members.set(around.key, value);
    if (this.#take(",")) {
      this.#blanks();
      around.key = this.#key();
      return undefined;
    }
    this.#expect("}");
    this.#open.pop();
    return `{${inByteOrder(around.members).map(([key, member]) => `${quote(key)}:${member}`)}}`;
  }

  #key(): string {
    if (this.#text[this.#at] !== '"') throw this.#refuse("a key is missing");
    const key = this.#string();
    this.#blanks();
    this.#expect(":");
    return key;
  }

  #number(): string {
    NUMBER.lastIndex = this.#at;
    const literal = NUMBER.exec(this.#text)?.[0];
    if (literal === undefined) throw this.#refuse("a value is missing");
    this.#at += literal.length;
    const value = Number(literal);
    if (!Number.isFinite(value)) throw this.#refuse("a number does not fit into a float64");
    return Object.is(value, -0) ? "-0" : String(value);
  }

  #string(): string {
    let text = "";
    let from = ++this.#at;
    for (;;) {
      const byte = this.#bytes[this.#at];
      if (byte === undefined) throw this.#refuse("a string does not end");
      if (byte < 0x20) throw this.#refuse("a string holds a control character");
      if (byte !== QUOTE && byte !== BACKSLASH) {
        this.#at++;
        continue;
      }
      text += decodeUtf8(this.#bytes.subarray(from, this.#at));
      this.#at++;
      if (byte === QUOTE) return text;
      text += this.#escape();
      from = this.#at;
    }
  }

  #escape(): string {
    const character = this.#text[this.#at++] ?? "";
    if (character !== "u") {
      const meant = SHORT_ESCAPES[character];
      if (meant === undefined) throw this.#refuse("a string has an unknown escape");
      return meant;
    }
    const unit = this.#hexUnit(this.#at);
    if (unit === undefined) throw this.#refuse("a string has an unknown escape");
    this.#at += 4;
    if (unit < 0xd800 || unit > 0xdfff) return String.fromCharCode(unit);
    const low = this.#text.startsWith("\\u", this.#at) ? this.#hexUnit(this.#at + 2) : undefined;
    if (unit > 0xdbff || low === undefined || low < 0xdc00 || low > 0xdfff) return "\ufffd";
    this.#at += 6;
    return String.fromCharCode(unit, low);
  }

  #hexUnit(at: number): number | undefined {
    const digits = this.#text.slice(at, at + 4);
    return /^[0-9a-fA-F]{4}$/.test(digits) ? Number.parseInt(digits, 16) : undefined;
  }

  #blanks(): void {
    for (;;) {
      const byte = this.#bytes[this.#at];
      if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) return;
      this.#at++;
    }
  }

  #take(character: string): boolean {
    if (this.#text[this.#at] !== character) return false;
    this.#at++;
    return true;
  }

  #expect(character: string): void {
    if (!this.#take(character)) throw this.#refuse(`"${character}" is missing`);
  }

  #refuse(fault: string): ZephError {
    return new ZephError("invalid_request", { detail: `the body is not JSON: ${fault} (byte ${this.#at})` });
  }
}

function inByteOrder(members: ReadonlyMap<string, string>): [string, string][] {
  if (members.size < 2) return [...members];
  return [...members]
    .map((member) => ({ member, key: Buffer.from(member[0], "utf8") }))
    .sort((a, b) => Buffer.compare(a.key, b.key))
    .map(({ member }) => member);
}

/** JSON.stringify escapes the same characters the same way, apart from the two line separators. */
function quote(text: string): string {
  return JSON.stringify(text).replace(/[\u2028\u2029]/g, (separator) =>
    separator === "\u2028" ? "\\u2028" : "\\u2029",
  );
}

/** As Go reads text: a byte that begins no well-formed character is one U+FFFD, however many such bytes follow. */
function decodeUtf8(bytes: Uint8Array): string {
  if (isUtf8(bytes)) return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8");
  let text = "";
  for (let at = 0; at < bytes.length; ) {
    const length = [1, 2, 3, 4].find((size) => at + size <= bytes.length && isUtf8(bytes.subarray(at, at + size)));
    text += length === undefined ? "\ufffd" : Buffer.from(bytes.subarray(at, at + length)).toString("utf8");
    at += length ?? 1;
  }
  return text;
}
