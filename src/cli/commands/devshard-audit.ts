import { EXIT, ZephError } from "../../errors.ts";
import { chainClient } from "../../network/chain.ts";
import { auditDevshard, type DevshardAudit } from "../../transport/devshard-audit.ts";
import { settleByMs } from "../../transport/devshard-index.ts";
import { PHASE } from "../../wire/devshard/ledger.ts";
import { formatGnk } from "../../wire/documents.ts";
import type { Run } from "../command-table.ts";
import { networkSource } from "../setup.ts";
import { renderTable, style, writeResult } from "../terminal.ts";

/**
 * `zeph devshard audit ID`: any escrow, recomputed from what its hosts give. No key is used. Exit code 0 when all agrees, 1
 * for what does not, 10 when no host answers.
 */
export const runDevshardAudit: Run<"devshard audit"> = async (context, flags) => {
  const { source } = await networkSource(context, flags);
  const { fetch, clock, signal, stderr } = context;
  const chain = chainClient(source, { fetch, clock });
  const isTold = !context.json && stderr.isTTY === true;
  const audit = await auditDevshard({
    chain,
    escrowId: escrowNumber(flags.id),
    fetch,
    clock,
    signal,
    hostUrls: flags.host,
    version: flags.protocol,
    onProgress: (host, nonce) => {
      if (isTold) stderr.write(`\r\u001b[K${host}: ${nonce} diffs`);
    },
  });
  if (isTold) stderr.write("\r\u001b[K");
  const nowMs = clock.nowMs();
  return writeResult(context, {
    data: auditData(audit, nowMs),
    answer: renderAudit(audit, { color: context.color, nowMs }),
    exitCode: auditExitCode(audit),
  });
};

/** Escrow numbers are decimal without leading zeros; anything else would be signed as another escrow. */
export function escrowNumber(text: string): string {
  if (/^[1-9]\d{0,19}$/.test(text)) return text;
  throw new ZephError("usage", { detail: `"${text}" is no number of an escrow` });
}

export function auditExitCode({ findings, hosts }: DevshardAudit): number {
  if (findings.length > 0) return EXIT.failure;
  return hosts.every(({ state }) => state === "unreachable") ? EXIT.unreachable : EXIT.ok;
}

const PHASE_NAMES: Readonly<Record<number, string>> = {
  [PHASE.active]: "open",
  [PHASE.finalizing]: "finalizing",
  [PHASE.settlement]: "final",
};

export function auditData(audit: DevshardAudit, nowMs: number): object {
  const { escrow, config, ledger, epoch, payout } = audit;
  const spent = ledger.hostStats.reduce((sum, { cost }) => sum + cost, 0n);
  return {
    escrowId: escrow.id,
    creator: escrow.creator,
    model: escrow.model,
    version: config.version,
    amountNgonka: escrow.amount,
    settled: escrow.settled,
    epochIndex: escrow.epochIndex,
    currentEpoch: epoch?.epochIndex ?? null,
    settleBy: escrow.settled ? null : new Date(settleByMs(escrow.epochIndex, epoch, nowMs)).toISOString(),
    terms: {
      tokenPriceNgonka: config.tokenPrice,
      feePerNonceNgonka: config.feePerNonce,
      createFeeNgonka: config.createDevshardFee,
      voteThreshold: config.voteThreshold,
      sealGraceNonces: config.sealGraceNonces,
      sealGraceSeconds: config.sealGraceSeconds,
      autoSealEvery: config.autoSealEvery,
    },
    state: {
      nonce: ledger.nonce,
      phase: PHASE_NAMES[ledger.phase],
      root: Buffer.from(ledger.root().root).toString("hex"),
      balanceNgonka: ledger.balance,
      feesNgonka: ledger.fees,
      spentNgonka: spent,
      reservedNgonka: audit.reserved,
      maxNonce: audit.params.maxNonce,
    },
    inferences: { ...audit.inferences, sealed: ledger.sealed().length },
    slots: ledger.hostStats.map(({ slotId, missed, invalid, cost }) => ({
      slot: slotId,
      address: ledger.addressOf(slotId),
      costNgonka: cost,
      missed,
      invalid,
      payoutNgonka: payout.perSlot[slotId],
    })),
    refundNgonka: payout.refund,
    hosts: audit.hosts.map(({ address, slots, url, state, nonce, signed, detail }) => ({
      address: address === "" ? null : address,
      slots,
      url: url ?? null,
      state,
      nonce,
      signedLastState: signed,
      detail: detail ?? null,
    })),
    warmKeys: audit.warmKeys,
    quorum: { nonce: ledger.nonce, ...audit.quorum },
    waitingTransactions: audit.waiting,
    findings: audit.findings,
  };
}

