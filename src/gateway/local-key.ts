import { randomBytes } from "node:crypto";
import { Secret } from "../internal/secret.ts";

/** Name of the local key in the vault, and of the variable that may hold it. */
export const LOCAL_KEY_NAME = "ZEPH_LOCAL_GATEWAY_API_KEY";

/** Ten different signs in 24 are more than anybody tries over a network. */
const MIN_CHARS = 24;
const MIN_DIFFERENT_CHARS = 10;

/** What is wrong with a key where other computers can try it, in words that go on from "it …"; `undefined` when nothing is. */
export function localKeyWeakness(key: Secret | string | "none"): string | undefined {
  if (key === "none") return "lets everybody in";
  const text = Secret.from(key).reveal().trim();
  if (text.length < MIN_CHARS) return `has fewer than ${MIN_CHARS} characters`;
  return new Set(text).size < MIN_DIFFERENT_CHARS
    ? `has fewer than ${MIN_DIFFERENT_CHARS} different characters`
    : undefined;
}

/** A new local key. It begins as OpenAI's keys do: some clients check that, and so do filters that mask keys. */
export function makeLocalKey(): Secret {
  return new Secret(`sk-zeph-${randomBytes(32).toString("base64url")}`);
}
