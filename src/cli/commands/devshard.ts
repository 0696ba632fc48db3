import type { CliContext } from "../../base/world.ts";
import { zephFolders } from "../../config/files.ts";
import { chainUrls, type GonkaProvider } from "../../config/providers.ts";
import { type EscrowNeed, escrowNeeds } from "../../doctor/devshard.ts";
import { CATALOGUE, EXIT, ZephError } from "../../errors.ts";
import { chainClient, type DevshardParams } from "../../network/chain.ts";
import type { Setup } from "../../provider/setup.ts";
import { parsePrivateKey } from "../../signer/signer.ts";
import { auditDevshard } from "../../transport/devshard-audit.ts";
import { type CloseStep, finalizeDevshard } from "../../transport/devshard-close.ts";
import {
  escrowFolder,
  type OpenEscrow,
  openEscrows,
  settleByMs,
  updateOpenEscrow,
} from "../../transport/devshard-index.ts";
import { DevshardJournal } from "../../transport/devshard-journal.ts";
import {
  chooseVersion,
  createEscrow,
  createFee,
  type DevshardWorld,
  openSession,
  provePlace,
  resumeOpening,
  settleEscrow,
} from "../../transport/devshard-open.ts";
import { rescueJournal } from "../../transport/devshard-rescue.ts";
import { sessionTerms } from "../../wire/devshard/rules.ts";
import { payoutOf, type Settlement, settlementOf } from "../../wire/devshard/settlement.ts";
import { type DevshardSigner, devshardSigner } from "../../wire/devshard/signing.ts";
import { formatGnk, NGONKA_PER_GNK } from "../../wire/documents.ts";
import type { Flags, Run } from "../command-table.ts";
import { promptConfirm } from "../input.ts";
import { type NetworkFlags, nativeProvider, setupOf } from "../setup.ts";
import { renderTable, show, style, writeResult } from "../terminal.ts";
import { auditData, auditExitCode, escrowNumber, renderAudit } from "./devshard-audit.ts";

const LISTING_PAGE = "docs/guides/devshard.md";

/** `zeph devshard check`: one screen, a line for each thing an escrow needs, each with its remedy. Nothing is sent. */
export const runDevshardCheck: Run<"devshard check"> = async (context, flags) => {
  const setup = await setupOf(context);
  const config = nativeProvider(setup, flags.provider);
  const lines: EscrowNeed[] = [];
  let address: string | undefined;
  try {
    if (config === undefined)
      throw new ZephError("secret_missing", {
        detail: "no native provider is configured",
        hint: "Run `zeph init` and choose native.",
      });
    address = (await signerOf(setup, config)).address;
    lines.push({ name: "key", status: "ok", detail: address });
  } catch (error) {
    if (!ZephError.is(error)) throw error;
    lines.push({ name: "key", status: "fail", detail: error.message, hint: error.hint, code: error.code });
  }
  const sources = flags.sourceUrl ?? (config === undefined ? [] : chainUrls(config));
  const model = flags.model ?? config?.model;
  if (sources.length === 0) {
    const hint = "Name one with --source-url URL.";
    lines.push({ name: "network", status: "fail", detail: "no node to ask", hint, code: "missing_input" });
  } else {
    const { fetch, clock, signal } = context;
    const wish = { address, model, amount: config?.devshardAmount };
    lines.push(...(await escrowNeeds(chainClient(sources, { fetch, clock }), wish, clock, signal)));
  }
  const failed = lines.find(({ status }) => status === "fail");
  const { green, red, yellow, dim } = style(context.color);
  const sign = { ok: green("✓"), warn: yellow("!"), fail: red("✗") };
  const rows = lines.flatMap(({ name, status, detail, hint }) => [
    [sign[status], dim(name), detail],
    ...(hint === undefined ? [] : [["", "", `→ ${hint}`]]),
  ]);
  const end =
    failed === undefined
      ? "\nThis key can open an escrow: zeph devshard open\n"
      : failed.code === "devshard_not_allowed"
        ? `\nWithout a place on the list the way in is a broker with an API key: zeph init\nHow accounts are listed: ${LISTING_PAGE}\n`
        : "";
  return writeResult(context, {
    data: { ready: failed === undefined, checks: lines },
    answer: `${renderTable(rows)}${end}`,
    exitCode:
      failed === undefined ? EXIT.ok : failed.code === undefined ? EXIT.failure : CATALOGUE[failed.code].exitCode,
  });
};

