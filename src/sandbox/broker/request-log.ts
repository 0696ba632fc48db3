import type { KeyState } from "./keys.ts";

/** What the sandbox remembers of one request. Never a header, never a key. */
export interface RequestRecord {
  readonly requestId: string;
  readonly method: string;
  /** Path without the query. */
  readonly path: string;
  /** The key's kind, not the key. */
  readonly key: KeyState;
  /** Name and size in bytes of every top-level field of a JSON body. */
  readonly fields: Readonly<Record<string, number>>;
  /** The model asked for, where there was one. */
  readonly model?: string;
  /** The parsed body; only with `recordBodies`. */
  readonly body?: unknown;
  /** Absent while the request waits, and when it was never answered. */
  readonly status?: number;
  /** The fault that was played on it. */
  readonly fault?: string;
  /** Until the last byte, or until the connection ended. */
  readonly elapsedMs?: number;
}

/** A record while the request is being worked on. */
export type OpenRecord = { -readonly [Field in keyof RequestRecord]: RequestRecord[Field] };

/** Adds to a record what may be kept of its body. */
export function recordBody(record: OpenRecord, body: unknown, keepBody: "keep-body" | "names-only"): void {
  if (keepBody === "keep-body") record.body = body;
  if (typeof body !== "object" || body === null || Array.isArray(body)) return;
  record.fields = Object.fromEntries(
    Object.entries(body).map(([name, value]) => [name, Buffer.byteLength(JSON.stringify(value) ?? "")]),
  );
  if ("model" in body && typeof body.model === "string") record.model = body.model;
}
