import { describe, expect, it } from "vitest";
import { signingVectors, toHex } from "../../test/support/signing-vectors.ts";
import { thrownBy } from "../../test/support/thrown-by.ts";
import { formatGnk, parseAccount, parseAccountPublicKey, parseBalance } from "./accounts.ts";
import { parseExactJson } from "./json/parse-exact-json.ts";

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
