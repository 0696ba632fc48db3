import { describe, expect, it } from "vitest";
import { signingVectors, toHex } from "../../test/support/signing-vectors.ts";
import { thrownBy } from "../../test/support/thrown-by.ts";
import { parseExactJson } from "../base/json.ts";
import {
  compareVersions,
  formatGnk,
  formatVersion,
  isClassicInferenceRetired,
  isTransferAgentAllowed,
  parseAccount,
  parseAccountPublicKey,
  parseBalance,
  parseChainParams,
  parseChainStatus,
  parseIdentity,
  parseLatestEpoch,
  parseNetworkPricing,
  parseVersion,
  parseVersions,
} from "./documents.ts";
import { parseNodeModels } from "./models.ts";

describe("parseVersions", () => {
  it("reads what a node answers", () => {
    const versions = parseVersions({
      timestamp: "2026-05-01T12:00:00Z",
      api_version: { application_name: "decentralized-api", version: "release/v0.2.13-post4", commit: "8a35022b" },
      node_version: { application_name: "inferenced", version: "v0.2.13", commit: "x" },
    });
    expect(versions).toEqual({
      apiVersion: { major: 0, minor: 2, patch: 13 },
      apiVersionText: "release/v0.2.13-post4",
      chainVersionText: "v0.2.13",
    });
  });

  it.each([
    {},
    { api_version: null },
    { api_version: { version: "" } },
    { api_version: { version: "dirty-8a35022b" } },
  ])("knows no version in %j, which does not count as retired", (value) => {
    expect(parseVersions(value).apiVersion).toBeUndefined();
    expect(isClassicInferenceRetired(parseVersions(value).apiVersion)).toBe(false);
  });

  it.each([
    [{}],
    [{ api_version: null }],
    [{ api_version: { version: "" } }],
    [{ api_version: { version: "  " } }],
    [{ api_version: { version: "dirty-8a35022b" } }],
    [{ api_version: { version: 2 } }],
    [{ api_version: [] }],
  ])("goes by the chain node's version beside %j", (value) => {
    const versions = parseVersions({ ...value, node_version: { version: "v0.2.15-post1" } });
    expect(versions).toMatchObject({ apiVersion: { major: 0, minor: 2, patch: 15 }, apiVersionText: "v0.2.15-post1" });
    expect(isClassicInferenceRetired(versions.apiVersion)).toBe(true);
  });

  it("goes by the API's own version where both can be read", () => {
    const versions = parseVersions({ api_version: { version: "0.2.13" }, node_version: { version: "0.2.14" } });
    expect(versions.apiVersionText).toBe("0.2.13");
  });

  it("reads a version that stands without an object around it", () => {
    expect(parseVersions({ api_version: "v0.2.13" }).apiVersion).toEqual({ major: 0, minor: 2, patch: 13 });
  });

  it("keeps what it cannot read, to show it, and nothing where there are only blanks", () => {
    expect(parseVersions({ api_version: { version: "dirty-8a35022b" } }).apiVersionText).toBe("dirty-8a35022b");
    expect(parseVersions({ api_version: { version: " " } }).apiVersionText).toBeUndefined();
  });

  it.each([null, [], "v0.2.13"])("refuses %j", (value) => {
    expect(thrownBy(() => parseVersions(value)).code).toBe("bad_response");
  });
});

describe("isClassicInferenceRetired", () => {
  it.each([
    ["0.2.5", false],
    ["v0.2.13", false],
    ["0.2.13-post7", false],
    ["0.2.9", false],
    ["0.2.14", true],
    ["release/v0.2.14-rc1", true],
    ["v0.2.15-post2", true],
    ["0.2.100", true],
    ["0.3.0", true],
    ["1.0.0", true],
    ["0.1.99", false],
  ])("of %s is %s", (text, retired) => {
    expect(isClassicInferenceRetired(parseVersion(text))).toBe(retired);
  });
});

describe("parseVersion", () => {
  it("refuses what has no three numbers", () => {
    expect(parseVersion("v0.2")).toBeUndefined();
    expect(parseVersion("10.0.0.1")).toEqual({ major: 10, minor: 0, patch: 0 });
  });

  it("is undone by formatVersion, and ordered by compareVersions", () => {
    const ordered = ["0.2.9", "0.2.10", "0.10.0", "1.0.0"].map((text) => parseVersion(text)!);
    expect(ordered.map(formatVersion)).toEqual(["0.2.9", "0.2.10", "0.10.0", "1.0.0"]);
    expect([...ordered].reverse().sort(compareVersions)).toEqual(ordered);
  });
});

const ADDRESS = "gonka1y2a9p56kv044327uycmqdexl7zs82fs5ryv5le";

