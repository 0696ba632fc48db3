import { ZephError } from "../errors.ts";
import { type ChatToolCallDelta, isRecord, type Json, parseJson } from "./chat-shape.ts";

interface CallTrackerOptions {
  readonly newId: () => string;
  /** The tools that were offered, by name; `undefined` when that is not known. */
  readonly tools: () => ReadonlyMap<string, unknown> | undefined;
  /** Told what could not be put right. */
  readonly notice: (text: string) => void;
}

/** Keeps the tool calls of one choice apart, however its server numbers them. */
interface CallTracker {
  /** How many calls have begun. */
  readonly count: number;
  /** The entries of one delta in OpenAI's form; the same list where nothing had to be changed. */
  add(entries: readonly unknown[]): readonly unknown[];
  /** A call that came whole, by another way. */
  addWhole(call: {
    readonly name: string;
    readonly argumentsText: string;
    readonly id?: string | undefined;
  }): ChatToolCallDelta;
  /** Whether `{}` went out with the last delta, which should wait for the next one. */
  readonly isProvisional: boolean;
  /** The last delta is passed on now: gives the indexes of calls whose `{}` in it was not meant. */
  settle(): readonly number[];
  /** What was held back. After a cut the arguments are left as they came: nobody may run half a call. */
  finish(isCut: boolean): ChatToolCallDelta[];
}

interface OpenCall {
  /** Its place among the calls that go out; -1 until it has a name. */
  index: number;
  readonly wireIndex: number | undefined;
  id: string | undefined;
  name: string;
  flow: ArgumentsFlow;
  /** Its arguments are `{}`, in a piece that has not been passed on yet: with some servers that means "not yet". */
  isProvisional: boolean;
  /** Fields we do not know, of the piece it began with. */
  others: Json;
  /** Dropped: it was a part or a repetition of another. */
  isOver: boolean;
}

/** An entry as its server wrote it. */
interface Piece {
  readonly wireIndex: number | undefined;
  readonly id: string | undefined;
  readonly name: string;
  readonly argumentsText: string;
}

/** Each piece is compared with the calls there are; nobody runs so many of one answer. */
const MAX_CALLS = 1024;

