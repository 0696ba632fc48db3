import type { IncomingMessage } from "node:http";
import { expect, it } from "vitest";
import type { AccountBook } from "../chain/accounts.ts";
import { Ledger } from "../chain/ledger.ts";
import { RequestLog } from "./request-log.ts";

const accounts = { privateKeysHex: [], find: () => undefined } as unknown as AccountBook;
const post = (index: number) =>
  ({
    method: "POST",
    url: "/v1/chat/completions",
    rawHeaders: ["Authorization", `signature-${index}`],
  }) as IncomingMessage;

it("keeps the newest requests, and of their bodies what fits into 8 MiB", () => {
  const log = new RequestLog(accounts);
  const body = Buffer.alloc(1024 * 1024, "x");
  for (let index = 0; index < 60; index += 1) log.record("node-1", post(index), body, index);
  expect(log.requests).toHaveLength(60);
  expect(log.requests.filter((request) => request.body.length > 0)).toHaveLength(8);
  expect(log.requests.at(-1)?.body).toHaveLength(body.length);
  for (let index = 60; index < 22_000; index += 1) log.record("node-1", post(index), Buffer.from("{}"), index);
  expect(log.requests).toHaveLength(20_000);
  expect(log.requests.at(-1)?.atMs).toBe(21_999);
  expect(log.requests.at(-1)?.body.toString()).toBe("{}");
  expect(log.violations).toEqual([]);
  log.record("node-1", post(21_999), Buffer.from("{}"), 1);
  expect(log.violations).toHaveLength(1);
});

it("keeps the newest entries of the ledger, and all that are open", () => {
  const ledger = new Ledger(accounts);
  const start = (index: number) =>
    ledger.start({
      inferenceId: `i${index}`,
      account: "a",
      node: "n",
      model: "m",
      bodySha256: "b",
      startedAtHeight: 1,
      escrowNgonka: 5n,
    });
  start(0);
  for (let index = 1; index < 25_000; index += 1) {
    start(index);
    ledger.finish(`i${index}`, 1n);
  }
  expect(ledger.entries).toHaveLength(20_000);
  expect(ledger.find("i0")?.state).toBe("started");
  expect(ledger.find("i1")).toBeUndefined();
  expect(ledger.find("i24999")).toMatchObject({ state: "finished", chargedNgonka: 1n });
});
