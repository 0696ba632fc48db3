import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { decodeTx, encodeDiffContent, encodeWireTxs, type SignedDiff } from "../../wire/devshard/messages.ts";
import type { DevshardConfig } from "../../wire/devshard/rules.ts";
import { divideSettled, type Escrow } from "./chain-tx.ts";
import { devshardKey } from "./crypto.ts";
import { HostRefusal, HostSession, type ReceivedDiff } from "./host-session.ts";

interface Step {
  readonly nonce: number;
  readonly txs: readonly string[] | null;
  readonly user_sig: string;
  readonly post_state_root: string;
}

interface Settlement {
  readonly nonce: number;
  readonly version: string;
  readonly fees: string;
  readonly rest_hash: string;
  readonly state_root: string;
  readonly host_stats: readonly { slot_id: number; missed: number; invalid: number; cost: string }[];
  readonly signatures: Readonly<Record<string, string>>;
  readonly verify_error?: string | null;
}

interface Session {
  readonly config: Readonly<Record<string, string | number>> & {
    readonly group: readonly string[];
    readonly user: string;
    readonly warm_grants?: readonly { readonly warm: string; readonly granter: string }[];
  };
  readonly initial_root: string;
  readonly steps: readonly Step[];
  readonly refused?: readonly {
    readonly after_nonce: number;
    readonly txs: readonly string[] | null;
    readonly what: string;
    readonly strict_error: string;
    readonly root_unchanged: string;
  }[];
  readonly settlement: Settlement;
}

const { sessions } = JSON.parse(readFileSync(new URL("../../../vectors/devshard.json", import.meta.url), "utf8"));
const all = Object.entries(sessions as Record<string, Session>);

const keyOf = (label: string) => devshardKey(label.padStart(64, "0"));
const bytes = (digits: string) => Buffer.from(digits, "hex");

function configOf({ config }: Session): DevshardConfig {
  return {
    escrowId: String(config.escrow_id),
    version: String(config.version),
    group: config.group.map((label) => keyOf(label).address),
    user: keyOf(config.user).address,
    amount: BigInt(config.amount ?? 0),
    tokenPrice: BigInt(config.token_price ?? 0),
    createDevshardFee: BigInt(config.create_devshard_fee ?? 0),
    feePerNonce: BigInt(config.fee_per_nonce ?? 0),
    voteThreshold: Number(config.vote_threshold),
    sealGraceNonces: Number(config.seal_grace_nonces),
    sealGraceSeconds: Number(config.seal_grace_seconds),
    autoSealEvery: Number(config.auto_seal_every),
  };
}

function grantsOf({ config }: Session): (warm: string, granter: string) => boolean {
  const pairs = (config.warm_grants ?? []).map(
    ({ warm, granter }) => `${keyOf(warm).address} ${keyOf(granter).address}`,
  );
  return (warm, granter) => pairs.includes(`${warm} ${granter}`);
}

function hostOf(session: Session): HostSession {
  const key = keyOf(session.config.group[0] ?? "");
  return new HostSession(configOf(session), {
    address: key.address,
    key: () => key,
    nowSeconds: () => 1000,
    maxNonce: () => 0,
    isGranted: grantsOf(session),
    refusalTimeoutSeconds: () => 60,
    executionTimeoutSeconds: () => 1200,
  });
}

function received({ nonce, txs, user_sig, post_state_root }: Step): ReceivedDiff {
  const read = (txs ?? []).map((tx) => decodeTx(bytes(tx)));
  const signed: SignedDiff = { nonce, txs: read, userSig: bytes(user_sig), postStateRoot: bytes(post_state_root) };
  const wire = Buffer.from(encodeWireTxs(nonce, read)).toString("base64");
  return { signed, json: { nonce, txs: wire, user_sig: "", post_state_root: "" } };
}

describe("a host of the sandbox", () => {
  it.each(all)("applies session %s of the vectors strictly", (_, session) => {
    const host = hostOf(session);
    expect(Buffer.from(host.ledger.root().root).toString("hex")).toBe(session.initial_root);
    for (const step of session.steps) {
      host.apply([received(step)]);
      const { nonce, root } = host.signState();
      expect([nonce, Buffer.from(root).toString("hex")]).toEqual([step.nonce, step.post_state_root]);
    }
    expect(host.diffs(1, 1_000_000)).toHaveLength(session.steps.length);
  });

  it.each(all)("refuses a step of session %s that was changed, and goes on from where it was", (_, session) => {
    const host = hostOf(session);
    const [first] = session.steps;
    if (first === undefined) throw new RangeError("a session has steps");
    const other = first.user_sig.startsWith("0") ? "1" : "0";
    expect(() => host.apply([received({ ...first, user_sig: other + first.user_sig.slice(1) })])).toThrow(
      "apply diff nonce 1: invalid user signature",
    );
    host.apply([received(first)]);
    expect(host.ledger.nonce).toBe(1);
  });
});

