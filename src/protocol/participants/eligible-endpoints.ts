import { ZephError } from "../../errors/zeph-error.ts";
import { DEFAULT_PREFIX, parseAddress } from "../address.ts";
import { type Endpoint, normalizeBaseURL } from "../endpoint.ts";
import type { ExcludedParticipant, Participant } from "./participant.ts";

export interface EligibilityRules {
  readonly excluded?: readonly ExcludedParticipant[];
  /** Addresses that may take requests; an empty list allows everyone, as on chain. */
  readonly allowedTransferAddresses?: readonly string[];
  /** Only nodes that serve this model; exact, letter case counts. */
  readonly model?: string;
  /** Address prefix of the network, default `gonka`. */
  readonly prefix?: string;
}

export interface EligibleEndpoints {
  readonly endpoints: readonly Endpoint[];
  /** Participants left out, each with the reason, for whoever asks why a node is not used. */
  readonly skipped: readonly { readonly address: string; readonly reason: string }[];
}

/**
 * The nodes of an epoch that requests can be sent to: not excluded, allowed, serving the model, with an address and a URL
 * that can be used. Probing them is the caller's part.
 */
export function eligibleEndpoints(
  participants: readonly Participant[],
  rules: EligibilityRules = {},
): EligibleEndpoints {
  const endpoints: Endpoint[] = [];
  const skipped: { address: string; reason: string }[] = [];
  const seen = new Set<string>();
  for (const participant of participants) {
    const result = seen.has(participant.address) ? "is listed twice" : judge(participant, rules);
    seen.add(participant.address);
    if (typeof result === "string") skipped.push({ address: participant.address, reason: result });
    else endpoints.push(result);
  }
  return { endpoints, skipped };
}

function judge(participant: Participant, rules: EligibilityRules): Endpoint | string {
  const { address, inferenceUrl, models } = participant;
  const exclusion = rules.excluded?.find((excluded) => excluded.address === address);
  if (exclusion !== undefined) return `excluded from this epoch (${exclusion.reason ?? "no reason given"})`;
  const allowed = rules.allowedTransferAddresses ?? [];
  if (allowed.length > 0 && !allowed.includes(address)) return "not on the chain's list of transfer agents";
  if (rules.model !== undefined && !models.includes(rules.model)) return "does not serve the model";
  if (!/^https?:\/\//i.test(inferenceUrl)) return "has no http(s) URL";
  try {
    return {
      baseURL: normalizeBaseURL(inferenceUrl),
      address: parseAddress(address, { prefix: rules.prefix ?? DEFAULT_PREFIX }),
    };
  } catch (error) {
    if (ZephError.is(error)) return error.code === "invalid_address" ? "has no valid address" : "has no usable URL";
    throw error;
  }
}
