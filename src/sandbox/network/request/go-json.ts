/** JSON with number spellings, duplicate keys and their order kept, as Go's decoder sees it before typing. */
export type GoValue =
  | { readonly kind: "null" }
  | { readonly kind: "bool"; readonly value: boolean }
  | { readonly kind: "number"; readonly raw: string }
  | { readonly kind: "string"; readonly value: string }
  | { readonly kind: "array"; readonly items: readonly GoValue[] }
  | { readonly kind: "object"; readonly entries: readonly (readonly [string, GoValue])[] };

/** A syntax error in the words of Go's encoding/json. */
export class GoJsonError extends Error {}

/** `maxNestingDepth` of Go's encoding/json. */
const MAX_DEPTH = 10_000;
const LITERALS: Readonly<Record<string, GoValue>> = {
  true: { kind: "bool", value: true },
  false: { kind: "bool", value: false },
  null: { kind: "null" },
};
const ESCAPES: Readonly<Record<string, string>> = {
  '"': '"',
  "\\": "\\",
  "/": "/",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
};

/** Parses the bytes of one JSON document. Throws {@link GoJsonError}. */
export function parseGoJson(bytes: Uint8Array): GoValue {
  const reader = new Reader(Buffer.from(bytes).toString("latin1"));
  const value = reader.value();
  reader.skipSpace();
  if (!reader.atEnd) throw reader.unexpected("after top-level value");
  return value;
}

/** An array or object whose end has not come yet. */
interface OpenContainer {
  readonly close: "]" | "}";
  readonly made: GoValue;
  readonly add: (value: GoValue, key: string) => void;
  /** Of the entry that is being read; absent in an array. */
  key?: string;
}

class Reader {
  /** One character per byte, so that errors name bytes, as Go's do. */
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  get atEnd(): boolean {
    return this.#at >= this.#text.length;
  }

  unexpected(where: string): GoJsonError {
    if (this.atEnd) return new GoJsonError("unexpected end of JSON input");
    return new GoJsonError(`invalid character ${quoteCharacter(this.#text.charAt(this.#at))} ${where}`);
  }