describe("a host refuses, in upstream's words and without a trace:", () => {
  const refused = all.flatMap(([name, session]) => (session.refused ?? []).map((each) => ({ name, session, ...each })));
  it.each(refused)("$name: $what", ({ session, after_nonce, txs, strict_error, root_unchanged }) => {
    const host = hostOf(session);
    for (const step of session.steps) if (step.nonce <= after_nonce) host.apply([received(step)]);
    const nonce = after_nonce + 1;
    const read = (txs ?? []).map((tx) => decodeTx(bytes(tx)));
    const postStateRoot = bytes(root_unchanged);
    const content = encodeDiffContent({ nonce, txs: read, escrowId: host.escrowId, postStateRoot });
    const signed = { nonce, txs: read, postStateRoot, userSig: keyOf(session.config.user).sign(content) };
    const json = { nonce, txs: "", user_sig: "", post_state_root: "" };
    expect(() => host.apply([{ signed, json }])).toThrow(
      new HostRefusal(500, `apply diff nonce ${nonce}: ${strict_error}`),
    );
    expect(Buffer.from(host.ledger.root().root).toString("hex")).toBe(root_unchanged);
  });
});

describe("the chain of the sandbox", () => {
  const settled = all.flatMap(([name, session]) =>
    Object.entries(session)
      .filter(([key]) => key.startsWith("settlement"))
      .map(([key, value]) => ({ name: `${name}.${key}`, session, settlement: value as Settlement })),
  );

  it.each(settled)("judges $name as upstream does", ({ session, settlement }) => {
    const config = configOf(session);
    const settle = () => divideSettled(messageOf(settlement, config), contextOf(session, config));
    // Upstream's hosts weigh addresses, its chain counts entries; the two agree where every entry is there.
    if (settlement.verify_error == null) {
      const { perSlot, refund } = settle();
      const paid = perSlot.reduce((sum, { amount }) => sum + amount, 0n);
      expect(paid + refund).toBe(config.amount);
      const costs = settlement.host_stats.reduce((sum, { cost }) => sum + BigInt(cost), 0n);
      expect(paid).toBe(costs + BigInt(settlement.fees));
    } else expect(settle).toThrow(/signature/);
  });

  const [{ session, settlement }] = settled as [(typeof settled)[0]];
  const config = configOf(session);
  const message = messageOf(settlement, config);
  const context = contextOf(session, config);
  it.each([
    ["escrow 9 not found", { ...message, escrowId: 9n }, { ...context, escrow: undefined }],
    ["escrow already settled", message, { ...context, escrow: { ...escrowOf(config), settled: true } }],
    ["settler is not the escrow creator", { ...message, settler: "gonka1other" }, context],
    ["address is not allowed", message, { ...context, isAllowed: () => false }],
    ["settlement window has passed", message, { ...context, epoch: 9 }],
    ["version v4 is not approved", message, { ...context, approvedVersions: ["v5"] }],
    ["exceeds max_nonce 3", message, { ...context, maxNonce: 3 }],
    ["state root mismatch", { ...message, fees: message.fees + 1n }, context],
    ["state root mismatch", { ...message, hostStats: message.hostStats.slice(1) }, context],
    ["duplicate slot", { ...message, signatures: [...message.signatures, ...message.signatures] }, context],
    ["insufficient signatures", { ...message, signatures: message.signatures.slice(0, 1) }, context],
    ["not found", message, { ...context, isParticipant: () => false }],
  ])("refuses with %s", (words, changed, situation) => {
    expect(() => divideSettled(changed, situation)).toThrow(words);
  });
});

function escrowOf(config: DevshardConfig): Escrow {
  const row = { epochIndex: 7, appHash: "", settled: false, modelId: "m", validationRate: 0, voteThresholdFactor: 50 };
  return { ...config, id: config.escrowId, creator: config.user, slots: config.group, ...row };
}

function contextOf(session: Session, config: DevshardConfig): Parameters<typeof divideSettled>[1] {
  return {
    escrow: escrowOf(config),
    epoch: 8,
    isAllowed: () => true,
    approvedVersions: ["v4"],
    maxNonce: 1_000_000,
    isParticipant: () => true,
    isGranted: grantsOf(session),
  };
}

function messageOf(settlement: Settlement, { escrowId, user }: DevshardConfig): Parameters<typeof divideSettled>[0] {
  return {
    settler: user,
    escrowId: BigInt(escrowId),
    stateRoot: bytes(settlement.state_root),
    nonce: BigInt(settlement.nonce),
    restHash: bytes(settlement.rest_hash),
    hostStats: settlement.host_stats.map(({ slot_id: slotId, missed, invalid, cost }) => ({
      ...{ slotId, missed, invalid, cost: BigInt(cost) },
      ...{ requiredValidations: 0, completedValidations: 0 },
    })),
    signatures: Object.entries(settlement.signatures).map(([slot, signature]) => ({
      slotId: Number(slot),
      signature: bytes(signature),
    })),
    fees: BigInt(settlement.fees),
    version: settlement.version,
  };
}
