import { createHash, timingSafeEqual } from "node:crypto";
import { randomText } from "../random-text.ts";
import type { BrokerRefusal } from "./broker-refusal.ts";

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

export interface KeyPolicy {
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
