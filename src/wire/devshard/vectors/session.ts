import { applyDiff, composeDiff } from "../compose.ts";
import { hostStatsHash, Ledger, stateSignatureContent } from "../ledger.ts";
import { encodeDiffContent, encodeWireTxs } from "../messages.ts";
import { type DevshardConfig, refusalOf } from "../rules.ts";
import { type Settlement, settlementOf, settlementRoot, verifySettlement } from "../settlement.ts";
import { recoverAddress } from "../signing.ts";
import type { SignatureRules } from "../transitions.ts";
import {
  type Amount,
  amount,
  bytes,
  type ConfigVector,
  compareLists,
  compareMembers,
  configOf,
  decodeTxs,
  grantsOf,
  hex,
  labelled,
  type Tally,
} from "./tally.ts";

interface StepVector {
  readonly nonce: number;
  readonly txs: readonly string[] | null;
  readonly candidates?: readonly string[];
  readonly skipped?: readonly { readonly index: number; readonly error: string }[];
  readonly wire_txs: string;
  readonly diff_content: string;
  readonly user_sig: string;
  readonly post_state_root: string;
  readonly rest_hash: string;
  readonly host_stats_hash: string;
  readonly balance: Amount;
  readonly fees: Amount;
  readonly phase: number;
  readonly live: number;
  readonly live_records?: readonly Readonly<Record<string, Amount>>[];
  readonly sealed?: Readonly<Record<string, number>>;
  readonly sealed_acc: string;
  readonly host_stats_nonzero?: readonly Readonly<Record<string, Amount>>[];
  readonly warm_keys: Readonly<Record<string, string>>;
  readonly state_sig_slot0: string;
}

interface RefusedVector {
  readonly after_nonce: number;
  readonly txs: readonly string[] | null;
  readonly strict_error: string;
  readonly compose_error: string | null;
  readonly root_unchanged: string;
}

interface SettlementVector {
  readonly nonce: number;
  readonly version: string;
  readonly fees: Amount;
  readonly balance: Amount;
  readonly rest_hash: string;
  readonly host_stats_hash: string;
  readonly state_root: string;
  readonly host_stats: readonly Readonly<Record<string, Amount>>[];
  readonly signatures: Readonly<Record<string, string>>;
  readonly state_sig_content?: string;
  readonly verify_error?: string | null;
}

export interface SessionVector {
  readonly config: ConfigVector;
  readonly initial_root: string;
  readonly steps: readonly StepVector[];
  readonly refused?: readonly RefusedVector[];
  readonly settlement?: SettlementVector;
  readonly amount_below_create_fee?: Readonly<Record<"amount" | "create_devshard_fee" | "error", string>>;
}

const CONFIG_MEMBERS = [
  ...["escrow_id", "version", "amount", "token_price", "create_devshard_fee", "fee_per_nonce", "vote_threshold"],
  ...["seal_grace_nonces", "seal_grace_seconds", "auto_seal_every", "group", "user", "warm_grants"],
];

const STEP_MEMBERS = [
  ...["nonce", "note", "txs", "candidates", "skipped", "wire_txs", "diff_content", "user_sig", "post_state_root"],
  ...["rest_hash", "host_stats_hash", "balance", "fees", "phase", "live", "live_records", "sealed", "sealed_acc"],
  ...["host_stats_nonzero", "warm_keys", "state_sig_slot0", "upstream_composer_differs"],
];

/** A session, run twice: by a host that applies the diffs as they are, and by a client that composes them. */
export function checkSession(tally: Tally, path: string, session: SessionVector): void {
  const members = ["description", "config", "initial_root", "steps", "refused", "amount_below_create_fee"];
  const settlements = Object.entries(session).filter(([name]) => /^settlement(?:_\w+)?$/.test(name));
  tally.known(path, session, [...members, ...settlements.map(([name]) => name)]);
  tally.known(`${path}.config`, session.config, CONFIG_MEMBERS);
  const config = configOf(session.config);
  const rules = grantsOf(session.config);
  const labels = { user: session.config.user ?? "", slot0: session.config.group?.[0] ?? "" };
  const host = new Ledger(config);
  const client = new Ledger(config);
  tally.same(`${path}.initial_root`, session.initial_root, host.root().root);
  checkRefused(tally, path, session, { host, client, rules, labels });
  session.steps.forEach((step, index) => {
    tally.known(`${path}.steps[${index}]`, step, STEP_MEMBERS);
    tally.guarded(`${path}.steps[${index}]`, () => {
      checkComposing(tally, `${path}.steps[${index}]`, step, client, rules);
      checkStep(tally, `${path}.steps[${index}]`, step, { host, rules, labels });
      checkRefused(tally, path, session, { host, client, rules, labels });
    });
  });
  session.refused?.forEach(({ after_nonce }, index) => {
    if (session.steps.every(({ nonce }) => nonce !== after_nonce) && after_nonce !== 0) {
      tally.same(`${path}.refused[${index}].after_nonce`, "a nonce of the session", after_nonce);
    }
  });
  checkTooSmall(tally, path, session, config);
  for (const [name, settlement] of settlements) {
    tally.guarded(`${path}.${name}`, () =>
      checkSettlement(tally, `${path}.${name}`, settlement as SettlementVector, host, session.config),
    );
  }
}

