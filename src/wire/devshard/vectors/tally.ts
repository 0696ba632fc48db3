import { type DevshardTx, decodeTx } from "../messages.ts";
import type { DevshardConfig } from "../rules.ts";
import { type DevshardSigner, devshardSigner } from "../signing.ts";
import type { SignatureRules } from "../transitions.ts";

/** A value of a file that is not what this code computes. */
export interface Difference {
  readonly path: string;
  readonly expected: string;
  readonly got: string;
}

/** Counts values. What a computation throws is a value that differs. */
export class Tally {
  values = 0;
  agreed = 0;
  first: Difference | undefined;
  readonly unknown: string[] = [];

  same(path: string, expected: unknown, got: unknown): void {
    const [wanted, found] = [spell(expected), spell(got)];
    this.values++;
    if (wanted === found) this.agreed++;
    else this.first ??= { path, expected: wanted, got: found };
  }

  guarded(path: string, body: () => void): void {
    try {
      body();
    } catch (error) {
      this.same(path, "a value", error instanceof Error ? `${error.name}: ${error.message}` : String(error));
    }
  }

  /** Reports members of an object that no rule reads. */
  known(path: string, value: object, members: readonly string[]): void {
    for (const member of Object.keys(value)) if (!members.includes(member)) this.unknown.push(`${path}.${member}`);
  }
}

function spell(value: unknown): string {
  if (value instanceof Uint8Array) return hex(value);
  if (typeof value === "bigint") return value.toString();
  return typeof value === "string" ? value : (JSON.stringify(value) ?? "nothing");
}

/** Amounts are decimal strings in newer files and numbers in older ones. */
export type Amount = string | number;

export interface ConfigVector {
  readonly escrow_id: string;
  readonly version: string;
  readonly amount: Amount;
  readonly token_price: Amount;
  readonly create_devshard_fee: Amount;
  readonly fee_per_nonce: Amount;
  readonly vote_threshold: number;
  readonly seal_grace_nonces: number;
  readonly seal_grace_seconds: number;
  readonly auto_seal_every: number;
  /** Key label of each slot. */
  readonly group?: readonly string[];
  readonly user?: string;
  readonly warm_grants?: readonly { readonly warm: string; readonly granter: string }[];
}

/** The signer of a test key, whose label is its scalar in hexadecimal. */
export function labelled(label: string): DevshardSigner {
  let signer = signers.get(label);
  if (signer === undefined) {
    signer = devshardSigner(Buffer.from(label.padStart(64, "0"), "hex"));
    signers.set(label, signer);
  }
  return signer;
}
const signers = new Map<string, DevshardSigner>();

export function configOf(vector: ConfigVector): DevshardConfig {
  return {
    escrowId: vector.escrow_id,
    version: vector.version,
    group: (vector.group ?? []).map((label) => labelled(label).address),
    user: labelled(vector.user ?? "").address,
    amount: amount(vector.amount),
    tokenPrice: amount(vector.token_price),
    createDevshardFee: amount(vector.create_devshard_fee),
    feePerNonce: amount(vector.fee_per_nonce),
    voteThreshold: vector.vote_threshold,
    sealGraceNonces: vector.seal_grace_nonces,
    sealGraceSeconds: vector.seal_grace_seconds,
    autoSealEvery: vector.auto_seal_every,
  };
}

export function grantsOf({ warm_grants = [] }: ConfigVector): SignatureRules {
  const granted = new Set(
    warm_grants.map(({ warm, granter }) => `${labelled(warm).address} ${labelled(granter).address}`),
  );
  return { isGranted: (warm, granter) => granted.has(`${warm} ${granter}`) };
}

/** Compares every member; one that stands on one side only differs. */
export function compareMembers(tally: Tally, path: string, expected: object, got: object): void {
  const [wanted, found] = [expected, got] as Readonly<Record<string, unknown>>[];
  for (const name of new Set([...Object.keys(expected), ...Object.keys(got)])) {
    tally.same(`${path}.${name}`, wanted?.[name], found?.[name]);
  }
}

export function compareLists(tally: Tally, path: string, expected: readonly object[], got: readonly object[]): void {
  for (let index = 0; index < Math.max(expected.length, got.length); index++) {
    compareMembers(tally, `${path}[${index}]`, expected[index] ?? {}, got[index] ?? {});
  }
}

/** Reads encoded transactions; each must come out of the codec as it went in. */
export function decodeTxs(tally: Tally, path: string, encoded: readonly string[] | null): DevshardTx[] {
  return (encoded ?? []).map((each, index) => {
    const tx = decodeTx(bytes(each));
    tally.same(`${path}[${index}]`, each, tx.bytes);
    return tx;
  });
}

export function amount(value: Amount | undefined): bigint {
  return BigInt(value ?? "");
}

export function bytes(digits: string): Uint8Array {
  if (!/^(?:[0-9a-f]{2})*$/.test(digits)) throw new RangeError(`not lower-case hex: ${digits}`);
  return Buffer.from(digits, "hex");
}

export function hex(value: Uint8Array): string {
  return Buffer.from(value).toString("hex");
}