/** `zeph devshard open`: asks once, with everything that matters. Run again after a kill, it carries the same opening on. */
export const runDevshardOpen: Run<"devshard open"> = async (context, flags) => {
  const { world, config } = await openWorld(context, flags);
  const left = await resumeOpening(world);
  if (left !== undefined)
    return opened(context, world, left, "It was paid for by an earlier run, which this one carried on.");
  const model = flags.model ?? config.model;
  if (model === undefined) throw new ZephError("missing_input", { detail: "no model", hint: "Name one with --model." });
  const known = ownEscrows(world).find((each) => each.model === model);
  if (known !== undefined && flags.another !== true) {
    return opened(context, world, known, "It was open already; --another opens one more.");
  }
  const { chain, signal, signer, clock } = world;
  const [params, epoch] = await Promise.all([chain.params(signal), chain.epoch(signal).catch(() => undefined)]);
  const amount = flags.amount === undefined ? (config.devshardAmount ?? params.minAmount) : parseGnk(flags.amount);
  await refuseEarly(world, params, amount);
  const terms = sessionTerms(
    { ...params, sealGraceNonces: 0, sealGraceSeconds: 0, autoSealEvery: 0 },
    params.groupSize || 16,
  );
  const byMs = epoch === undefined ? undefined : settleByMs(epoch.epochIndex, epoch, clock.nowMs());
  const summary = renderTable([
    ["account", signer.address],
    ["model", model],
    ["deposit", formatGnk(amount)],
    ["price", `${formatGnk(terms.tokenPrice * 1000n)} per 1,000 tokens, prompt and answer`],
    [
      "fees",
      `${formatGnk(createFee(params))} for the transaction, ${terms.createDevshardFee} ngonka for the escrow, ${terms.feePerNonce} ngonka for each order`,
    ],
    ["comes back", "what was not used, when you settle: zeph devshard close"],
    [
      "is lost",
      `the whole deposit, if it is not settled ${byMs === undefined ? "before the next epoch ends" : `by about ${minute(byMs)}`}`,
    ],
    ...(params.maxNonce === 0 ? [["warning", "max_nonce of this network is 0: the chain will settle nothing"]] : []),
  ]);
  if (!context.json) show(context.stderr, summary);
  if (flags.yes !== true && !(await promptConfirm(context, `Put ${formatGnk(amount)} into an escrow?`))) {
    throw new ZephError("cancelled");
  }
  return opened(context, world, await createEscrow(world, { model, amount, params }));
};

async function refuseEarly(
  { chain, signer, signal }: DevshardWorld,
  params: DevshardParams,
  amount: bigint,
): Promise<void> {
  chooseVersion(params);
  if (!params.allowedCreators.includes(signer.address))
    throw new ZephError("devshard_not_allowed", { detail: signer.address });
  const tooSmall = amount < params.minAmount;
  if (tooSmall || (params.maxAmount > 0n && amount > params.maxAmount)) {
    const limits = `${formatGnk(params.minAmount)} to ${formatGnk(params.maxAmount)}`;
    throw new ZephError("usage", {
      detail: `${formatGnk(amount)} is too ${tooSmall ? "little" : "much"}: the network takes ${limits}`,
    });
  }
  const balance = await chain.balance(signer.address, signal);
  const needed = amount + createFee(params);
  if (balance === undefined || balance >= needed) return;
  const hint = `Send GNK to ${signer.address}, or open a smaller one with --amount.`;
  throw new ZephError("insufficient_balance", {
    detail: `${formatGnk(balance)}, but ${formatGnk(needed)} are needed`,
    hint,
  });
}

