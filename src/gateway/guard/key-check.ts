import { timingSafeEqual } from "node:crypto";
import { ZephError } from "../../errors/zeph-error.ts";
import { Secret } from "../../internal/secret.ts";
import type { HeaderView } from "../gateway-request.ts";

/** Throws `local_key_refused` unless the request carries the key. */
export type KeyCheck = (headers: HeaderView) => void;

/** @param key what callers must send, or `none` to let everybody in. Throws `usage` for an empty one. */
export function keyCheck(key: Secret | string | "none"): KeyCheck {
  if (key === "none") return () => {};
  // An empty one would let everybody in who sends nothing.
  if (Secret.from(key).reveal().trim() === "") throw new ZephError("usage", { detail: "the local key is empty" });
  const expected = Buffer.from(Secret.from(key).reveal());
  return (headers) => {
    const given = presentedKeys(headers);
    if (given.length === 0) throw new ZephError("local_key_refused", { detail: "the request carries no key" });
    if (!given.some((key) => isSame(Buffer.from(key), expected))) throw new ZephError("local_key_refused");
  };
}

/** OpenAI's clients send the one, Anthropic's the other, and some both. */
function presentedKeys(headers: HeaderView): readonly string[] {
  const bearer = /^Bearer +(\S+)\s*$/i.exec(headers.get("authorization") ?? "")?.[1];
  return [bearer, headers.get("x-api-key")?.trim()].filter((key) => key !== undefined);
}

/** Takes the same time wherever a guess is wrong. Only its length shows, and the length of a key is no secret. */
function isSame(given: Buffer, expected: Buffer): boolean {
  const isSameLength = given.length === expected.length;
  return timingSafeEqual(isSameLength ? given : expected, expected) && isSameLength;
}