  skipSpace(): void {
    while (!this.atEnd && " \t\r\n".includes(this.#text.charAt(this.#at))) this.#at += 1;
  }

  /** Keeps its own stack: what Go nests would overflow ours. */
  value(): GoValue {
    const open: OpenContainer[] = [];
    for (;;) {
      this.skipSpace();
      const opened = this.#open(open.length);
      if (opened !== undefined) open.push(opened);
      let value = opened === undefined ? this.#scalar() : undefined;
      for (;;) {
        const top = open.at(-1);
        if (top === undefined) {
          if (value === undefined) throw new Error("a container was opened, so there is a top");
          return value;
        }
        if (this.#goesOn(top, value)) break;
        open.pop();
        value = top.made;
      }
    }
  }

  #open(depth: number): OpenContainer | undefined {
    const isArray = this.#take("[");
    if (!isArray && !this.#take("{")) return undefined;
    if (depth >= MAX_DEPTH) throw new GoJsonError("exceeded max depth");
    if (isArray) {
      const items: GoValue[] = [];
      return { close: "]", made: { kind: "array", items }, add: (value) => items.push(value) };
    }
    const entries: (readonly [string, GoValue])[] = [];
    return { close: "}", made: { kind: "object", entries }, add: (value, key) => entries.push([key, value]), key: "" };
  }

  /** Takes `value` (undefined right after the opening) into the container; false when that was its end. */
  #goesOn(top: OpenContainer, value: GoValue | undefined): boolean {
    if (value !== undefined) top.add(value, top.key ?? "");
    this.skipSpace();
    if (this.#take(top.close)) return false;
    if (value !== undefined && !this.#take(",")) {
      throw this.unexpected(top.close === "]" ? "after array element" : "after object key:value pair");
    }
    if (top.key !== undefined) top.key = this.#key();
    return true;
  }

  #key(): string {
    this.skipSpace();
    if (this.#text.charAt(this.#at) !== '"') throw this.unexpected("looking for beginning of object key string");
    const key = this.#string();
    this.skipSpace();
    if (!this.#take(":")) throw this.unexpected("after object key");
    return key;
  }

  #scalar(): GoValue {
    const first = this.#text.charAt(this.#at);
    if (first === '"') return { kind: "string", value: this.#string() };
    if (first === "-" || (first >= "0" && first <= "9")) return { kind: "number", raw: this.#number() };
    for (const [word, literal] of Object.entries(LITERALS)) {
      if (first === word.charAt(0)) return this.#literal(word, literal);
    }
    throw this.unexpected("looking for beginning of value");
  }

  #literal(word: string, literal: GoValue): GoValue {
    for (const letter of word) {
      if (this.#text.charAt(this.#at) !== letter) throw this.unexpected(`in literal ${word} (expecting '${letter}')`);
      this.#at += 1;
    }
    return literal;
  }

  #take(character: string): boolean {
    if (this.#text.charAt(this.#at) !== character) return false;
    this.#at += 1;
    return true;
  }

  #string(): string {
    const pieces: string[] = [];
    this.#at += 1;
    let from = this.#at;
    const flush = () => pieces.push(Buffer.from(this.#text.slice(from, this.#at), "latin1").toString("utf8"));
    for (;;) {
      const character = this.#text.charAt(this.#at);
      if (this.atEnd || character < " ") throw this.unexpected("in string literal");
      if (character === '"') {
        flush();
        this.#at += 1;
        return pieces.join("");
      }
      if (character === "\\") {
        flush();
        this.#at += 1;
        pieces.push(this.#escape());
        from = this.#at;
      } else {
        this.#at += 1;
      }
    }
  }

  #escape(): string {
    const character = this.#text.charAt(this.#at);
    if (character !== "u") {
      const plain = ESCAPES[character];
      if (plain === undefined) throw this.unexpected("in string escape code");
      this.#at += 1;
      return plain;
    }
    this.#at += 1;
    const from = this.#at;
    while (this.#at < from + 4) {
      if (!/[0-9a-fA-F]/.test(this.#text.charAt(this.#at)))
        throw this.unexpected("in \\u hexadecimal character escape");
      this.#at += 1;
    }
    return String.fromCharCode(Number.parseInt(this.#text.slice(from, this.#at), 16));
  }

  #number(): string {
    const from = this.#at;
    this.#take("-");
    if (!this.#take("0")) this.#digits("in numeric literal");
    if (this.#take(".")) this.#digits("after decimal point in numeric literal");
    if (this.#take("e") || this.#take("E")) {
      if (!this.#take("+")) this.#take("-");
      this.#digits("in exponent of numeric literal");
    }
    return this.#text.slice(from, this.#at);
  }

  #digits(where: string): void {
    const isDigit = () => !this.atEnd && /\d/.test(this.#text.charAt(this.#at));
    if (!isDigit()) throw this.unexpected(where);
    while (isDigit()) this.#at += 1;
  }
}

function quoteCharacter(character: string): string {
  if (character === "'") return "'\\''";
  if (character === '"') return "'\"'";
  const code = character.charCodeAt(0);
  if (code >= 0x20 && code < 0x7f) return character === "\\" ? "'\\\\'" : `'${character}'`;
  if (code >= 0xa1 && code !== 0xad) return `'${character}'`;
  const named: Readonly<Record<number, string>> = { 7: "a", 8: "b", 9: "t", 10: "n", 11: "v", 12: "f", 13: "r" };
  const name = named[code];
  if (name !== undefined) return `'\\${name}'`;
  const hex = code.toString(16);
  return code < 0x80 ? `'\\x${hex.padStart(2, "0")}'` : `'\\u${hex.padStart(4, "0")}'`;
}

/** The field of a struct in Go's decoder: keys match without regard to case and the last one wins. */
export function goField(object: GoValue, name: string): GoValue | undefined {
  if (object.kind !== "object") return undefined;
  return object.entries.findLast(([key]) => key.toLowerCase() === name)?.[1];
}