async function opened(context: CliContext, world: DevshardWorld, escrow: OpenEscrow, note?: string): Promise<number> {
  const session = await openSession(world, escrow);
  const isProven = await provePlace(session);
  await session.journal.close();
  const { escrowId, model, amount } = escrow;
  return writeResult(context, {
    data: { ...escrow, settleBy: new Date(escrow.settleByMs).toISOString(), provenByHost: isProven },
    answer: `Escrow ${escrowId} is open: ${formatGnk(BigInt(amount))} for ${model}.\nSettle it by about ${minute(escrow.settleByMs)}: zeph devshard close ${escrowId}\n`,
    notice: `${note === undefined ? "" : `${note}\n`}${isProven ? "" : "! No host answered yet; young escrows are not known everywhere at once.\n"}`,
  });
}

/** `zeph devshard status [ID]`: the own open escrows; with a number everything about that one, also a foreign one. */
export const runDevshardStatus: Run<"devshard status"> = async (context, flags) => {
  const stateFolder = zephFolders(context).state;
  const { clock, fetch, signal } = context;
  if (flags.id !== undefined) {
    const escrowId = escrowNumber(flags.id);
    const chain = chainClient(await sourceOf(context, flags), { fetch, clock });
    const audit = await auditDevshard({ chain, escrowId, fetch, clock, signal });
    const nowMs = clock.nowMs();
    return writeResult(context, {
      data: auditData(audit, nowMs),
      answer: renderAudit(audit, { color: context.color, nowMs }),
      exitCode: auditExitCode(audit),
    });
  }
  const rows = [];
  for (const escrow of openEscrows(stateFolder)) {
    const folder = escrowFolder(stateFolder, escrow.chainId, escrow.escrowId);
    const journal = await DevshardJournal.open(folder, clock).catch((error: unknown) => {
      if (ZephError.is(error)) return error;
      throw error;
    });
    if (ZephError.is(journal)) rows.push({ ...escrow, error: journal.message });
    else {
      const { nonce, balance, fees, phase, live } = journal.ledger;
      rows.push({
        ...escrow,
        nonce,
        balanceNgonka: balance,
        feesNgonka: fees,
        phase,
        open: live.filter(({ status }) => status <= 1).length,
      });
      await journal.close();
    }
  }
  const { dim } = style(context.color);
  const head = ["escrow", "model", "free", "orders", "open answers", "to be settled by"].map(dim);
  const table = rows.map((row) =>
    "error" in row
      ? [row.escrowId, row.model, row.error, "", "", minute(row.settleByMs)]
      : [
          row.escrowId,
          row.model,
          formatGnk(row.balanceNgonka),
          String(row.nonce),
          String(row.open),
          minute(row.settleByMs),
        ],
  );
  return writeResult(context, {
    data: { escrows: rows.map((row) => ({ ...row, settleBy: new Date(row.settleByMs).toISOString() })) },
    answer: rows.length === 0 ? "No escrow is open.\n" : renderTable([head, ...table]),
  });
};

/** `zeph devshard close [ID]`: finalizes, settles, and shows the final account. Interrupted, it goes on at the next run. */
export const runDevshardClose: Run<"devshard close"> = async (context, flags) => {
  const { world } = await openWorld(context, flags);
  await resumeOpening(world);
  const own = ownEscrows(world);
  const escrow = flags.id === undefined ? own[0] : own.find(({ escrowId }) => escrowId === flags.id);
  if (flags.id === undefined && own.length > 1) {
    throw new ZephError("missing_input", {
      detail: `${own.length} escrows are open: ${own.map((each) => each.escrowId).join(", ")}`,
      hint: "Say which: `zeph devshard close ID`.",
    });
  }
  if (escrow === undefined) return tellClosed(context, world, flags.id);
  return closeAndTell(context, flags, world, escrow);
};

