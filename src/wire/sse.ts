import { ZephError } from "../errors.ts";

/**
 * One event of a stream, as a view of the bytes it came in (WHATWG HTML, "Server-sent events"). The reader uses one
 * object for all events: what a listener wants to keep it copies.
 */
export interface SseEvent {
  /** Holds the bytes; they are never written to again. */
  readonly buffer: Uint8Array;
  /** Where the event begins in `buffer`, and where it ends: behind the empty line that closed it. */
  readonly start: number;
  readonly end: number;
  /** The `event:` field; empty where there was none. */
  readonly name: string;
  /** How many `data:` lines there are. None in comments, `retry:` and the like. */
  readonly dataLines: number;
  /** Lines that are no SSE, joined: a node writes bare text when it fails after it began. Bounded. */
  readonly bare: string;
  /** Whether a line ended with a carriage return alone, which many clients do not take for a line. */
  readonly hasLoneReturn: boolean;
  /** False for the last event of a stream that ended before its empty line. */
  readonly isFinished: boolean;
  /** The `data:` lines, joined by line feeds. Decoded at each call. */
  data(): string;
}

interface SseListener {
  event(event: SseEvent): void;
  /**
   * Asked at the beginning of each event, when the bytes up to `limit` are there: gives the end of the event where it
   * dealt with it by itself, otherwise 0. So the many events that look like the one before need not be taken apart.
   */
  skim?(buffer: Uint8Array, start: number, limit: number): number;
}

/** Takes the bytes of one stream as they arrive. */
export interface SseReader {
  /** Throws `response_too_large` for an event beyond the bound. */
  push(bytes: Uint8Array): void;
  /** The stream has ended: what is left becomes an event that is not finished. */
  end(): void;
}

/** An event longer than this is a fault or an attack. Nodes themselves stop at 1 MiB a line. */
const MAX_EVENT_BYTES = 4 * 1024 * 1024;

/** Of bare text this much is kept. */
const MAX_BARE_CHARS = 16 * 1024;

const LF = 0x0a;
const CR = 0x0d;
const COLON = 0x3a;
const SPACE = 0x20;

/**
 * Bytes to events, one scan, without copies as long as events do not run over from one piece to the next. Takes LF, CRLF
 * and CR, a byte order mark, characters cut in two, data over several lines.
 */
export function sseReader(listener: SseListener, maxEventBytes: number = MAX_EVENT_BYTES): SseReader {
  const open = new OpenEvent();
  /** Whether `buffer` is our own, so that more may be written behind what is there. */
  let isOwn = false;
  /** What holds the unfinished event, and how much of it is filled. */
  let buffer: Uint8Array = EMPTY;
  let limit = 0;
  /** Offsets in `buffer`: of the event, of the line, and of the first byte that has not been looked at. */
  let start = 0;
  let line = 0;
  let seen = 0;
  let atBeginning = true;

  function take(bytes: Uint8Array): void {
    if (start === limit) {
      buffer = bytes;
      limit = buffer.length;
      start = 0;
      line = 0;
      seen = 0;
      return;
    }
    const rest = limit - start;
    const needed = limit + bytes.length;
    if (buffer.length < needed || !isOwn) {
      // Twice as much as is needed: an event in thousands of pieces is copied a few times, not thousands of times.
      const wider = new Uint8Array(2 * (rest + bytes.length));
      wider.set(buffer.subarray(start, limit));
      buffer = wider;
      isOwn = true;
      line -= start;
      seen -= start;
      limit = rest;
      start = 0;
    }
    buffer.set(bytes, limit);
    limit += bytes.length;
  }

  function read(): void {
    if (atBeginning && !skipMark()) return;
    const bytes = buffer.length === limit ? buffer : buffer.subarray(0, limit);
    let returnAt = bytes.indexOf(CR, seen);
    for (;;) {
      if (line === start && listener.skim !== undefined) {
        const end = listener.skim(bytes, start, limit);
        if (end > 0) {
          start = end;
          line = end;
          seen = end;
          if (start === limit) return;
          continue;
        }
      }
      if (returnAt !== -1 && returnAt < seen) returnAt = bytes.indexOf(CR, seen);
      const feedAt = bytes.indexOf(LF, seen);
      const isReturn = returnAt !== -1 && (feedAt === -1 || returnAt < feedAt);
      const lineEnd = isReturn ? returnAt : feedAt;
      // Behind a return at the very end a line feed may follow, which belongs to it.
      if (lineEnd === -1 || (isReturn && lineEnd + 1 === limit)) {
        seen = lineEnd === -1 ? limit : lineEnd;
        if (limit - start > maxEventBytes) throw tooLarge();
        return;
      }
      const isPair = isReturn && bytes[lineEnd + 1] === LF;
      const next = lineEnd + (isPair ? 2 : 1);
      if (isReturn && !isPair) open.hasLoneReturn = true;
      if (next - start > maxEventBytes) throw tooLarge();
      if (lineEnd > line) open.line(bytes, start, line, lineEnd);
      else close(bytes, next, true);
      line = next;
      seen = next;
      if (next === limit) return;
    }
  }

  function close(bytes: Uint8Array, end: number, isFinished: boolean): void {
    open.close(bytes, start, end, isFinished);
    listener.event(open);
    open.clear();
    start = end;
  }

  /** Skips a byte order mark; false while it is not clear whether there is one. */
  function skipMark(): boolean {
    for (let at = 0; at < MARK.length; at += 1) {
      if (start + at >= limit) return false;
      if (buffer[start + at] !== MARK[at]) break;
      if (at === MARK.length - 1) start += MARK.length;
    }
    line = start;
    seen = start;
    atBeginning = false;
    return true;
  }

  return {
    push(bytes) {
      if (bytes.length === 0) return;
      if (start === limit) isOwn = false;
      take(bytes);
      read();
    },
    end() {
      if (start === limit) return;
      const bytes = buffer.subarray(0, limit);
      const lineEnd = bytes[limit - 1] === CR ? limit - 1 : limit;
      if (lineEnd > line) open.line(bytes, start, line, lineEnd);
      close(bytes, limit, false);
      line = limit;
    },
  };
}

