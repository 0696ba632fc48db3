import { createHash, timingSafeEqual } from "node:crypto";
import { ZephError } from "../../errors/zeph-error.ts";
import { Secret } from "../../internal/secret.ts";

/** Throws `local_key_refused` unless the request carries the key. */
export type KeyCheck = (headers: Headers) => void;

/** @param key what callers must send, or `none` to let everybody in */
export function keyCheck(key: Secret | string | "none"): KeyCheck {
  if (key === "none") return () => {};
  const expected = digest(Secret.from(key).reveal());
  return (headers) => {
    const given = presentedKey(headers);
    if (given === undefined) throw new ZephError("local_key_refused", { detail: "the request carries no key" });
    // Digests are of one length, so that neither time nor an error tells how much of a guess was right.
    if (!timingSafeEqual(digest(given), expected)) throw new ZephError("local_key_refused");
  };
}

function presentedKey(headers: Headers): string | undefined {
  const bearer = /^Bearer +(\S+)\s*$/i.exec(headers.get("authorization") ?? "")?.[1];
  return bearer ?? headers.get("x-api-key")?.trim() ?? undefined;
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
