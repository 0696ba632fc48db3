import {
  type DevshardTx,
  devshardTx,
  EXECUTOR_RECEIPT,
  FINISH_INFERENCE,
  TIMEOUT_VOTE_CONTENT,
  VALIDATION,
  VALIDATION_VOTE,
} from "../../src/wire/devshard/messages.ts";
import type { DevshardConfig } from "../../src/wire/devshard/rules.ts";
import { type DevshardSigner, devshardSigner } from "../../src/wire/devshard/signing.ts";

export function testSigner(scalar: number): DevshardSigner {
  return devshardSigner(Buffer.from(scalar.toString(16).padStart(64, "0"), "hex"));
}

const NOTHING = new Uint8Array();
const PROMPT = { promptHash: Buffer.alloc(32, 1), model: "llama", inputLength: 100n, maxTokens: 50n, startedAt: 1000n };

/** A devshard with its keys: makes transactions as the hosts of its slots would sign them, or anybody else. */
export class TestDevshard {
  readonly user: DevshardSigner = testSigner(0x21);
  /** One key for each slot; a key may own several. */
  readonly hosts: readonly DevshardSigner[];
  readonly config: DevshardConfig;

  constructor(owners: readonly number[], terms: Partial<DevshardConfig> = {}) {
    this.hosts = owners.map((owner) => testSigner(0x100 + owner));
    this.config = {
      escrowId: "42",
      version: "v4",
      group: this.hosts.map(({ address }) => address),
      user: this.user.address,
      amount: 1_000_000n,
      tokenPrice: 1n,
      createDevshardFee: 10_000n,
      feePerNonce: 1_000n,
      voteThreshold: owners.length >> 1,
      sealGraceNonces: 4,
      sealGraceSeconds: 30,
      autoSealEvery: 5,
      ...terms,
    };
  }

  executor(id: number): DevshardSigner {
    return this.host(id % this.hosts.length);
  }

  host(slot: number): DevshardSigner {
    const host = this.hosts[slot];
    if (host === undefined) throw new RangeError(`there is no slot ${slot}`);
    return host;
  }

  start(id: number, maxTokens = 50n): DevshardTx {
    return devshardTx("start", { inferenceId: BigInt(id), ...PROMPT, maxTokens });
  }

  confirm(id: number, { confirmedAt = 1000n + BigInt(id), by = this.executor(id), escrowId = "42" } = {}): DevshardTx {
    const inferenceId = BigInt(id);
    const executorSig = by.sign(EXECUTOR_RECEIPT.encode({ inferenceId, ...PROMPT, escrowId, confirmedAt }));
    return devshardTx("confirm", { inferenceId, executorSig, confirmedAt });
  }

  finish(id: number, { outputTokens = 10n, by = this.executor(id), escrowId = "42" } = {}): DevshardTx {
    const message = {
      inferenceId: BigInt(id),
      responseHash: Buffer.alloc(32, 2),
      inputTokens: 80n,
      outputTokens,
      executorSlot: id % this.hosts.length,
      proposerSig: NOTHING,
      escrowId,
    };
    return devshardTx("finish", { ...message, proposerSig: by.sign(FINISH_INFERENCE.encode(message)) });
  }

  validation(id: number, slot: number, valid: boolean, { by = this.host(slot), escrowId = "42" } = {}): DevshardTx {
    const message = { inferenceId: BigInt(id), validatorSlot: slot, valid, proposerSig: NOTHING, escrowId };
    return devshardTx("validation", { ...message, proposerSig: by.sign(VALIDATION.encode(message)) });
  }

  vote(id: number, slot: number, voteValid: boolean, { by = this.host(slot), escrowId = "42" } = {}): DevshardTx {
    const message = { inferenceId: BigInt(id), voterSlot: slot, voteValid, proposerSig: NOTHING, escrowId };
    return devshardTx("vote", { ...message, proposerSig: by.sign(VALIDATION_VOTE.encode(message)) });
  }

  timeout(id: number, reason: number, voters: readonly { slot: number; by?: DevshardSigner }[]): DevshardTx {
    const claim = { inferenceId: BigInt(id), reason };
    const content = TIMEOUT_VOTE_CONTENT.encode({ escrowId: "42", ...claim, accept: true });
    const votes = voters.map(({ slot, by = this.host(slot) }) => ({
      voterSlot: slot,
      accept: true,
      signature: by.sign(content),
    }));
    return devshardTx("timeout", { ...claim, votes });
  }
}