describe("parseIdentity", () => {
  it.each([123, "123"])("reads block %j", (block) => {
    expect(
      parseIdentity({ data: { address: ADDRESS, block, timestamp: "2026-05-01T12:00:00Z" }, signature: "x" }),
    ).toEqual({
      address: ADDRESS,
      blockHeight: 123n,
      timestamp: "2026-05-01T12:00:00Z",
      delegates: {},
    });
  });

  it("reads delegates, which are only claims", () => {
    const delegates = { "http://other.example": ADDRESS };
    expect(parseIdentity({ data: { address: ADDRESS, delegate_ta: delegates } }).delegates).toEqual(delegates);
  });

  it.each([
    {},
    { data: {} },
    { data: { address: "gonka1y2a9p56kv044327uycmqdexl7zs82fs5ryv5lf" } },
    { data: { address: "cosmos1w508d6qejxtdg4y5r3zarvary0c5xw7k6ah60c" } },
    { data: { address: ADDRESS, delegate_ta: { "http://x.example": "nobody" } } },
    { data: { address: ADDRESS, block: -1 } },
  ])("refuses %j as a bad answer", (value) => {
    expect(thrownBy(() => parseIdentity(value)).code).toBe("bad_response");
  });

  it("knows other networks' prefixes", () => {
    const address = "cosmos1w508d6qejxtdg4y5r3zarvary0c5xw7k6ah60c";
    expect(parseIdentity({ data: { address } }, { prefix: "cosmos" }).address).toBe(address);
  });
});

const KEY_HEX = signingVectors.address[0]!.public_key_hex;
const KEY = Buffer.from(KEY_HEX, "hex").toString("base64");

describe("parseAccount", () => {
  it.each([
    `{"pubkey":"${KEY}","balance":90071992547409931,"denom":"ngonka"}`,
    `{"pubkey":"${KEY}","balance":"90071992547409931"}`,
  ])("reads %s to the last digit", (text) => {
    const account = parseAccount(parseExactJson(text));
    expect(account.balanceNgonka).toBe(90071992547409931n);
    expect(toHex(account.publicKey!)).toBe(KEY_HEX);
  });

  it.each([{}, { pubkey: null }, { pubkey: "", balance: 0 }])("reads an account that published no key: %j", (value) => {
    expect(parseAccount(value)).toEqual({ publicKey: undefined, balanceNgonka: 0n });
  });

  it.each([null, { pubkey: "AAAA" }, { pubkey: `${KEY}!` }, { balance: -1 }, { balance: 1.5 }, { denom: "gonka" }])(
    "refuses %j",
    (value) => {
      expect(thrownBy(() => parseAccount(value)).code).toBe("bad_response");
    },
  );
});

describe("parseAccountPublicKey", () => {
  const published = {
    address: "gonka1…",
    pub_key: { "@type": "/cosmos.crypto.secp256k1.PubKey", key: KEY },
    sequence: "3",
  };

  it.each([
    { account: published },
    { account: { "@type": "/cosmos.auth.v1beta1.ModuleAccount", base_account: published } },
    { account: { base_vesting_account: { base_account: published } } },
  ])("finds the key in $account", (value) => {
    expect(toHex(parseAccountPublicKey(value)!)).toBe(KEY_HEX);
  });

  it.each([
    { account: { ...published, pub_key: null } },
    { account: { ...published, pub_key: { "@type": "/cosmos.crypto.ed25519.PubKey", key: "AAAA" } } },
  ])("finds none in $account.pub_key", (value) => {
    expect(parseAccountPublicKey(value)).toBeUndefined();
  });

  it("refuses an answer without an account", () => {
    expect(thrownBy(() => parseAccountPublicKey({ code: 5 })).code).toBe("bad_response");
  });
});

describe("parseBalance", () => {
  it("adds up ngonka and nothing else", () => {
    const balances = [
      { denom: "ibc/27394FB", amount: "9" },
      { denom: "ngonka", amount: "123456789012345678901" },
    ];
    expect(parseBalance({ balances, pagination: {} })).toBe(123456789012345678901n);
    expect(parseBalance({ balances: [] })).toBe(0n);
  });

  it.each([{}, { balances: [{ denom: "ngonka", amount: "1.5" }] }])("refuses %j", (value) => {
    expect(thrownBy(() => parseBalance(value)).code).toBe("bad_response");
  });
});

describe("formatGnk", () => {
  it.each([
    [0n, "0 GNK"],
    [1n, "0.000000001 GNK"],
    [1_500_000_000n, "1.5 GNK"],
    [-1n, "-0.000000001 GNK"],
    [12_000_000_000n, "12 GNK"],
  ])("writes %s as %s", (amount, text) => {
    expect(formatGnk(amount)).toBe(text);
  });
});

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
