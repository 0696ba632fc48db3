import type { Broker } from "../brokers/broker.ts";
import { recognizeKey } from "../brokers/recognize-key.ts";
import type { Secret } from "../internal/secret.ts";
import { isLoopback } from "../protocol/endpoint.ts";

/** What was pasted into the key field, seen from the broker it was asked for. */
export type JudgedKey =
  | { readonly kind: "usable"; readonly key: Secret }
  /** Perhaps right all the same: prefixes change. */
  | { readonly kind: "odd"; readonly key: Secret; readonly reason: string }
  | { readonly kind: "other-broker"; readonly key: Secret; readonly broker: Broker }
  /** Opens an account of the network: it must not be sent to anybody. */
  | { readonly kind: "private-key"; readonly key: Secret }
  | { readonly kind: "refused"; readonly reason: string };

export interface KeyDestination {
  readonly broker: Broker;
  readonly baseURL: string;
}

/** Judges by shape alone, before anything is sent. `reason` continues "This …" and never repeats the key. */
export function judgeKey(text: Secret, { broker, baseURL }: KeyDestination, brokers: readonly Broker[]): JudgedKey {
  const { kind, broker: owner, cleaned: key } = recognizeKey(text.reveal(), brokers);
  if (kind === "empty") return { kind: "refused", reason: "is empty" };
  if (kind === "private-key") return { kind: "private-key", key };
  if (kind === "mnemonic") {
    return { kind: "refused", reason: "looks like the recovery words of a wallet; zeph never needs them" };
  }
  if (kind === "management-key") {
    return { kind: "refused", reason: "is a management key, which cannot be used for chat; paste an ordinary one" };
  }
  if (/[^\x21-\x7e]/.test(key.reveal())) {
    return { kind: "refused", reason: "has a space or a character in it that no key has" };
  }
  const isExpected = (broker.keyPrefixes ?? []).some((prefix) => key.reveal().startsWith(prefix));
  const staysHere = broker.keyPrefixes === undefined && isLoopback(baseURL);
  if (isExpected || staysHere) return { kind: "usable", key };
  if (owner !== undefined && owner.id !== broker.id) return { kind: "other-broker", key, broker: owner };
  if (broker.keyPrefixes === undefined) return { kind: "usable", key };
  return { kind: "odd", key, reason: `does not begin with ${broker.keyPrefixes.join(" or ")}` };
}