const EMPTY = new Uint8Array(0);
const encoder = new TextEncoder();

/** Keeps byte order marks inside: only the one in front of a stream is none of its characters. */
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
const MARK = [0xef, 0xbb, 0xbf];
const DATA = encoder.encode("data");
const NAME = encoder.encode("event");
const IGNORED = ["id", "retry"].map((name) => encoder.encode(name));

/** The event that is being read. Offsets of its lines are kept relative to its beginning: its bytes may move. */
class OpenEvent implements SseEvent {
  buffer: Uint8Array = EMPTY;
  start = 0;
  end = 0;
  name = "";
  dataLines = 0;
  bare = "";
  hasLoneReturn = false;
  isFinished = true;
  private firstStart = 0;
  private firstEnd = 0;
  private more: number[] | undefined;

  line(bytes: Uint8Array, start: number, from: number, to: number): void {
    if (bytes[from] === COLON) return;
    if (isField(bytes, DATA, from, to)) {
      let value = Math.min(from + DATA.length + 1, to);
      if (value < to && bytes[value] === SPACE) value += 1;
      this.dataLines += 1;
      if (this.dataLines === 1) {
        this.firstStart = value - start;
        this.firstEnd = to - start;
      } else {
        this.more ??= [];
        this.more.push(value - start, to - start);
      }
    } else if (isField(bytes, NAME, from, to)) {
      this.name = decode(bytes, Math.min(from + NAME.length + 1, to), to).trim();
    } else if (!IGNORED.some((field) => isField(bytes, field, from, to)) && this.bare.length < MAX_BARE_CHARS) {
      const text = decode(bytes, from, Math.min(to, from + MAX_BARE_CHARS));
      this.bare = this.bare === "" ? text : `${this.bare}\n${text}`;
    }
  }
  data(): string {
    const { buffer, start, firstStart, firstEnd, more } = this;
    let text = this.dataLines === 0 ? "" : decode(buffer, start + firstStart, start + firstEnd);
    for (let at = 0; more !== undefined && at < more.length; at += 2) {
      text += `\n${decode(buffer, start + (more[at] ?? 0), start + (more[at + 1] ?? 0))}`;
    }
    return text;
  }
  close(bytes: Uint8Array, start: number, end: number, isFinished: boolean): void {
    this.buffer = bytes;
    this.start = start;
    this.end = end;
    this.isFinished = isFinished;
  }
  clear(): void {
    this.name = "";
    this.dataLines = 0;
    this.bare = "";
    this.hasLoneReturn = false;
    this.more = undefined;
  }
}

/** Whether a line is this field, with or without a colon behind its name. */
function isField(bytes: Uint8Array, field: Uint8Array, from: number, to: number): boolean {
  const behind = from + field.length;
  if (behind > to || (behind < to && bytes[behind] !== COLON)) return false;
  for (let at = 0; at < field.length; at += 1) if (bytes[from + at] !== field[at]) return false;
  return true;
}

/** A part of the bytes as text. */
export function decode(bytes: Uint8Array, from = 0, to: number = bytes.length): string {
  return decoder.decode(bytes.subarray(from, to));
}

function tooLarge(): ZephError {
  return new ZephError("response_too_large", { detail: "one line of the stream" });
}

/** Several pieces as one. */
export function concat(pieces: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    all.set(piece, at);
    at += piece.length;
  }
  return all;
}
