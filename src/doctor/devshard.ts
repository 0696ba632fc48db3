import type { Clock } from "../base/time.ts";
import { zephFolders } from "../config/files.ts";
import { chainUrls, type GonkaProvider } from "../config/providers.ts";
import { CATALOGUE, ZephError, type ZephErrorCode } from "../errors.ts";
import { type ChainClient, chainClient, type DevshardParams } from "../network/chain.ts";
import type { Setup } from "../provider/setup.ts";
import { escrowFolder, NEAR_LIMIT_MS, openEscrows, settleByMs } from "../transport/devshard-index.ts";
import { DevshardJournal } from "../transport/devshard-journal.ts";
import { chooseVersion, createFee } from "../transport/devshard-open.ts";
import { DEVSHARD_VERSIONS } from "../wire/devshard/rules.ts";
import { formatGnk } from "../wire/documents.ts";
import { type Check, type CheckResult, failed, passed, warned } from "./check.ts";

/** One thing an escrow needs, and what to do where it is missing. */
export interface EscrowNeed {
  readonly name: string;
  readonly status: "ok" | "warn" | "fail";
  readonly detail: string;
  readonly hint?: string | undefined;
  readonly code?: ZephErrorCode | undefined;
}

interface EscrowWish {
  /** Absent where no key could be opened: what concerns it is then left out. */
  readonly address: string | undefined;
  readonly model: string | undefined;
  /** ngonka; the network's least where nothing is said. */
  readonly amount: bigint | undefined;
}

/** What the network says about opening an escrow, a line for each thing. Reads only, and throws nothing but an abort. */
export async function escrowNeeds(
  chain: ChainClient,
  wish: EscrowWish,
  clock: Pick<Clock, "nowMs">,
  signal?: AbortSignal,
): Promise<readonly EscrowNeed[]> {
  let params: DevshardParams;
  const needs: EscrowNeed[] = [];
  try {
    params = await chain.params(signal);
    needs.push({ name: "network", status: "ok", detail: await chain.chainId(signal) });
  } catch (error) {
    signal?.throwIfAborted();
    const { detail, hint = "", code } = failed(error);
    return [{ name: "network", status: "fail", detail, hint, code }];
  }
  if (wish.address !== undefined) {
    needs.push(listed(params, wish.address), await funded(chain, params, wish.address, wish.amount, signal));
  }
  needs.push(versionNeed(params), requestsNeed(params), noncesNeed(params));
  const epoch = await chain.epoch(signal).catch(() => undefined);
  if (epoch === undefined) {
    const hint = "Settle within a day to be sure.";
    needs.push({ name: "epoch", status: "warn", detail: "the node does not tell how long it lasts", hint });
  } else {
    const hours = (settleByMs(epoch.epochIndex, epoch, clock.nowMs()) - clock.nowMs()) / 3_600_000;
    const detail = `${epoch.epochIndex}; an escrow opened now must be settled within about ${hours.toFixed(1)} hours`;
    needs.push({ name: "epoch", status: "ok", detail });
  }
  return [...needs, await modelNeed(chain, epoch?.epochIndex, wish.model, signal)];
}

function listed({ allowedCreators }: DevshardParams, address: string): EscrowNeed {
  if (allowedCreators.includes(address)) {
    return { name: "allow-list", status: "ok", detail: `listed, with ${allowedCreators.length - 1} others` };
  }
  const detail = `not among the ${allowedCreators.length} listed accounts`;
  const code = "devshard_not_allowed";
  return { name: "allow-list", status: "fail", detail, hint: CATALOGUE[code].hint, code };
}

async function funded(
  chain: ChainClient,
  params: DevshardParams,
  address: string,
  amount: bigint | undefined,
  signal: AbortSignal | undefined,
): Promise<EscrowNeed> {
  const name = "balance";
  const balance = await chain.balance(address, signal).catch(() => undefined);
  const needed = formatGnk((amount ?? params.minAmount) + createFee(params));
  if (balance === undefined) {
    return { name, status: "warn", detail: "the node does not tell", hint: "Look with `zeph gonka account`." };
  }
  if (balance >= (amount ?? params.minAmount) + createFee(params)) {
    return { name, status: "ok", detail: `${formatGnk(balance)}, ${needed} are needed at least` };
  }
  const detail = `${formatGnk(balance)}, but ${needed} are needed`;
  return { name, status: "fail", detail, hint: `Send GNK to ${address}.`, code: "insufficient_balance" };
}

function versionNeed(params: DevshardParams): EscrowNeed {
  const name = "protocol";
  const approved = params.approvedVersions.join(", ") || "none by name";
  const isKnown =
    params.approvedVersions.length === 0 || DEVSHARD_VERSIONS.some((each) => params.approvedVersions.includes(each));
  if (isKnown) return { name, status: "ok", detail: `${chooseVersion(params)}; the network approves ${approved}` };
  const detail = `the network approves ${approved}, zeph knows ${DEVSHARD_VERSIONS.join(", ")}`;
  return { name, status: "fail", detail, hint: "Update zeph.", code: "devshard_version_unknown" };
}

