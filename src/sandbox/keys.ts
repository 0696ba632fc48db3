import { createHash, timingSafeEqual } from "node:crypto";
import type { HttpBindings } from "@hono/node-server";
import type { Clock } from "../base/time.ts";
import type { BrokerRefusal, UsagePlacement } from "./answers.ts";
import { type Engine, type ReasoningForm, randomText } from "./engine.ts";
import type { FaultPlan } from "./faults.ts";

/** The kinds of key the sandbox hands out, one of each. `wrong` looks right and is known to nobody. */
export const KEY_KINDS = [
  "good",
  "wrong",
  "disabled",
  "unverified",
  "outOfMoney",
  "rateLimited",
  "management",
] as const;
export type KeyKind = (typeof KEY_KINDS)[number];

/** What a request came with: a kind of key, or none at all. */
export type KeyState = KeyKind | "none";

export type SandboxKeys = Readonly<Record<KeyKind, string>>;

/** Keys in GonkaGate's forms: `gp-…`, and `gpm-…` for the management key. */
export function makeKeys(random: () => number, given: Partial<SandboxKeys> = {}): SandboxKeys {
  const key = (kind: KeyKind) => given[kind] ?? `${kind === "management" ? "gpm" : "gp"}-${randomText(random, 40)}`;
  return {
    good: key("good"),
    wrong: key("wrong"),
    disabled: key("disabled"),
    unverified: key("unverified"),
    outOfMoney: key("outOfMoney"),
    rateLimited: key("rateLimited"),
    management: key("management"),
  };
}

const sha256 = (text: string) => createHash("sha256").update(text).digest();

/** Tells what kind of key an `Authorization` header holds. */
export function keyReader(keys: SandboxKeys): (authorization: string | null | undefined) => KeyState {
  const digests = KEY_KINDS.filter((kind) => kind !== "wrong").map((kind) => ({ kind, digest: sha256(keys[kind]) }));
  return (authorization) => {
    const presented = /^Bearer +(\S+)$/i.exec(authorization ?? "")?.[1];
    if (presented === undefined) return "none";
    const digest = sha256(presented);
    let state: KeyState = presented.startsWith("gpm-") ? "management" : "wrong";
    // Every known key is compared, equal or not, so that the time taken tells nothing about any of them.
    for (const known of digests) if (timingSafeEqual(known.digest, digest)) state = known.kind;
    return state;
  };
}

interface KeyPolicy {
  /** Status for an account without money. GonkaGate answers 429 now, JoinGonka and Mingles 402. Default 429. */
  readonly outOfMoneyStatus?: 402 | 429;
  /** `Retry-After` of the rate-limited key, seconds. Default 1. */
  readonly retryAfterSeconds?: number;
  /** Both forms of HTTP's `Retry-After`. Default `seconds`. */
  readonly retryAfterForm?: "seconds" | "date";
}

/**
 * Why a key may not make this request, or nothing when it may. Codes: GonkaGate documentation, 2026.
 * @param billed whether the route costs money; an account without any may still list models
 */
export function refuseKey(
  state: KeyState,
  options: { readonly billed: boolean; readonly policy: KeyPolicy; readonly nowMs: number },
): BrokerRefusal | undefined {
  switch (state) {
    case "good":
      return undefined;
    case "none":
      return { status: 401, code: "invalid_api_key", message: "Missing API key. Send Authorization: Bearer <key>." };
    case "wrong":
      return { status: 401, code: "invalid_api_key", message: "Invalid API key." };
    case "management":
      return { status: 401, code: "invalid_api_key", message: "Management keys cannot be used on this endpoint." };
    case "disabled":
      return { status: 403, code: "account_deactivated", message: "This account has been deactivated." };
    case "unverified":
      return { status: 403, code: "email_not_verified", message: "Verify your e-mail address to use this key." };
    case "outOfMoney":
      return options.billed ? outOfMoney(options.policy) : undefined;
    case "rateLimited":
      return rateLimited(options.policy, options.nowMs);
  }
}

function outOfMoney(policy: KeyPolicy): BrokerRefusal {
  const metadata = { balance_usd: "0.00" };
  return policy.outOfMoneyStatus === 402
    ? { status: 402, message: "Insufficient balance. Top up your account.", metadata }
    : {
        status: 429,
        code: "insufficient_quota",
        type: "insufficient_quota",
        message: "You exceeded your current quota. Top up your account to continue.",
        metadata,
      };
}

function rateLimited(policy: KeyPolicy, nowMs: number): BrokerRefusal {
  const seconds = policy.retryAfterSeconds ?? 1;
  const retryAfter = policy.retryAfterForm === "date" ? new Date(nowMs + seconds * 1000).toUTCString() : `${seconds}`;
  return {
    status: 429,
    code: "rate_limit_exceeded",
    message: "Rate limit exceeded. Slow down.",
    headers: {
      "retry-after": retryAfter,
      "x-ratelimit-limit-requests": "120",
      "x-ratelimit-remaining-requests": "0",
      "x-ratelimit-reset-requests": `${seconds}s`,
    },
  };
}

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

/** How the fake broker behaves where real ones differ. */
export interface BrokerOptions extends KeyPolicy {
  /** Fixed keys, so that a test can name them. Default: drawn anew for each sandbox. */
  readonly keys?: Partial<SandboxKeys>;
  /** `full`: with context length and prices; `bare`: OpenAI's four fields; `empty`; `unavailable`: 503. Default `full`. */
  readonly modelList?: "full" | "bare" | "empty" | "unavailable";
  /** Where a stream tells its usage. Default `last-chunk`. */
  readonly usage?: UsagePlacement;
  /** Cost fields in the usage. Default `with-costs`. */
  readonly costs?: "with-costs" | "no-costs";
  /** Model id to the form its thinking takes, where it differs from the engine's. */
  readonly reasoning?: Readonly<Record<string, ReasoningForm>>;
  /** `network`: the strict rules of the Gonka network gateway; `none`: everything passes to the engine. Default `network`. */
  readonly rules?: "network" | "none";
  /** Keep the parsed bodies in the request log: prompts then stay in memory. Default false. */
  readonly recordBodies?: boolean;
  /** Silence after which a comment line is sent. Default 15 000. */
  readonly keepAliveMs?: number;
  /** Called when a request has ended. */
  readonly onRequest?: (record: RequestRecord) => void;
}

/** What all routes of one fake broker share. */
export interface BrokerState {
  readonly engine: Engine;
  readonly options: BrokerOptions;
  readonly readKey: (authorization: string | null | undefined) => KeyState;
  readonly keys: SandboxKeys;
  readonly faults: FaultPlan;
  readonly requests: OpenRecord[];
  readonly clock: Clock;
  readonly random: () => number;
}

/** hono's types for the broker's app. */
export interface BrokerEnv {
  readonly Bindings: Partial<HttpBindings>;
  readonly Variables: { record: OpenRecord };
}
