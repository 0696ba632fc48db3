import { describe, expect, it } from "vitest";
import { thrownBy } from "../../test/support/thrown-by.ts";
import { isTransferAgentAllowed, parseChainParams } from "./chain-params.ts";
import { parseChainStatus } from "./chain-status.ts";
import { parseLatestEpoch } from "./epochs.ts";
import { parseNodeModels } from "./node-models.ts";
import { parseNetworkPricing } from "./pricing.ts";

describe("parseChainParams", () => {
  const params = (access: unknown, validation: unknown = { timestamp_expiration: "60", timestamp_advance: "30" }) =>
    parseChainParams({ params: { transfer_agent_access_params: access, validation_params: validation } });

  it.each([undefined, null, {}, { allowed_transfer_addresses: null }, { allowed_transfer_addresses: [] }])(
    "takes the allow-list %j for everyone",
    (access) => {
      expect(isTransferAgentAllowed(params(access), "gonka1anyone")).toBe(true);
    },
  );

  it("obeys a list", () => {
    const read = params({ allowed_transfer_addresses: ["gonka1a"] });
    expect(isTransferAgentAllowed(read, "gonka1a")).toBe(true);
    expect(isTransferAgentAllowed(read, "gonka1b")).toBe(false);
  });

  it.each([
    [{ timestamp_expiration: "60", timestamp_advance: "30" }, 60, 30],
    [{ timestamp_expiration: 90, timestamp_advance: 15 }, 90, 15],
    [{ timestamp_expiration: "0" }, 10, 10],
    [null, 60, 30],
  ])("reads the window %j as nodes do", (validation, expiration, advance) => {
    expect(params(null, validation)).toMatchObject({
      timestampExpirationSeconds: expiration,
      timestampAdvanceSeconds: advance,
    });
  });

  it.each([{}, { params: { transfer_agent_access_params: { allowed_transfer_addresses: "gonka1a" } } }])(
    "refuses %j",
    (value) => {
      expect(thrownBy(() => parseChainParams(value)).code).toBe("bad_response");
    },
  );
});

describe("parseChainStatus", () => {
  const result = {
    node_info: { network: "gonka-sample-1" },
    sync_info: { latest_block_height: "123", latest_block_time: "2026-05-01T12:00:00.123456789Z", catching_up: false },
  };

  it.each([{ jsonrpc: "2.0", id: -1, result }, result])("reads it with and without the envelope", (value) => {
    expect(parseChainStatus(value)).toEqual({
      chainId: "gonka-sample-1",
      latestBlockHeight: 123n,
      latestBlockTimeMs: Date.UTC(2026, 4, 1, 12, 0, 0, 123),
      catchingUp: false,
    });
  });

  it.each([{}, { result: { ...result, sync_info: { latest_block_height: "1", latest_block_time: "soon" } } }])(
    "refuses %j",
    (value) => {
      expect(thrownBy(() => parseChainStatus(value)).code).toBe("bad_response");
    },
  );
});

describe("parseLatestEpoch", () => {
  const expected = {
    blockHeight: 123456n,
    epochIndex: 42n,
    pocStartBlockHeight: 123056n,
    phase: "Inference",
    epochLengthBlocks: 15391n,
    confirmationPocActive: false,
  };

  it("reads the shape up to v0.2.14", () => {
    const value = {
      block_height: 123456,
      latest_epoch: { index: 42, poc_start_block_height: 123056 },
      phase: "Inference",
      epoch_params: { epoch_length: 15391 },
      is_confirmation_poc_active: false,
    };
    expect(parseLatestEpoch(value)).toEqual(expected);
  });

  it("reads the shape of v0.2.15", () => {
    const value = {
      block_height: "123456",
      latest_epoch: { index: "42", poc_start_block_height: "123056" },
      phase: "Inference",
      epoch_params: { epoch_params: { epoch_length: "15391" } },
      active_confirmation_poc_event: null,
    };
    expect(parseLatestEpoch(value)).toEqual(expected);
  });

  it("refuses an answer without an epoch", () => {
    expect(thrownBy(() => parseLatestEpoch({ block_height: 1 })).code).toBe("bad_response");
  });
});

describe("parseNodeModels", () => {
  it("reads the list of v0.2.12 and later", () => {
    const model = {
      object: "model",
      id: "Qwen/x",
      name: "X",
      created: 1,
      input_modalities: ["text"],
      output_modalities: ["text"],
      context_length: 262144,
      max_output_length: "8192",
    };
    expect(parseNodeModels({ object: "list", data: [model] })).toEqual([
      {
        id: "Qwen/x",
        name: "X",
        contextLengthTokens: 262144,
        maxOutputTokens: 8192,
        inputModalities: ["text"],
        outputModalities: ["text"],
        unitsOfComputePerToken: undefined,
      },
    ]);
  });

  it("reads the list before v0.2.12, and the governance list", () => {
    const [model] = parseNodeModels({ models: [{ id: "Qwen/x", units_of_compute_per_token: "100", v_ram: "80" }] });
    expect(model).toMatchObject({ id: "Qwen/x", unitsOfComputePerToken: 100n, contextLengthTokens: undefined });
  });

  it.each([{ data: [] }, { models: null }, { object: "list", data: null }])("reads %j as no models", (value) => {
    expect(parseNodeModels(value)).toEqual([]);
  });

  it.each([null, {}, { error: "x" }, { data: [{}] }, { models: {} }])("refuses %j", (value) => {
    expect(thrownBy(() => parseNodeModels(value)).code).toBe("bad_response");
  });
});

describe("parseNetworkPricing", () => {
  it("reads dynamic prices, and keeps unknown apart from 0", () => {
    const value = {
      unit_of_compute_price: "1000",
      dynamic_pricing_enabled: true,
      models: [
        { id: "a", units_of_compute_per_token: 100, price_per_token: "0", utilization: "0.45", capacity: 1000 },
        { id: "b" },
      ],
    };
    const { models, dynamicPricing, unitOfComputePriceNgonka } = parseNetworkPricing(value);
    expect({ dynamicPricing, unitOfComputePriceNgonka }).toEqual({
      dynamicPricing: true,
      unitOfComputePriceNgonka: 1000n,
    });
    expect(models[0]).toMatchObject({ pricePerTokenNgonka: 0n, utilization: 0.45, capacity: 1000 });
    expect(models[1]?.pricePerTokenNgonka).toBeUndefined();
  });

  it("refuses a price that is no integer", () => {
    expect(thrownBy(() => parseNetworkPricing({ models: [{ id: "a", price_per_token: "cheap" }] })).code).toBe(
      "bad_response",
    );
  });
});
