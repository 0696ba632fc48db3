import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { checkSignature, readTx, TxRefusal } from "./chain-tx.ts";

interface TxVector {
  readonly name: string;
  readonly address: string;
  readonly chain_id: string;
  readonly account_number: string;
  readonly timeout_seconds: number;
  readonly timeout_nanos: number;
  readonly fee_amount: string;
  readonly gas_limit: string;
  readonly type_url: string;
  readonly tx_raw: string;
  readonly tx_hash: string;
}

const vectors: readonly TxVector[] = JSON.parse(
  readFileSync(new URL("../../../vectors/devshard.json", import.meta.url), "utf8"),
).chain_tx;

describe("the sandbox's chain reads", () => {
  it.each(vectors)("$name as the SDK wrote it", (vector) => {
    const tx = readTx(Buffer.from(vector.tx_raw, "hex"));
    const { escrow } = tx;
    const owner = escrow.kind === "create" ? escrow.message.creator : escrow.message.settler;
    expect(tx).toMatchObject({
      hash: vector.tx_hash,
      isUnordered: true,
      sequence: 0n,
      timeoutNanos: BigInt(vector.timeout_seconds) * 1_000_000_000n + BigInt(vector.timeout_nanos),
      fee: BigInt(vector.fee_amount),
      gasLimit: BigInt(vector.gas_limit),
    });
    expect(owner).toBe(vector.address);
    expect(vector.type_url.toLowerCase()).toContain(escrow.kind);
    const account = { chainId: vector.chain_id, accountNumber: BigInt(vector.account_number) };
    checkSignature(tx, account);
    expect(() => checkSignature(tx, { ...account, chainId: "other" })).toThrow(/^signature verification failed/);
    expect(() => checkSignature(tx, { ...account, accountNumber: 99n })).toThrow(TxRefusal);
  });

  it.each([
    ["bytes that are no transaction", "0aff", /^tx parse error/],
    ["a transaction without a message", "0a00", /exactly one message/],
  ])("refuses %s", (_, hex, words) => {
    expect(() => readTx(Buffer.from(hex, "hex"))).toThrow(words);
  });
});