/** `zeph devshard rescue ID`: the journal is made whole from the hosts, then it is closed. */
export const runDevshardRescue: Run<"devshard rescue"> = async (context, flags) => {
  const { world } = await openWorld(context, flags);
  const { escrow, fromJournal, fromHosts, asidePath, unasked } = await rescueJournal(world, escrowNumber(flags.id));
  if (!context.json) {
    show(context.stderr, `${fromJournal} orders were in the journal, ${fromHosts} came from the hosts.\n`);
    if (asidePath !== undefined) show(context.stderr, `The damaged journal is kept at ${asidePath}\n`);
    if (unasked.length > 0)
      show(
        context.stderr,
        `! ${unasked.length} hosts did not answer; if one of them has a later order, it will not sign.\n`,
      );
  }
  return closeAndTell(context, flags, world, escrow);
};

/** A run that was killed after its last step is asked for again: what it would have said, or that nothing is left to do. */
async function tellClosed(context: CliContext, world: DevshardWorld, escrowId: string | undefined): Promise<number> {
  if (escrowId === undefined) return writeResult(context, { data: { escrowId: null }, answer: "No escrow is open.\n" });
  const { chain, stateFolder, clock, signal } = world;
  const folder = escrowFolder(stateFolder, await chain.chainId(signal), escrowNumber(escrowId));
  const hint = `If it is yours, \`zeph devshard rescue ${escrowId}\` settles it from what its hosts have.`;
  const journal = await DevshardJournal.open(folder, clock).catch((error: unknown) => {
    if (!ZephError.is(error) || error.code !== "devshard_none_open") throw error;
    throw new ZephError("devshard_none_open", { detail: escrowId, hint });
  });
  await journal.close();
  const { ledger, settled, facts } = journal;
  if (settled === undefined) throw new ZephError("devshard_none_open", { detail: escrowId, hint });
  const { amount, group } = facts.config;
  return accountOf(
    context,
    { escrowId, amount: amount.toString() },
    settlementOf(ledger, new Map()),
    settled.txHash,
    group,
  );
}

/** The chain may have settled or removed it meanwhile: another computer, or time. */
async function isSettled(world: DevshardWorld, { chainId, escrowId }: OpenEscrow): Promise<boolean> {
  const row = await world.chain.escrow(escrowId, world.signal);
  if (row !== undefined) return row.settled;
  await updateOpenEscrow(world.stateFolder, { chainId, escrowId }, undefined, world.clock);
  throw new ZephError("devshard_not_found", {
    detail: `escrow ${escrowId} was removed from the chain; it is taken off the list`,
    hint: "What is not settled by the end of the next epoch goes to the hosts.",
  });
}

async function closeAndTell(
  context: CliContext,
  flags: Flags<"devshard close">,
  world: DevshardWorld,
  escrow: OpenEscrow,
): Promise<number> {
  const isOver = await isSettled(world, escrow);
  const session = await openSession(world, escrow);
  try {
    const { ledger, journal } = session;
    const spent = ledger.hostStats.reduce((sum, { cost }) => sum + cost, 0n);
    const question = `Settle escrow ${escrow.escrowId}? Its hosts get about ${formatGnk(spent + ledger.fees)}, about ${formatGnk(ledger.config.amount - spent - ledger.fees)} come back.`;
    if (
      !isOver &&
      context.interactive &&
      flags.yes !== true &&
      !(await promptConfirm(context, question, { initial: true }))
    ) {
      throw new ZephError("cancelled");
    }
    const settlement = isOver
      ? settlementOf(ledger, new Map())
      : await finalizeDevshard(session, {
          signal: context.signal,
          onStep: (step) => tellStep(context, step),
        });
    const txHash = await settleEscrow(world, settlement, journal);
    return accountOf(context, escrow, settlement, txHash, session.ledger.config.group);
  } finally {
    await session.journal.close();
  }
}

