/** What may be asked of header fields. A web `Headers` is such a view too. Names are given in lower case. */
export type HeaderView = Pick<Headers, "get" | "has">;

/** A view that can also be gone through, a name and its value at a time. */
export type HeaderList = HeaderView & Iterable<[string, string]>;

/** Fields as Node and undici give them: names in lower case, what came several times as a list. */
export type HeaderRecord = Readonly<Record<string, string | readonly string[] | undefined>>;

/** Header fields without the cost of a web `Headers`, which checks and sorts every name and value again. */
export class HeaderFields implements HeaderList {
  readonly record: HeaderRecord;

  constructor(record: HeaderRecord) {
    this.record = record;
  }

  static from(headers: Headers): HeaderFields {
    return new HeaderFields(Object.fromEntries(headers));
  }

  get(name: string): string | null {
    const value = Object.hasOwn(this.record, name) ? this.record[name] : undefined;
    if (typeof value === "string") return value;
    return value === undefined ? null : value.join(", ");
  }

  has(name: string): boolean {
    return this.get(name) !== null;
  }

  *[Symbol.iterator](): Iterator<[string, string]> {
    for (const name of Object.keys(this.record)) {
      const value = this.get(name);
      if (value !== null) yield [name, value];
    }
  }

  /** The fields without these. */
  without(names: readonly string[]): Record<string, string> {
    const kept: Record<string, string> = {};
    for (const name of Object.keys(this.record)) {
      const value = names.includes(name) ? null : this.get(name);
      if (value !== null) kept[name] = value;
    }
    return kept;
  }

  /** As the web has them. */
  toHeaders(): Headers {
    const headers = new Headers();
    for (const [name, value] of Object.entries(this.record)) {
      if (typeof value === "string") headers.append(name, value);
      else for (const each of value ?? []) headers.append(name, each);
    }
    return headers;
  }
}
