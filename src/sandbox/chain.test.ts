import { describe, expect, it } from "vitest";
import { AccountBook, Ledger } from "./chain.ts";

function setUp() {
  const accounts = new AccountBook("gonka");
  const { address } = accounts.create({ balanceNgonka: 1_000n });
  const ledger = new Ledger(accounts);
  const start = (inferenceId: string, bodySha256 = "b", startedAtHeight = 10) =>
    ledger.start({
      inferenceId,
      account: address,
      node: "gonka1node",
      model: "m",
      bodySha256,
      startedAtHeight,
      escrowNgonka: 100n,
    });
  return { ledger, start, balance: () => accounts.find(address)?.balanceNgonka };
}

describe("Ledger", () => {
  it("takes the escrow, then gives back what was not used", () => {
    const { ledger, start, balance } = setUp();
    start("a");
    expect(balance()).toBe(900n);
    expect(ledger.find("a")).toMatchObject({ state: "started", chargedNgonka: 100n });
    ledger.finish("a", 30n);
    expect(balance()).toBe(970n);
    expect(ledger.find("a")).toMatchObject({ state: "finished", chargedNgonka: 30n });
    ledger.finish("a", 30n);
    expect(balance()).toBe(970n);
  });

  it("never charges more than the escrow", () => {
    const { ledger, start, balance } = setUp();
    start("a");
    ledger.finish("a", 5_000n);
    expect(balance()).toBe(900n);
  });

  it("refunds an unfinished inference after 20 blocks", () => {
    const { ledger, start, balance } = setUp();
    start("a");
    start("b", "b", 12);
    ledger.expire(30);
    expect(balance()).toBe(800n);
    ledger.expire(31);
    expect(balance()).toBe(900n);
    expect(ledger.entries.map((entry) => entry.state)).toEqual(["expired", "started"]);
  });

  it("refuses an id the chain has, at no cost", () => {
    const { ledger, start, balance } = setUp();
    start("a");
    start("a");
    expect(balance()).toBe(900n);
    expect(ledger.entries.map((entry) => entry.state)).toEqual(["started", "rejected"]);
  });

  it("shows two charges for one body", () => {
    const { ledger, start } = setUp();
    start("a", "same");
    start("b", "same");
    start("c", "other");
    ledger.finish("b", 1n);
    expect(Object.fromEntries(ledger.chargesPerBody())).toEqual({ same: 2, other: 1 });
  });
});
