import { devshardRules, sessionTerms } from "../../wire/devshard/rules.ts";
import type { DevshardChain } from "./chain.ts";
import { HostRefusal, HostSession, type HostView } from "./host-session.ts";

/** Makes a host's session out of the escrow's row, as hosts do on the first request. Throws {@link HostRefusal}. */
export function bindSession(
  chain: DevshardChain,
  { version, escrowId }: { readonly version: string; readonly escrowId: string },
  host: HostView,
): HostSession {
  const escrow = chain.escrow(escrowId);
  if (escrow === undefined) throw new HostRefusal(500, "build group: get escrow: escrow not found");
  const { slots: group, creator: user, amount } = escrow;
  if (!group.includes(host.address)) throw new HostRefusal(500, `build group: ${host.address} not in group`);
  const isFromParams = devshardRules(version).thresholdFactorFrom === "params";
  const { voteThresholdFactor } = isFromParams ? chain.params : escrow;
  const terms = sessionTerms({ ...escrow, voteThresholdFactor }, group.length);
  return new HostSession({ escrowId, version, group, user, amount, ...terms }, host);
}
