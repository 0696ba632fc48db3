/**
 * Shapes of config values, checked by hand-written readers: every command reads the config before anything else, and the
 * library that reads foreign documents takes longer to load than all the rest of that together.
 */
export interface Shape<T> {
  /** Reads one value; what is wrong with it is added to `issues`. The result counts only where nothing was added. */
  read(value: unknown, path: readonly PropertyKey[], issues: Issue[]): T;
}

interface Issue {
  readonly path: readonly PropertyKey[];
  /** Ends the sentence that begins with the field's name: "must be a number". */
  readonly message: string;
}

export type Infer<S> = S extends Shape<infer T> ? T : never;

/** A table whose unknown fields are kept. */
export interface TableShape<Fields extends FieldShapes> extends Shape<TableOf<Fields>> {
  readonly fields: Fields;
}

type FieldShapes = Readonly<Record<string, Shape<unknown>>>;

type TableOf<Fields extends FieldShapes> = {
  [Name in keyof Fields as undefined extends Infer<Fields[Name]> ? never : Name]: Infer<Fields[Name]>;
} & {
  [Name in keyof Fields as undefined extends Infer<Fields[Name]> ? Name : never]?: Infer<Fields[Name]>;
} & { [unknown: string]: unknown };

/** What the shape makes of a value: `data` when nothing is wrong with it, else the issues. */
export function readShape<T>(
  shape: Shape<T>,
  value: unknown,
): { readonly data?: T; readonly issues: readonly Issue[] } {
  const issues: Issue[] = [];
  const data = shape.read(value, [], issues);
  return issues.length === 0 ? { data, issues } : { issues };
}

/** A value that the guard lets through, then checked: each check gives the fault it finds, and all are told. */
export function valueShape<T>(
  isOf: (value: unknown) => value is T,
  message: string,
  ...checks: readonly ((value: T) => string | undefined)[]
): Shape<T> {
  return {
    read(value, path, issues) {
      if (!isOf(value)) {
        issues.push({ path, message });
        return value as T;
      }
      for (const check of checks) {
        const fault = check(value);
        if (fault !== undefined) issues.push({ path, message: fault });
      }
      return value;
    },
  };
}

/** A shape with one more check; it is left out for values that are faulty already in kind. */
export function checked<T>(shape: Shape<T>, check: (value: T) => string | undefined): Shape<T> {
  return changed(shape, (value, fault) => {
    const found = check(value);
    if (found !== undefined) fault(found);
    return value;
  });
}

/** A shape whose value is turned into another; the change may find a fault of its own. */
export function changed<T, U>(shape: Shape<T>, change: (value: T, fault: (message: string) => void) => U): Shape<U> {
  return {
    read(value, path, issues) {
      const before = issues.length;
      const inner = shape.read(value, path, issues);
      if (issues.length > before) return undefined as U;
      return change(inner, (message) => issues.push({ path, message }));
    },
  };
}

export function optional<T>(shape: Shape<T>): Shape<T | undefined> {
  return { read: (value, path, issues) => (value === undefined ? undefined : shape.read(value, path, issues)) };
}

/** Where nothing stands, `initial` is read in its place. */
export function withDefault<T>(shape: Shape<T>, initial: unknown): Shape<T> {
  return { read: (value, path, issues) => shape.read(value === undefined ? initial : value, path, issues) };
}

export function list<T>(item: Shape<T>, message: string): Shape<T[]> {
  return {
    read(value, path, issues) {
      if (Array.isArray(value)) return value.map((each, index) => item.read(each, [...path, index], issues));
      issues.push({ path, message });
      return [];
    },
  };
}

export function table<Fields extends FieldShapes>(fields: Fields, message = "must be a table"): TableShape<Fields> {
  return {
    fields,
    read(value, path, issues) {
      const result: Record<string, unknown> = {};
      if (typeof value !== "object" || value === null || Array.isArray(value)) issues.push({ path, message });
      else {
        const given = value as Readonly<Record<string, unknown>>;
        for (const [name, shape] of Object.entries(fields)) {
          const inner = shape.read(given[name], [...path, name], issues);
          if (inner !== undefined || name in given) result[name] = inner;
        }
        for (const name of Object.keys(given)) {
          if (!Object.hasOwn(fields, name) && name !== "__proto__") result[name] = given[name];
        }
      }
      return result as TableOf<Fields>;
    },
  };
}

/** A table of names and values of one shape. */
export function namedValues<T>(item: Shape<T>, message: string): Shape<Record<string, T>> {
  return {
    read(value, path, issues) {
      if (typeof value !== "object" || value === null || Array.isArray(value)) {
        issues.push({ path, message });
        return {};
      }
      return Object.fromEntries(
        Object.entries(value).map(([name, each]) => [name, item.read(each, [...path, name], issues)]),
      );
    },
  };
}

const isText = (value: unknown): value is string => typeof value === "string";
const isFlag = (value: unknown): value is boolean => typeof value === "boolean";
const isNumber = (value: unknown): value is number => typeof value === "number" && Number.isFinite(value);
const isWhole = (value: unknown): value is number => Number.isSafeInteger(value);

const words = valueShape(isText, "must be text in quotes");
export const text = checked(words, (value) => (value.trim() === "" ? "must not be empty" : undefined));

/** Zeph writes empty text where it means "none". */
export const optionalText = optional(changed(words, (value) => (value.trim() === "" ? undefined : value)));
export const flag = valueShape(isFlag, "must be true or false");

export function wholeNumber(least: number, most?: number): Shape<number> {
  return valueShape(isWhole, "must be a whole number", (value) => {
    if (value < least) return `must be at least ${least}`;
    return most !== undefined && value > most ? `must be at most ${most}` : undefined;
  });
}

export function number(message: string, check: (value: number) => string | undefined): Shape<number> {
  return valueShape(isNumber, message, check);
}

/** Text of a certain form. */
export function textLike(pattern: RegExp, message: string): Shape<string> {
  return checked(text, (value) => (pattern.test(value) ? undefined : message));
}

export function oneOf<const T extends string | number>(values: readonly T[], message: string): Shape<T> {
  const isOne = (value: unknown): value is T => values.some((each) => each === value);
  return valueShape(isOne, message);
}
