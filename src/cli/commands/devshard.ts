import { zephFolders } from "../../config/paths.ts";
import type { GonkaProvider } from "../../config/provider.ts";
import { CATALOGUE, EXIT, type ZephErrorCode } from "../../errors/catalogue.ts";
import { ZephError } from "../../errors/zeph-error.ts";
import { chainClient, type DevshardParams } from "../../network/chain.ts";
import { formatGnk, NGONKA_PER_GNK } from "../../protocol/accounts.ts";
import { parsePrivateKey } from "../../signer/private-key.ts";
import { auditDevshard } from "../../transport/devshard-audit.ts";
import { type CloseStep, finalizeDevshard } from "../../transport/devshard-close.ts";
import { escrowFolder, type OpenEscrow, openEscrows, settleByMs } from "../../transport/devshard-index.ts";
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
import { DEVSHARD_VERSIONS, sessionTerms } from "../../wire/devshard/rules.ts";
import { payoutOf, type Settlement } from "../../wire/devshard/settlement.ts";
import { devshardSigner } from "../../wire/devshard/signing.ts";
import type { CliContext, RunCommand } from "../context.ts";
import { type NetworkFlags, nativeProvider } from "../network-source.ts";
import { promptConfirm } from "../prompt.ts";
import { style } from "../render/style.ts";
import { renderTable } from "../render/table.ts";
import { setupOf } from "../setup.ts";
import { show, writeResult } from "../write-result.ts";
import { auditData, auditExitCode, escrowNumber, renderAudit } from "./devshard-audit.ts";

export interface DevshardFlags extends NetworkFlags {
  readonly yes?: boolean;
}
export interface CheckFlags extends DevshardFlags {
  readonly model?: string;
}
export interface OpenFlags extends CheckFlags {
  readonly amount?: string;
  readonly another?: boolean;
}
export interface CloseFlags extends DevshardFlags {
  readonly id?: string;
}

const LISTING_PAGE = "docs/guides/devshard.md";

interface CheckLine {
  readonly name: string;
  readonly status: "ok" | "warn" | "fail";
  readonly detail: string;
  readonly hint?: string | undefined;
  readonly code?: ZephErrorCode | undefined;
}