function checkComposing(tally: Tally, path: string, step: StepVector, client: Ledger, rules: SignatureRules): void {
  const candidates = decodeTxs(tally, `${path}.candidates`, step.candidates ?? step.txs);
  const composed = composeDiff(client, candidates, rules);
  tally.same(`${path}.nonce`, step.nonce, composed.nonce);
  tally.same(
    `${path}.txs (composed)`,
    step.txs ?? [],
    composed.txs.map(({ bytes: encoded }) => hex(encoded)),
  );
  tally.same(`${path}.post_state_root (composed)`, step.post_state_root, composed.parts.root);
  const skipped = composed.skipped.map(({ index, refusal }) => ({ index, error: refusal.message }));
  for (let index = 0; index < Math.max(skipped.length, step.skipped?.length ?? 0); index++) {
    tally.same(`${path}.skipped[${index}].index`, step.skipped?.[index]?.index, skipped[index]?.index);
    tally.same(`${path}.skipped[${index}].error`, step.skipped?.[index]?.error, skipped[index]?.error);
  }
}

interface StepContext {
  readonly host: Ledger;
  readonly rules: SignatureRules;
  readonly labels: { readonly user: string; readonly slot0: string };
}

function checkStep(tally: Tally, path: string, step: StepVector, { host, rules, labels }: StepContext): void {
  const { nonce } = step;
  const txs = decodeTxs(tally, `${path}.txs`, step.txs);
  const postStateRoot = bytes(step.post_state_root);
  const { escrowId } = host.config;
  const content = encodeDiffContent({ nonce, txs, escrowId, postStateRoot });
  tally.same(`${path}.wire_txs`, step.wire_txs, encodeWireTxs(nonce, txs));
  tally.same(`${path}.diff_content`, step.diff_content, content);
  tally.same(`${path}.user_sig`, step.user_sig, labelled(labels.user).sign(content));

  const {
    root,
    restHash,
    hostStatsHash: statsHash,
  } = applyDiff(host, { nonce, txs, userSig: bytes(step.user_sig), postStateRoot }, rules);
  tally.same(`${path}.post_state_root`, step.post_state_root, root);
  tally.same(`${path}.rest_hash`, step.rest_hash, restHash);
  tally.same(`${path}.host_stats_hash`, step.host_stats_hash, statsHash);
  tally.same(`${path}.balance`, String(step.balance), host.balance);
  tally.same(`${path}.fees`, String(step.fees), host.fees);
  tally.same(`${path}.phase`, step.phase, host.phase);
  tally.same(`${path}.live`, step.live, host.live.length);
  // An accumulator of zeros is written as nothing.
  tally.same(`${path}.sealed_acc`, step.sealed_acc, host.sealedAcc.every((byte) => byte === 0) ? "" : host.sealedAcc);
  compareMembers(tally, `${path}.warm_keys`, step.warm_keys, Object.fromEntries(host.warmKeys));
  const signature = labelled(labels.slot0).sign(stateSignatureContent(root, escrowId, nonce));
  tally.same(`${path}.state_sig_slot0`, step.state_sig_slot0, signature);
  if (step.live_records !== undefined) {
    const records = host.live.map((record) => ({
      id: Number(record.inferenceId),
      status: record.status,
      reserved: record.reservedCost,
      cost: record.actualCost,
      confirmed_at: Number(record.confirmedAt),
      votes_valid: record.votesValid,
      votes_invalid: record.votesInvalid,
      validated_by: hex(record.validatedBy),
    }));
    compareLists(tally, `${path}.live_records`, step.live_records, records);
  }
  if (step.sealed !== undefined) {
    compareMembers(tally, `${path}.sealed`, step.sealed, Object.fromEntries(host.sealed()));
  }
  if (step.host_stats_nonzero !== undefined) {
    const busy = statsOf(host.hostStats).filter(({ missed, invalid, cost }) => missed > 0 || invalid > 0 || cost > 0n);
    compareLists(tally, `${path}.host_stats_nonzero`, step.host_stats_nonzero, busy);
  }
}