function accountOf(
  context: CliContext,
  escrow: Pick<OpenEscrow, "escrowId" | "amount">,
  settlement: Settlement,
  txHash: string | undefined,
  group: readonly string[],
): number {
  const amount = BigInt(escrow.amount);
  const { perSlot, refund } = payoutOf(settlement, amount);
  const paid = perSlot.reduce((sum, each) => sum + each, 0n);
  const { dim } = style(context.color);
  const rows = settlement.hostStats.map(({ slotId, cost, missed, invalid }) => [
    String(slotId),
    group[slotId] ?? "",
    formatGnk(cost),
    formatGnk(perSlot[slotId] ?? 0n),
    String(missed),
    String(invalid),
  ]);
  const head = ["slot", "host", "answers", "paid in all", "missed", "invalid"].map(dim);
  return writeResult(context, {
    data: {
      escrowId: escrow.escrowId,
      txHash: txHash ?? null,
      nonce: settlement.nonce,
      amountNgonka: amount,
      paidNgonka: paid,
      feesNgonka: settlement.fees,
      refundNgonka: refund,
      slots: settlement.hostStats.map(({ slotId, cost, missed, invalid }) => ({
        slot: slotId,
        address: group[slotId],
        costNgonka: cost,
        paidNgonka: perSlot[slotId],
        missed,
        invalid,
      })),
    },
    answer: `Escrow ${escrow.escrowId} is settled: ${formatGnk(paid)} paid, ${formatGnk(refund)} back.\n\n${renderTable([head, ...rows])}`,
  });
}

function tellStep({ json, stderr }: CliContext, step: CloseStep): void {
  if (json) return;
  if (step.kind === "timeouts") show(stderr, `${step.open} answers never came; claiming them back …\n`);
  if (step.kind === "ordering" && step.nonce === step.last)
    show(stderr, "The last order is out; collecting signatures …\n");
  if (step.kind === "signatures") show(stderr, `${step.weight} of ${step.needed} signatures\n`);
}

async function openWorld(
  context: CliContext,
  flags: Flags<"devshard close">,
): Promise<{ readonly world: DevshardWorld; readonly config: GonkaProvider }> {
  const setup = await setupOf(context);
  const config = nativeProvider(setup, flags.provider);
  if (config === undefined) {
    throw new ZephError("missing_input", {
      detail: "no native provider is configured, so there is no key",
      hint: "Run `zeph init` and choose native.",
    });
  }
  const { fetch, clock, signal } = context;
  const signer = await signerOf(setup, config);
  const chain = chainClient(flags.sourceUrl ?? chainUrls(config), { fetch, clock });
  return { world: { chain, signer, stateFolder: zephFolders(context).state, fetch, clock, signal }, config };
}

async function signerOf(setup: Setup, config: GonkaProvider): Promise<DevshardSigner> {
  const key = (await setup.privateKey(config)).secret.reveal();
  return devshardSigner(parsePrivateKey(key), { prefix: config.chainPrefix });
}

async function sourceOf(context: CliContext, flags: NetworkFlags): Promise<string> {
  const { networkSource } = await import("../setup.ts");
  return (await networkSource(context, flags)).source;
}

function ownEscrows({ stateFolder, signer }: DevshardWorld): readonly OpenEscrow[] {
  return openEscrows(stateFolder).filter(({ creator }) => creator === signer.address);
}

function parseGnk(text: string): bigint {
  const match = /^(\d{1,10})(?:\.(\d{1,9}))?$/.exec(text.trim());
  if (match === null) throw new ZephError("usage", { detail: `"${text}" is no amount of GNK, such as 5 or 2.5` });
  return BigInt(match[1] ?? 0) * NGONKA_PER_GNK + BigInt((match[2] ?? "").padEnd(9, "0"));
}

function minute(atMs: number): string {
  return `${new Date(atMs).toISOString().slice(0, 16).replace("T", " ")} UTC`;
}
