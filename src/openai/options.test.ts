import { describe, expect, it } from "vitest";
import { RequestSigner } from "../signer/signer.ts";
import { connectionFromEnvironment } from "./options.ts";

const GONKA_PRIVATE_KEY = "11".repeat(32);
const { address } = RequestSigner.fromHex(GONKA_PRIVATE_KEY);

describe("connectionFromEnvironment", () => {
  it("reads key and nodes as the official SDK does", async () => {
    const env = { GONKA_PRIVATE_KEY: `0x${GONKA_PRIVATE_KEY}`, GONKA_ADDRESS: address };
    const GONKA_ENDPOINTS = `https://a.example/v1;${address}, http://b.example:8000 ; ${address}`;
    const connection = await connectionFromEnvironment({ ...env, GONKA_ENDPOINTS });
    expect(connection).toMatchObject({
      kind: "native",
      signer: { address },
      endpoints: [
        { baseURL: "https://a.example/v1", address },
        { baseURL: "http://b.example:8000/v1", address },
      ],
    });
    const found = await connectionFromEnvironment({ ...env, GONKA_SOURCE_URL: "https://node.example" });
    expect(found).toMatchObject({ kind: "native", sourceUrl: "https://node.example" });
  });

  it.each([
    [{ GONKAGATE_API_KEY: " gp-1 " }, "gp-1"],
    [{ GONKA_API_KEY: "gp-2", GONKA_PRIVATE_KEY: " " }, "gp-2"],
  ])("falls to GonkaGate without a private key: %j", async (env, apiKey) => {
    const baseURL = "https://api.gonkagate.com/v1";
    expect(await connectionFromEnvironment(env)).toEqual({ kind: "broker", baseURL, apiKey });
  });

  it.each([
    [{}, "secret_missing"],
    [{ GONKA_PRIVATE_KEY }, "no_endpoints"],
    [{ GONKA_PRIVATE_KEY: "none", GONKA_SOURCE_URL: "https://node.example" }, "invalid_private_key"],
    [{ GONKA_PRIVATE_KEY, GONKA_ADDRESS: "gonka1other", GONKA_SOURCE_URL: "https://node.example" }, "address_mismatch"],
    [{ GONKA_PRIVATE_KEY, GONKA_ENDPOINTS: "https://a.example/v1" }, "invalid_address"],
    [{ GONKA_PRIVATE_KEY, GONKA_ENDPOINTS: `ftp://a.example;${address}` }, "wrong_url"],
  ])("says what is missing or wrong: %j", async (env, code) => {
    const failure = await connectionFromEnvironment(env).catch((error: unknown) => error);
    expect(failure).toMatchObject({ code });
    expect(String(failure)).not.toContain(GONKA_PRIVATE_KEY);
  });
});