/** Offers that must be refused right after the nonce both ledgers stand at, and change nothing. */
function checkRefused(
  tally: Tally,
  path: string,
  { refused = [] }: SessionVector,
  { host, client, rules, labels }: StepContext & { readonly client: Ledger },
): void {
  refused.forEach((each, index) => {
    const place = `${path}.refused[${index}]`;
    if (each.after_nonce !== host.nonce) return;
    tally.known(place, each, ["after_nonce", "txs", "what", "strict_error", "compose_error", "root_unchanged"]);
    tally.guarded(place, () => {
      const txs = decodeTxs(tally, `${place}.txs`, each.txs);
      const nonce = host.nonce + 1;
      const postStateRoot = bytes(each.root_unchanged);
      const content = encodeDiffContent({ nonce, txs, escrowId: host.config.escrowId, postStateRoot });
      const userSig = labelled(labels.user).sign(content);
      const strict = refusalOf(() => applyDiff(host, { nonce, txs, userSig, postStateRoot }, rules));
      tally.same(`${place}.strict_error`, each.strict_error, strict?.message);
      tally.same(`${place}.root_unchanged`, each.root_unchanged, host.root().root);
      let left = 0;
      const composing = refusalOf(() => {
        left = composeDiff(client, txs, rules).txs.length;
        client.takeBack();
      });
      tally.same(`${place}.compose_error`, each.compose_error, composing?.message ?? null);
      tally.same(`${place}.root_unchanged (composer)`, each.root_unchanged, client.root().root);
      tally.same(`${place}.txs (composed)`, 0, left);
    });
  });
}

function checkTooSmall(tally: Tally, path: string, session: SessionVector, config: DevshardConfig): void {
  const small = session.amount_below_create_fee;
  if (small === undefined) return;
  tally.known(`${path}.amount_below_create_fee`, small, ["amount", "create_devshard_fee", "error"]);
  const refusal = refusalOf(() => {
    new Ledger({ ...config, amount: amount(small.amount), createDevshardFee: amount(small.create_devshard_fee) });
  });
  tally.same(`${path}.amount_below_create_fee.error`, small.error, refusal?.message);
}

const SETTLEMENT_MEMBERS = [
  ...["nonce", "version", "fees", "balance", "rest_hash", "host_stats_hash", "state_root", "host_stats", "signatures"],
  ...["state_sig_content", "verify_error"],
];

function checkSettlement(
  tally: Tally,
  path: string,
  vector: SettlementVector,
  host: Ledger,
  config: ConfigVector,
): void {
  tally.known(path, vector, SETTLEMENT_MEMBERS);
  const settlement = settlementFrom(vector, host);
  const { escrowId } = host.config;
  tally.same(`${path}.nonce`, vector.nonce, host.nonce);
  tally.same(`${path}.version`, vector.version, host.config.version);
  tally.same(`${path}.fees`, String(vector.fees), host.fees);
  tally.same(`${path}.balance`, String(vector.balance), host.balance);
  tally.same(`${path}.rest_hash`, vector.rest_hash, settlement.restHash);
  tally.same(`${path}.host_stats_hash`, vector.host_stats_hash, hostStatsHash(settlement.hostStats));
  tally.same(`${path}.state_root`, vector.state_root, settlement.stateRoot);
  tally.same(`${path}.state_root (as the chain)`, vector.state_root, settlementRoot(settlement));
  compareLists(tally, `${path}.host_stats`, vector.host_stats, statsOf(settlement.hostStats));
  const content = stateSignatureContent(settlement.stateRoot, escrowId, host.nonce);
  if (vector.state_sig_content !== undefined)
    tally.same(`${path}.state_sig_content`, vector.state_sig_content, content);
  const labels = [...(config.group ?? []), ...(config.warm_grants ?? []).map(({ warm }) => warm)];
  for (const [slot, signature] of Object.entries(vector.signatures)) {
    tally.guarded(`${path}.signatures.${slot}`, () => {
      const signer = recoverAddress(content, bytes(signature));
      const label = labels.find((each) => labelled(each).address === signer);
      tally.same(`${path}.signatures.${slot}`, signature, label && labelled(label).sign(content));
    });
  }
  const verdict = verifySettlement(settlement, host.config, host.warmKeys);
  // The older file holds settlements that stand.
  tally.same(`${path}.verify_error`, vector.verify_error ?? null, verdict.holds ? null : verdict.reason);
}

export function settlementFrom(vector: SettlementVector, ledger: Ledger): Settlement {
  const signatures = new Map(Object.entries(vector.signatures).map(([slot, each]) => [Number(slot), bytes(each)]));
  return { ...settlementOf(ledger, new Map()), signatures };
}

function statsOf(stats: Ledger["hostStats"]): { slot_id: number; missed: number; invalid: number; cost: bigint }[] {
  return stats.map(({ slotId, missed, invalid, cost }) => ({ slot_id: slotId, missed, invalid, cost }));
}
