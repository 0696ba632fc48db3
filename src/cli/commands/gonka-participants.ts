import { readVersions } from "../../client/discover-endpoints.ts";
import { readParticipants } from "../../client/read-participants.ts";
import { readChainFacts } from "../../doctor/native/network-reads.ts";
import { proofAge, provenAt } from "../../doctor/native/proof-age.ts";
import { redactUrl } from "../../internal/redact.ts";
import { isTransferAgentAllowed } from "../../protocol/chain-params.ts";
import type { ProofLabel } from "../../protocol/proof/verify-participants.ts";
import type { RunCommand } from "../context.ts";
import { type NetworkFlags, networkSource } from "../network-source.ts";
import { style } from "../render/style.ts";
import { renderTable } from "../render/table.ts";
import { writeResult } from "../write-result.ts";

/** `zeph gonka participants`: the hosts of this epoch, and how far the list is proven. */
export const runGonkaParticipants: RunCommand<NetworkFlags> = async (context, flags) => {
  const { source, reading, trust } = await networkSource(context, flags);
  const [list, chain, versions] = await Promise.all([
    readParticipants(source, reading, trust),
    readChainFacts(source, reading),
    readVersions(source, reading),
  ]);
  const excluded = new Map(list.excluded.map(({ address, reason }) => [address, reason ?? null]));
  const participants = list.participants.map((participant) => ({
    ...participant,
    allowed: chain.told ? isTransferAgentAllowed(chain.params, participant.address) : null,
    excluded: excluded.has(participant.address),
  }));
  const { dim, yellow } = style(context.color);
  const rows = participants.map(({ address, weight, inferenceUrl, models, allowed, excluded: isOut }) => [
    address,
    String(weight),
    isOut ? yellow("excluded") : allowed === false ? yellow("not listed") : allowed === null ? dim("?") : "yes",
    inferenceUrl === "" ? "-" : inferenceUrl,
    `${models.length} model(s)`,
  ]);
  return writeResult(context, {
    data: {
      source: redactUrl(source),
      apiVersion: versions?.apiVersionText ?? null,
      epoch: list.epochId,
      proof: { label: list.label, provenAt: provenAt(list), reasons: list.reasons },
      participants,
      excluded: list.excluded,
    },
    answer: renderTable([["address", "weight", "may serve", "url", ""].map(dim), ...rows]),
    notice: `Epoch ${list.epochId}: ${WORDS[list.label]}${proofAge(list, context.clock.nowMs())}.\n`,
  });
};

const WORDS: Readonly<Record<ProofLabel, string>> = {
  verified: "the list follows from a pinned hash",
  "self-consistent": "the proof of the list holds, as far as one source can prove itself",
  unverified: "the source offers no proof for the list, it is one server's word",
};