export function callTracker({ newId, tools, notice }: CallTrackerOptions): CallTracker {
  const calls: OpenCall[] = [];
  const ids = new Set<string>();
  let retracted: number[] = [];
  let count = 0;

  function open(piece: Piece, others: Json): OpenCall {
    const call: OpenCall = {
      index: -1,
      wireIndex: piece.wireIndex,
      id: piece.id,
      name: "",
      flow: argumentsFlow(),
      isProvisional: false,
      others,
      isOver: false,
    };
    calls.push(call);
    return call;
  }

  /** The call a piece belongs to; `undefined` when it begins one. */
  function find(piece: Piece, position: number, entries: readonly unknown[]): OpenCall | undefined {
    const { wireIndex, id, name } = piece;
    const open = calls.filter((call) => !call.isOver);
    const latest = open.at(-1);
    if (wireIndex !== undefined) {
      const same = open.findLast((call) => call.wireIndex === wireIndex);
      return same !== undefined && !beginsAnew(same, piece) ? same : undefined;
    }
    if (id !== undefined) {
      const same = open.findLast((call) => call.id === id);
      if (same !== undefined) return beginsAnew(same, piece) ? undefined : same;
      if (name !== "" && latest?.name !== "") return undefined;
      return latest !== undefined && (latest.id === undefined || name === "") && !beginsAnew(latest, piece)
        ? latest
        : undefined;
    }
    if (name !== "") return latest !== undefined && !beginsAnew(latest, piece) ? latest : undefined;
    // Neither index nor id nor name: by its place, where a delta has pieces of several calls.
    return entries.length > 1 && entries.length === open.length ? open[position] : latest;
  }

  /** Whether a piece that points to this call is in truth another call. */
  function beginsAnew(call: OpenCall, { id, name, argumentsText }: Piece): boolean {
    if (name === "" || call.name === "") return false;
    const isOtherId = id !== undefined && call.id !== undefined && id !== call.id;
    const { flow } = call;
    if (name !== call.name) {
      if (isPartOfName(call.name + name) && flow.text === "") return false;
      return isOtherId || flow.text !== "" || argumentsText !== "" || tools()?.has(name) === true;
    }
    if (flow.text === "") return false;
    if (isOtherId) return flow.isComplete || /^\s*\{/.test(argumentsText);
    if (id === undefined && call.id !== undefined) return false;
    // One id for two calls, or a piece that repeats what is there.
    return (
      flow.isComplete && /^\s*\{/.test(argumentsText) && argumentsText.trim() !== flow.text.trim() && !flow.isEmpty
    );
  }

  function isPartOfName(name: string): boolean {
    for (const known of tools()?.keys() ?? []) if (known.startsWith(name)) return true;
    return false;
  }

  /** Lets a call go out that has its name. */
  function begin(call: OpenCall): { id: string; index: number } {
    const isFree = call.id !== undefined && !ids.has(call.id);
    const id = isFree && call.id !== undefined ? call.id : newId();
    ids.add(id);
    call.index = count;
    count += 1;
    return { id, index: call.index };
  }

  function take(entry: unknown, position: number, entries: readonly unknown[]): Json | undefined {
    if (!isRecord(entry)) return undefined;
    const inner = isRecord(entry.function) ? entry.function : entry;
    const piece = readPiece(entry, inner);
    const found = find(piece, position, entries);
    if (found === undefined && calls.length >= MAX_CALLS) {
      throw new ZephError("bad_response", { detail: `the answer holds more than ${MAX_CALLS} tool calls` });
    }
    const call = found ?? open(piece, entry);
    if (call.id === undefined) call.id = piece.id;
    if (call.isProvisional && call.flow.isEmpty && piece.argumentsText.trim() !== "") {
      call.flow = argumentsFlow();
      if (call.index !== -1) retracted.push(call.index);
    }
    const ready = call.flow.push(piece.argumentsText);
    call.isProvisional = call.flow.isEmpty;
    if (call.index === -1) {
      call.name = joinName(call.name, piece.name);
      // A decoder needs the name first, so nothing waits that it could use. The beginning of a longer name waits, too.
      if (call.name === "" || (tools()?.has(call.name) === false && isPartOfName(call.name))) {
        call.flow.keep(ready);
        return undefined;
      }
      const { id, index } = begin(call);
      const text = call.flow.kept() + ready;
      if (
        entry.id === id &&
        entry.index === index &&
        entry.type === "function" &&
        inner !== entry &&
        inner.name === call.name &&
        inner.arguments === text
      ) {
        return entry;
      }
      return firstPiece(call, { id, index, text, inner });
    }
    const { type } = entry;
    const isPlain = !isSaid(entry.id) && !isSaid(inner.name) && (!isSaid(type) || type === "function");
    if (isPlain && entry.index === call.index && inner !== entry && inner.arguments === ready) return entry;
    return ready === "" ? undefined : { index: call.index, function: { arguments: ready } };
  }

  function restOf(call: OpenCall, isCut: boolean): ChatToolCallDelta[] {
    const { rest, fault } = call.flow.finish(isCut);
    if (fault !== undefined) notice(`the arguments of the tool call "${call.name}" ${fault}`);
    return rest === "" ? [] : [{ index: call.index, function: { arguments: rest } }];
  }

  /** Calls that never got a name: a part of the call before them, the one tool there is, or nothing. */
  function finishNameless(call: OpenCall): ChatToolCallDelta[] {
    call.isOver = true;
    const text = call.flow.text;
    const before = calls.slice(0, calls.indexOf(call)).findLast((each) => each.index !== -1);
    if (call.name === "" && before !== undefined && text.trim() !== "") {
      // One call written as two entries (MiniMax): the second has the arguments, or repeats them.
      if (before.flow.text !== "") return [];
      const ready = before.flow.push(text);
      return ready === "" ? [] : [{ index: before.index, function: { arguments: ready } }];
    }
    const offered = tools();
    const [only] = offered?.size === 1 ? offered.keys() : [];
    if (call.name === "" && only !== undefined && text.trim() !== "") call.name = only;
    if (call.name === "") {
      if (text.trim() !== "") notice("a tool call came without a name and was left out");
      return [];
    }
    call.isOver = false;
    const { id, index } = begin(call);
    const ready = call.flow.kept();
    return [{ index, id, type: "function", function: { name: call.name, arguments: ready } }];
  }

  return {
    get count() {
      return count;
    },
    get isProvisional() {
      return calls.some((call) => call.isProvisional);
    },
    settle() {
      const given = retracted;
      retracted = [];
      for (const call of calls) if (!given.includes(call.index)) call.isProvisional = false;
      return given;
    },
    add(entries) {
      let changed: unknown[] | undefined;
      for (const [position, entry] of entries.entries()) {
        const piece = take(entry, position, entries);
        if (changed === undefined && piece !== entry) changed = entries.slice(0, position);
        if (piece !== undefined) changed?.push(piece);
      }
      return changed ?? entries;
    },
    addWhole({ name, argumentsText, id }) {
      const call = open({ wireIndex: undefined, id, name, argumentsText }, {});
      call.name = name;
      const drawn = begin(call);
      const text = call.flow.push(argumentsText) + call.flow.finish(false).rest;
      return { index: drawn.index, id: drawn.id, type: "function", function: { name, arguments: text } };
    },
    finish(isCut) {
      const nameless = calls.filter((call) => call.index === -1 && !call.isOver);
      const pieces = nameless.flatMap(finishNameless);
      const rests = calls.filter((call) => call.index !== -1).flatMap((call) => restOf(call, isCut));
      return [...pieces, ...rests];
    },
  };
}

function isSaid(value: unknown): boolean {
  return value !== undefined && value !== null && value !== "";
}

function readPiece(entry: Json, inner: Json): Piece {
  const { id } = entry;
  const { name } = inner;
  const given = inner.arguments ?? (inner === entry ? (entry.input ?? entry.parameters) : inner.parameters);
  return {
    wireIndex: readIndex(entry.index),
    id: typeof id === "number" ? String(id) : typeof id === "string" && id.trim() !== "" ? id : undefined,
    name: typeof name === "string" ? name.trim() : "",
    argumentsText: toArgumentsText(given),
  };
}

function readIndex(value: unknown): number | undefined {
  const index = typeof value === "string" && /^\d+$/.test(value) ? Number(value) : value;
  return typeof index === "number" && Number.isSafeInteger(index) && index >= 0 ? index : undefined;
}

/** Tool arguments as the wire wants them: a string of JSON. Some servers send the object itself, or null. */
function toArgumentsText(value: unknown): string {
  if (typeof value === "string") return value;
  return typeof value === "object" && value !== null ? JSON.stringify(value) : "";
}

function joinName(before: string, piece: string): string {
  return before === "" || piece === before ? piece || before : before + piece;
}

function firstPiece(
  call: OpenCall,
  {
    id,
    index,
    text,
    inner,
  }: { readonly id: string; readonly index: number; readonly text: string; readonly inner: Json },
): Json {
  const { index: _index, id: _id, type: _type, function: _function, ...others } = call.others;
  if (inner === call.others) for (const name of ["name", "arguments", "input", "parameters"]) delete others[name];
  return { index, id, type: "function", ...others, function: { name: call.name, arguments: text } };
}

/** The arguments of one call, watched while they pass. */
interface ArgumentsFlow {
  /** All that came. */
  readonly text: string;
  /** Whether that is one whole object. */
  readonly isComplete: boolean;
  /** Whether it is `{}`. */
  readonly isEmpty: boolean;
  /** Takes a piece; gives what may go out. From the first fault on everything waits for the end. */
  push(piece: string): string;
  /** Puts back what could not go out yet, and gives it out again. */
  keep(ready: string): void;
  kept(): string;
  /** The rest, put right where that is possible: what went out and the rest join to JSON, or `fault` says why not. */
  finish(isCut: boolean): { readonly rest: string; readonly fault?: string };
}

type Expected = "value" | "key-or-end" | "key" | "colon" | "comma-or-end" | "nothing";

const SPACE = /\s/;

/** Follows the JSON while it arrives, so that what is sound goes on at once and what is not can still be put right. */
function argumentsFlow(): ArgumentsFlow {
  let text = "";
  let sent = 0;
  let kept = "";
  let broken = false;
  let finished = false;
  /** Open brackets, innermost last. */
  const brackets: string[] = [];
  let expected: Expected = "value";
  let inString = false;
  let isKey = false;
  let escaped = false;
  let inScalar = false;

  function afterValue(): void {
    expected = brackets.length === 0 ? "nothing" : "comma-or-end";
  }
  function closeBracket(character: string): boolean {
    const wanted = character === "}" ? "{" : "[";
    if (brackets.at(-1) !== wanted) return false;
    brackets.pop();
    afterValue();
    return true;
  }
  function openValue(character: string): boolean {
    if (character === "{" || character === "[") {
      if (brackets.length === 0 && character === "[") return false;
      brackets.push(character);
      expected = character === "{" ? "key-or-end" : "value";
      return true;
    }
    if (brackets.length === 0) return false;
    // The list that has just begun may also end.
    if (character === "]") return closeBracket(character);
    if (character === '"') {
      inString = true;
      isKey = false;
      return true;
    }
    inScalar = /[-0-9tfn]/.test(character);
    return inScalar;
  }
  /** False where JSON does not allow this character. */
  function step(character: string): boolean {
    if (inString) {
      if (escaped) escaped = false;
      else if (character === "\\") escaped = true;
      else if (character === '"') {
        inString = false;
        if (isKey) expected = "colon";
        else afterValue();
      } else if (character < " ") return false;
      return true;
    }
    if (inScalar) {
      if (/[-+.0-9a-zA-Z]/.test(character)) return true;
      inScalar = false;
      afterValue();
    }
    if (SPACE.test(character)) return true;
    switch (expected) {
      case "value":
        return openValue(character);
      case "key-or-end":
      case "key":
        if (character === "}") return expected === "key-or-end" && closeBracket(character);
        inString = character === '"';
        isKey = inString;
        return inString;
      case "colon":
        expected = "value";
        return character === ":";
      case "comma-or-end":
        if (character !== ",") return (character === "}" || character === "]") && closeBracket(character);
        expected = brackets.at(-1) === "{" ? "key" : "value";
        return true;
      default:
        return false;
    }
  }
  /** How far a piece is sound. Looks at the piece only: `text` may be long. */
  function follow(piece: string): number {
    for (let at = 0; at < piece.length; at += 1) {
      if (step(piece.charAt(at))) continue;
      broken = true;
      return at;
    }
    return piece.length;
  }

  return {
    get text() {
      return text;
    },
    get isComplete() {
      return !broken && expected === "nothing";
    },
    get isEmpty() {
      return text.length <= MAX_EMPTY_CHARS && EMPTY_OBJECT.test(text);
    },
    push(piece) {
      // Servers that write everything so far into each piece.
      const isAgain =
        text.length > 1 && piece.length >= text.length && (inString || expected !== "value") && piece.startsWith(text);
      const added = isAgain ? piece.slice(text.length) : piece;
      text += added;
      if (broken || added === "") return "";
      const sound = follow(added);
      sent += sound;
      return sound === added.length ? added : added.slice(0, sound);
    },
    keep(ready) {
      kept += ready;
    },
    kept() {
      const all = kept;
      kept = "";
      return all;
    },
    finish(isCut) {
      if (finished) return { rest: "" };
      finished = true;
      const mended = mendArguments(text, isCut);
      const out = text.slice(0, sent);
      if (mended?.startsWith(out)) return { rest: mended.slice(sent) };
      const fault = isCut ? "were cut" : "are not valid JSON";
      return { rest: text.slice(sent), ...(isCut && text === "" ? {} : { fault }) };
    },
  };
}

const MAX_EMPTY_CHARS = 16;
const EMPTY_OBJECT = /^\s*\{\s*\}\s*$/;

/** The one object that arguments were meant to be; `undefined` where nobody can tell. */
export function mendArguments(text: string, isCut = false): string | undefined {
  const trimmed = text.trim();
  if (isRecord(parseJson(trimmed))) return text;
  if (trimmed === "") return isCut ? undefined : "{}";
  if (/^(?:null|none|undefined|""|\[\])$/i.test(trimmed)) return "{}";
  const inner = trimmed.startsWith('"') ? parseJson(trimmed) : undefined;
  if (typeof inner === "string") return isRecord(parseJson(inner)) ? inner : undefined;
  return (
    withoutRestart(trimmed) ??
    lastOfSeveral(trimmed) ??
    withEscapes(trimmed) ??
    (isCut ? undefined : withClosings(trimmed))
  );
}

/**
 * Arguments that were sent twice: MiniMax parsers write an unfinished object and then the whole one
 * (`{"a":1{"a":1,"b":2}`). (sgl-project/sglang #23071; gonka-ai/gonka docs/chat-api/minimax-m2.7.md.) Only a restart is
 * cut: what comes first must be the beginning of what follows.
 */
function withoutRestart(text: string): string | undefined {
  if (!text.startsWith("{")) return undefined;
  const maxTries = triesFor(text);
  for (let at = text.indexOf("{", 1), tries = 0; at !== -1 && tries < maxTries; at = text.indexOf("{", at + 1)) {
    tries += 1;
    const second = text.slice(at);
    if (second.startsWith(text.slice(0, at).trimEnd()) && isRecord(parseJson(second))) return second;
  }
  return undefined;
}

/** Of several objects in a row the last that says something; behind it only what is no JSON. */
function lastOfSeveral(text: string): string | undefined {
  let found: string | undefined;
  let from = 0;
  const maxTries = triesFor(text);
  for (let tries = 0; tries < maxTries && text[from] === "{"; tries += 1) {
    const end = endOfObject(text, from);
    const part = text.slice(from, end);
    if (end === -1 || !isRecord(parseJson(part))) break;
    if (found === undefined || !EMPTY_OBJECT.test(part)) {
      // Two objects that differ are two calls or none: nobody can tell which was meant.
      if (found !== undefined && !EMPTY_OBJECT.test(found) && found !== part) return undefined;
      found = part;
    }
    from = end;
    while (SPACE.test(text.charAt(from))) from += 1;
  }
  return found;
}

const MAX_TRIES = 64;

/** Characters that all tries together may look at. */
const MAX_TRIED_CHARS = 4 * 1024 * 1024;

/** Each try may read the text to its end. */
function triesFor(text: string): number {
  return Math.min(MAX_TRIES, Math.ceil(MAX_TRIED_CHARS / text.length));
}

function endOfObject(text: string, from: number): number {
  let depth = 0;
  let inString = false;
  for (let at = from; at < text.length; at += 1) {
    const character = text[at];
    if (inString) {
      if (character === "\\") at += 1;
      else if (character === '"') inString = false;
    } else if (character === '"') inString = true;
    else if (character === "{" || character === "[") depth += 1;
    else if (character === "}" || character === "]") {
      depth -= 1;
      if (depth === 0) return at + 1;
    }
  }
  return -1;
}

/** Line breaks and the like inside strings, which JSON wants escaped. */
function withEscapes(text: string): string | undefined {
  if (!/[\n\r\t\b\f]/.test(text)) return undefined;
  let inString = false;
  let mended = "";
  for (let at = 0; at < text.length; at += 1) {
    const character = text.charAt(at);
    if (inString && character === "\\") {
      mended += character + text.charAt(at + 1);
      at += 1;
      continue;
    }
    if (character === '"') inString = !inString;
    mended += inString && character < " " ? JSON.stringify(character).slice(1, -1) : character;
  }
  return isRecord(parseJson(mended)) ? mended : undefined;
}

/** Deeper than any arguments. */
const MAX_OPEN = 128;

/** Some parsers lose the last brackets. Where only they are missing, they are added. */
function withClosings(text: string): string | undefined {
  if (!text.startsWith("{")) return undefined;
  const open: string[] = [];
  let inString = false;
  for (let at = 0; at < text.length && open.length <= MAX_OPEN; at += 1) {
    const character = text.charAt(at);
    if (inString) {
      if (character === "\\") at += 1;
      else if (character === '"') inString = false;
    } else if (character === '"') inString = true;
    else if (character === "{") open.push("}");
    else if (character === "[") open.push("]");
    else if (character === "}" || character === "]") open.pop();
  }
  const closed = text + open.reverse().join("");
  // A number may have lost digits.
  return !inString && !/[0-9]$/.test(text) && isRecord(parseJson(closed)) ? closed : undefined;
}