export function renderAudit(
  audit: DevshardAudit,
  { color, nowMs }: { readonly color: boolean; readonly nowMs: number },
): string {
  const { bold, dim, red, green, yellow } = style(color);
  const { escrow, config, ledger, inferences, quorum, payout } = audit;
  const spent = ledger.hostStats.reduce((sum, { cost }) => sum + cost, 0n);
  const open = inferences.pending + inferences.started;
  const rows: readonly (readonly [string, string])[] = [
    ["escrow", `${escrow.id} for ${escrow.model}, ${config.version}`],
    ["creator", escrow.creator],
    ["deposit", formatGnk(escrow.amount)],
    ["price", `${formatGnk(config.tokenPrice * 1000n)} per 1,000 tokens, ${config.feePerNonce} ngonka per order`],
    [
      "orders",
      `${ledger.nonce}${audit.params.maxNonce > 0 ? ` of ${audit.params.maxNonce}` : ""}, ${PHASE_NAMES[ledger.phase]}`,
    ],
    ["paid to hosts", `${formatGnk(spent)} for answers, ${formatGnk(ledger.fees)} in fees`],
    [
      "still free",
      `${formatGnk(ledger.balance)}${audit.reserved > 0n ? `, and ${formatGnk(audit.reserved)} held back` : ""}`,
    ],
    ["open answers", open === 0 ? "none" : `${inferences.pending} not taken yet, ${inferences.started} under way`],
    ["disputed", inferences.challenged === 0 ? "none" : `${inferences.challenged} answers`],
    ...(audit.waiting > 0
      ? ([["waiting", `${audit.waiting} messages of hosts that no order holds yet`]] as const)
      : []),
    [
      "if settled now",
      `${formatGnk(payout.perSlot.reduce((sum, each) => sum + each, 0n))} to hosts, ${formatGnk(payout.refund)} back`,
    ],
    [
      "last state",
      `${quorum.holds ? green("enough signatures") : yellow("not enough signatures yet")}: ${quorum.weight} of ${quorum.needed} slots needed`,
    ],
    ["to be settled", deadlineWords(audit, nowMs)],
  ];
  const hosts = audit.hosts.map(({ address, slots, url, state, nonce, signed, detail }) => {
    const cost = slots.reduce((sum, slot) => sum + (ledger.hostStats[slot]?.cost ?? 0n), 0n);
    const missed = slots.reduce((sum, slot) => sum + (ledger.hostStats[slot]?.missed ?? 0), 0);
    const invalid = slots.reduce((sum, slot) => sum + (ledger.hostStats[slot]?.invalid ?? 0), 0);
    const word = {
      agrees: green("agrees"),
      empty: dim("has nothing"),
      disagrees: red("disagrees"),
      unreachable: yellow("no answer"),
    };
    const why = state === "unreachable" ? (detail ?? "") : "";
    return [
      slots.join(",") || "-",
      address === "" ? (url ?? "") : address,
      word[state],
      String(nonce),
      signed ? "signed" : "",
      formatGnk(cost),
      String(missed),
      String(invalid),
      why,
    ];
  });
  const head = ["slots", "host", "state", "orders", "", "earned", "missed", "invalid", ""].map(dim);
  const verdict =
    audit.findings.length === 0
      ? `${green("✓")} All roots and signatures hold${audit.hosts.some(({ state }) => state === "unreachable") ? ", as far as hosts answered" : ""}.\n`
      : audit.findings.map((finding) => `${red("✗")} ${finding}\n`).join("");
  return `${renderTable(rows.map(([name, value]) => [dim(name), value]))}\n${bold("Hosts")}\n${renderTable([head, ...hosts])}\n${verdict}`;
}

function deadlineWords({ escrow, epoch, params }: DevshardAudit, nowMs: number): string {
  if (escrow.settled) return "it is settled";
  if (!params.allowedCreators.includes(escrow.creator)) return "cannot be: the creator is not on the allow-list now";
  const byMs = settleByMs(escrow.epochIndex, epoch, nowMs);
  if (byMs <= nowMs) return "its time is over; the deposit goes to the hosts";
  return `until about ${new Date(byMs).toISOString().slice(0, 16).replace("T", " ")} UTC, or the whole deposit goes to the hosts`;
}