function requestsNeed({ requestsEnabled }: DevshardParams): EscrowNeed {
  if (requestsEnabled) return { name: "requests", status: "ok", detail: "the network takes them" };
  const detail = "switched off on the whole network";
  return {
    name: "requests",
    status: "fail",
    detail,
    hint: "Wait; escrows can still be closed.",
    code: "devshard_paused",
  };
}

function noncesNeed({ maxNonce }: DevshardParams): EscrowNeed {
  if (maxNonce > 0) return { name: "orders", status: "ok", detail: `${maxNonce} for each escrow` };
  const detail = "max_nonce of the network is 0, so no escrow could be settled";
  const hint = "Open none until this is mended: the deposit would be lost.";
  return { name: "orders", status: "fail", detail, hint, code: "bad_response" };
}

async function modelNeed(
  chain: ChainClient,
  epochIndex: bigint | undefined,
  model: string | undefined,
  signal: AbortSignal | undefined,
): Promise<EscrowNeed> {
  const name = "model";
  if (model === undefined) return { name, status: "warn", detail: "none chosen", hint: "Name one with --model." };
  const hasHosts =
    epochIndex === undefined ? undefined : await chain.modelHasGroup(epochIndex, model, signal).catch(() => undefined);
  if (hasHosts === true) return { name, status: "ok", detail: `${model} has hosts in this epoch` };
  if (hasHosts === undefined) {
    const hint = "The chain says so when the escrow is created.";
    return { name, status: "warn", detail: `${model}: the node does not tell whether hosts serve it`, hint };
  }
  const hint = "See the models with `zeph gonka models`.";
  return { name, status: "fail", detail: `${model} has no hosts in this epoch`, hint, code: "model_not_found" };
}

/** For the doctor: a provider that pays from escrows. Its key is looked at by the same checks as for signed requests. */
export function devshardChecks(
  setup: Setup,
  config: GonkaProvider,
  options: { readonly signer: string; readonly address: () => string | undefined },
): readonly Check[] {
  const named = (name: string) => `devshard.${config.name}.${name}`;
  const provider = config.name;
  return [
    {
      name: named("network"),
      dependsOn: [options.signer],
      provider,
      async run({ world }, signal) {
        const chain = chainClient(chainUrls(config), { fetch: world.fetch, clock: world.clock });
        const wish = { address: options.address(), model: config.model, amount: config.devshardAmount };
        const needs = await escrowNeeds(chain, wish, world.clock, signal);
        return judge(needs, openEscrows(zephFolders(world).state).length > 0);
      },
    },
    {
      name: named("escrow"),
      dependsOn: [options.signer],
      provider,
      run: async ({ world }) => escrowResult(setup, world.clock, options.address(), config),
    },
  ];
}

/** With an escrow open, what is missing for the next one stops no chat yet. */
function judge(needs: readonly EscrowNeed[], hasEscrow: boolean): CheckResult {
  const worst = needs.find(({ status }) => status === "fail");
  const data = Object.fromEntries(needs.map(({ name, status, detail }) => [name, `${status}: ${detail}`]));
  if (worst === undefined) return passed(needs.map(({ name, detail }) => `${name} ${detail}`).join("; "), { data });
  const { name, detail, hint = "", code = "internal" } = worst;
  const result = { detail: `${name}: ${detail}`, hint, data };
  // Settling needs the list as well, so losing the place on it is urgent.
  return hasEscrow && code !== "devshard_not_allowed"
    ? warned(result.detail, result)
    : { status: "fail", code, ...result };
}

async function escrowResult(
  { world }: Setup,
  clock: Clock,
  address: string | undefined,
  { model, devshardAutoOpen }: GonkaProvider,
): Promise<CheckResult> {
  const stateFolder = zephFolders(world).state;
  const own = openEscrows(stateFolder).filter(({ creator }) => creator === address);
  const found = own.find((escrow) => escrow.model === model) ?? own[0];
  if (found === undefined) {
    if (devshardAutoOpen !== undefined) return passed("none is open; the first request opens one");
    const { code, message, hint } = new ZephError("devshard_none_open");
    return { status: "fail", code, detail: message, hint };
  }
  const journal = await DevshardJournal.open(escrowFolder(stateFolder, found.chainId, found.escrowId), clock);
  const { balance, nonce } = journal.ledger;
  await journal.close();
  const words = `${found.escrowId} for ${found.model}: ${formatGnk(balance)} free after ${nonce} orders`;
  if (found.settleByMs - clock.nowMs() > NEAR_LIMIT_MS) return passed(words);
  const hint = `Settle it now: zeph devshard close ${found.escrowId}`;
  return warned(`${words}; it must be settled by ${new Date(found.settleByMs).toISOString()}`, { hint });
}
