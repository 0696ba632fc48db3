import { createHash, createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import type { Clock } from "../../base/time.ts";
import { ZephError } from "../../errors.ts";

/** Links and sessions of one run. Nothing of it is written down, so all of it ends with the run. */
interface PageSessions {
  /** A token for one link. Two hours until it is used; used once. */
  mintToken(): string;
  /** Spends a token and gives what the cookie holds from now on. Throws `page_session_missing`. */
  begin(token: string): string;
  /** Throws `page_session_missing` unless the cookies of a request hold a session of this run. */
  check(cookies: string | null, cookieName: string): void;
  /**
   * A token for whoever can prove that they have read the key of this run (`zeph open`), with a proof that this is the
   * run: neither side shows the key. Throws `page_session_missing`.
   */
  mintForProof(nonce: string, proof: string): { readonly token: string; readonly proof: string };
}

/** Both sides of `zeph open`: who asks and who answers proves to know the key, each for this one exchange. */
export function linkProof(key: string, side: "ask" | "answer", ...words: readonly string[]): string {
  return createHmac("sha256", key)
    .update([side, ...words].join(" "))
    .digest("base64url");
}

export function isSameText(left: string, right: string): boolean {
  return timingSafeEqual(digest(left), digest(right));
}

const TOKEN_LASTS_MS = 2 * 3_600_000;
const MAX_TOKENS = 64;
const MAX_SESSIONS = 64;

/** @param linkKey what `zeph open` reads from the run's private file */
export function pageSessions(linkKey: string, clock: Pick<Clock, "nowMs">): PageSessions {
  /** By the hash of the token, so that looking one up tells nothing about it by its time. */
  const tokens = new Map<string, { readonly untilMs: number }>();
  const sessions = new Set<string>();
  const nonces = new Set<string>();

  function mintToken(): string {
    const token = randomBytes(32).toString("base64url");
    tokens.set(keyOf(token), { untilMs: clock.nowMs() + TOKEN_LASTS_MS });
    dropOldest(tokens, MAX_TOKENS);
    return token;
  }
  return {
    mintToken,
    begin(token) {
      const key = keyOf(token);
      const found = tokens.get(key);
      tokens.delete(key);
      if (found === undefined || found.untilMs < clock.nowMs()) {
        throw new ZephError("page_session_missing", { detail: "this link was used already, or is of an earlier run" });
      }
      const session = randomBytes(32).toString("base64url");
      sessions.add(keyOf(session));
      dropOldest(sessions, MAX_SESSIONS);
      return session;
    },
    check(cookies, cookieName) {
      const given = cookieValues(cookies ?? "", cookieName);
      if (!given.some((value) => sessions.has(keyOf(value)))) throw new ZephError("page_session_missing");
    },
    mintForProof(nonce, proof) {
      const isNew = /^[\w-]{22,64}$/.test(nonce) && !nonces.has(nonce);
      if (!isNew || !isSameText(proof, linkProof(linkKey, "ask", nonce))) throw new ZephError("page_session_missing");
      nonces.add(nonce);
      dropOldest(nonces, 4096);
      const token = mintToken();
      return { token, proof: linkProof(linkKey, "answer", nonce, token) };
    },
  };
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}

function keyOf(text: string): string {
  return digest(text).toString("base64url");
}

function dropOldest(kept: Set<string> | Map<string, unknown>, most: number): void {
  for (const key of kept.keys()) {
    if (kept.size <= most) return;
    kept.delete(key);
  }
}

/** A browser sends every cookie of the name it has, and other ports of this computer may have set one too. */
function cookieValues(cookies: string, name: string): readonly string[] {
  return cookies
    .split(";")
    .map((each) => each.trim())
    .filter((each) => each.startsWith(`${name}=`))
    .map((each) => each.slice(name.length + 1))
    .slice(0, 8);
}
