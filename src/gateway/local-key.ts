import { randomBytes } from "node:crypto";
import { Secret } from "../internal/secret.ts";

/** Name of the local key in the vault, and of the variable that may hold it. */
export const LOCAL_KEY_NAME = "ZEPH_LOCAL_GATEWAY_API_KEY";

/** A new local key. It begins as OpenAI's keys do: some clients check that, and so do filters that mask keys. */
export function makeLocalKey(): Secret {
  return new Secret(`sk-zeph-${randomBytes(32).toString("base64url")}`);
}