/** `zeph devshard check`: one screen, a line for each thing an escrow needs, each with its remedy. Nothing is sent. */
export const runDevshardCheck: RunCommand<CheckFlags> = async (context, flags) => {
  const setup = await setupOf(context);
  const config = nativeProvider(setup, flags.provider);
  const lines: CheckLine[] = [];
  const add = (name: string, status: CheckLine["status"], detail: string, hint?: string, code?: ZephErrorCode) =>
    lines.push({ name, status, detail, hint, code });
  let address: string | undefined;
  try {
    if (config === undefined)
      throw new ZephError("secret_missing", {
        detail: "no native provider is configured",
        hint: "Run `zeph init` and choose native.",
      });
    address = devshardSigner(parsePrivateKey((await setup.privateKey(config)).secret.reveal())).address;
    add("key", "ok", address);
  } catch (error) {
    if (!ZephError.is(error)) throw error;
    add("key", "fail", error.message, error.hint, error.code);
  }
  const source = flags.sourceUrl ?? config?.sourceUrl ?? config?.nodes[0]?.url;
  const model = flags.model ?? config?.model;
  if (source === undefined)
    add("network", "fail", "no node to ask", "Name one with --source-url URL.", "missing_input");
  else await checkNetwork(context, { source, address, model, amount: config?.devshardAmount }, add);
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

async function checkNetwork(
  { fetch, clock, signal }: CliContext,
  wanted: {
    readonly source: string;
    readonly address: string | undefined;
    readonly model: string | undefined;
    readonly amount: bigint | undefined;
  },
  add: (name: string, status: CheckLine["status"], detail: string, hint?: string, code?: ZephErrorCode) => void,
): Promise<void> {
  const { address, model } = wanted;
  const chain = chainClient(wanted.source, { fetch, clock });
  let params: DevshardParams;
  try {
    params = await chain.params(signal);
    add("network", "ok", await chain.chainId(signal));
  } catch (error) {
    if (!ZephError.is(error)) throw error;
    return add("network", "fail", error.message, error.hint, error.code);
  }
  const listed = params.allowedCreators.length;
  if (address !== undefined) {
    if (params.allowedCreators.includes(address)) add("allow-list", "ok", `listed, with ${listed - 1} others`);
    else
      add(
        "allow-list",
        "fail",
        `not among the ${listed} listed accounts`,
        CATALOGUE.devshard_not_allowed.hint,
        "devshard_not_allowed",
      );
    const balance = await chain.balance(address, signal);
    const needed = (wanted.amount ?? params.minAmount) + createFee(params);
    if (balance === undefined) add("balance", "warn", "the node does not tell", "Look with `zeph gonka account`.");
    else if (balance >= needed) add("balance", "ok", `${formatGnk(balance)}, ${formatGnk(needed)} are needed at least`);
    else
      add(
        "balance",
        "fail",
        `${formatGnk(balance)}, but ${formatGnk(needed)} are needed`,
        `Send GNK to ${address}.`,
        "insufficient_balance",
      );
  }
  const versions = DEVSHARD_VERSIONS.filter((name) => params.approvedVersions.includes(name));
  const approved = params.approvedVersions.join(", ") || "none named";
  if (versions.length > 0 || params.approvedVersions.length === 0)
    add("protocol", "ok", `${chooseVersion(params)}; the network approves ${approved}`);
  else
    add(
      "protocol",
      "fail",
      `the network approves ${approved}, zeph knows ${DEVSHARD_VERSIONS.join(", ")}`,
      "Update zeph.",
      "devshard_version_unknown",
    );
  if (params.requestsEnabled) add("requests", "ok", "the network takes them");
  else
    add(
      "requests",
      "fail",
      "switched off on the whole network",
      "Wait; escrows can still be closed.",
      "service_unavailable",
    );
  if (params.maxNonce > 0) add("orders", "ok", `${params.maxNonce} for each escrow`);
  else
    add(
      "orders",
      "fail",
      "max_nonce of the network is 0, so no escrow could be settled",
      "Open none until this is mended: the deposit would be lost.",
      "bad_response",
    );
  const epoch = await chain.epoch(signal).catch(() => undefined);
  if (epoch === undefined)
    add("epoch", "warn", "the node does not tell how long it lasts", "Settle within a day to be sure.");
  else {
    const hours = (settleByMs(epoch.epochIndex, epoch, clock.nowMs()) - clock.nowMs()) / 3_600_000;
    add(
      "epoch",
      "ok",
      `${epoch.epochIndex}; an escrow opened now must be settled within about ${hours.toFixed(1)} hours`,
    );
  }
  if (model === undefined) add("model", "warn", "none chosen", "Name one with --model.");
  else {
    const has =
      epoch === undefined
        ? undefined
        : await chain.modelHasGroup(epoch.epochIndex, model, signal).catch(() => undefined);
    if (has === true) add("model", "ok", `${model} has hosts in this epoch`);
    else if (has === false)
      add(
        "model",
        "fail",
        `${model} has no hosts in this epoch`,
        "See the models with `zeph gonka models`.",
        "model_not_found",
      );
    else
      add(
        "model",
        "warn",
        `${model}: the node does not tell whether hosts serve it`,
        "The chain says so when the escrow is created.",
      );
  }
}

/** `zeph devshard open`: asks once, with everything that matters. Run again after a kill, it carries the same opening on. */
export const runDevshardOpen: RunCommand<OpenFlags> = async (context, flags) => {
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
export const runDevshardStatus: RunCommand<CloseFlags> = async (context, flags) => {
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
export const runDevshardClose: RunCommand<CloseFlags> = async (context, flags) => {
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
  if (escrow === undefined) {
    const hint =
      flags.id === undefined
        ? "There is nothing to close."
        : `If it is yours, \`zeph devshard rescue ${flags.id}\` settles it from what its hosts have.`;
    throw new ZephError("devshard_none_open", { detail: flags.id ?? "none is open on this computer", hint });
  }
  return closeAndTell(context, flags, world, escrow);
};

/** `zeph devshard rescue ID`: the journal is made whole from the hosts, then it is closed. */
export const runDevshardRescue: RunCommand<DevshardFlags & { readonly id: string }> = async (context, flags) => {
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

async function closeAndTell(
  context: CliContext,
  flags: DevshardFlags,
  world: DevshardWorld,
  escrow: OpenEscrow,
): Promise<number> {
  const session = await openSession(world, escrow);
  try {
    const { ledger, journal } = session;
    const spent = ledger.hostStats.reduce((sum, { cost }) => sum + cost, 0n);
    const question = `Settle escrow ${escrow.escrowId}? Its hosts get about ${formatGnk(spent + ledger.fees)}, about ${formatGnk(ledger.config.amount - spent - ledger.fees)} come back.`;
    if (context.interactive && flags.yes !== true && !(await promptConfirm(context, question, { initial: true }))) {
      throw new ZephError("cancelled");
    }
    const settlement = await finalizeDevshard(session, {
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
  escrow: OpenEscrow,
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
  flags: DevshardFlags,
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
  const source = flags.sourceUrl ?? config.sourceUrl ?? config.nodes[0]?.url;
  if (source === undefined) throw new ZephError("no_endpoints", { detail: `provider "${config.name}"` });
  const signer = devshardSigner(parsePrivateKey((await setup.privateKey(config)).secret.reveal()));
  const chain = chainClient(source, { fetch, clock });
  return { world: { chain, signer, stateFolder: zephFolders(context).state, fetch, clock, signal }, config };
}

async function sourceOf(context: CliContext, flags: NetworkFlags): Promise<string> {
  const { networkSource } = await import("../network-source.ts");
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
