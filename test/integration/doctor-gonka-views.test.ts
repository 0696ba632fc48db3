import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { SandboxAccount } from "../../src/sandbox/chain.ts";
import { type NetworkOptions, type SandboxNetwork, startNetwork } from "../../src/sandbox/classic/network.ts";
import { signingVectors } from "../support/signing-vectors.ts";
import { newStage, type Stage } from "./doctor-stage.ts";
import { phase3Input, signWithOpenSsl } from "./sandbox-network-client.ts";

let stage: Stage;
let network: SandboxNetwork;
let account: SandboxAccount;

beforeEach(async () => {
  stage = await newStage();
});

afterEach(async () => {
  expect(network.requests.filter(({ method }) => method !== "GET")).toEqual([]);
  expect(network.violations).toEqual([]);
  await network.stop();
  await stage.clear();
});

async function setUp(options: NetworkOptions = {}) {
  network = await startNetwork(options);
  account = network.createAccount({ balanceNgonka: 9_007_199_254_740_993n });
  await stage.store("ZEPH_GONKA_PRIVATE_KEY", account.privateKeyHex);
  await stage.writeConfig(`[[llm.providers]]
type = "gonka"
name = "gonka"
gonka_source_url = "${network.sourceUrl}"
`);
}

async function dataOf(line: string): Promise<Record<string, unknown>> {
  const { stdout, exitCode } = await stage.run(`${line} --json`);
  const { ok, data } = JSON.parse(stdout) as { ok: boolean; data: Record<string, unknown> };
  expect({ ok, exitCode }).toEqual({ ok: true, exitCode: 0 });
  return data;
}

describe("what the network says", () => {
  it.each<NetworkOptions>([
    { shape: "restored", modelsShape: "list" },
    { shape: "v0.2.15", modelsShape: "units", version: "0.2.15" },
  ])("is read in both shapes: %j", async (options) => {
    await setUp(options);
    const status = await dataOf("gonka status");
    expect(status).toMatchObject({
      source: `${network.sourceUrl}/v1`,
      apiVersion: options.version ?? "0.2.13",
      takesSignedRequests: options.version === undefined,
      epoch: { epochIndex: "42", phase: "Inference" },
      transferAgents: [],
      timestampWindowSeconds: { past: 60, future: 30 },
    });
    expect(status.chain).toMatchObject({ id: "gonka-sandbox-1", latestBlockHeight: expect.stringMatching(/^\d{6}$/) });
    const models = (await dataOf("gonka models")).models as { id: string; pricePerTokenNgonka: string }[];
    expect(models[0]).toMatchObject({ id: "sandbox/echo-1", pricePerTokenNgonka: "1000" });
    const list = await dataOf("gonka participants");
    const provenAt = expect.stringMatching(/^\d{4}-\d\d-\d\dT/);
    expect(list).toMatchObject({ epoch: "42", proof: { label: "self-consistent", provenAt } });
    expect((list.participants as { address: string }[]).map(({ address }) => address)).toEqual(
      network.nodes.map(({ address }) => address),
    );
    const pricing = (await dataOf("gonka pricing")).models;
    expect(pricing).toContainEqual(expect.objectContaining({ id: models[0]?.id, pricePerTokenNgonka: "1000" }));
  });

  it("reads like a table", async () => {
    await setUp();
    expect((await stage.run("gonka status")).stdout).toMatch(/^version +0\.2\.13$/m);
    expect((await stage.run("gonka status")).stdout).toMatch(/^signed requests +taken$/m);
    expect((await stage.run("gonka models")).stdout).toMatch(/^sandbox\/echo-1 +\d+ +\d+ +1000$/m);
    const participants = await stage.run("gonka participants");
    expect(participants.stdout).toContain(network.nodes[2]?.address);
    expect(participants.stderr).toMatch(/the proof of the list holds.*, from a block \d+ (?:s|min|h|days) old/);
    expect((await stage.run("gonka pricing")).stdout).toMatch(/^sandbox\/echo-1 +1000 ngonka +1 GNK/m);
    network.state.version = "0.2.14";
    expect((await stage.run("gonka status")).stdout).toContain("refused with 410");
  });

  it("asks the node of --source-url, also without any configuration", async () => {
    network = await startNetwork({ nodes: 1 });
    const refused = await stage.run("gonka status");
    expect(refused).toMatchObject({ exitCode: 2, stdout: "" });
    expect(refused.stderr).toContain("--source-url URL");
    expect(await dataOf(`gonka status --source-url ${network.sourceUrl}`)).toMatchObject({ apiVersion: "0.2.13" });
  });

  it("names what a wrong address is", async () => {
    await setUp();
    network.nodes[0]?.readFaults.always("wallet-page");
    const { exitCode, stderr } = await stage.run("gonka models");
    expect(exitCode).toBe(10);
    expect(stderr).toContain("not an OpenAI-compatible API");
  });
});

describe("zeph gonka account", () => {
  it("shows the balance with every digit", async () => {
    await setUp();
    // Nodes write balances as bare numbers, with more digits than JavaScript's own can hold.
    const exact = `{"pubkey":"${account.publicKey.toString("base64")}","balance":9007199254740993,"denom":"ngonka"}`;
    const real = stage.fetch;
    stage.fetch = async (input, init) =>
      String(input).includes("/v2/accounts/") ? new Response(exact) : real(input, init);
    expect(await dataOf("gonka account")).toMatchObject({
      address: account.address,
      balanceNgonka: "9007199254740993",
      publicKeyPublished: true,
      publicKey: account.publicKey.toString("base64"),
    });
  });

  it("tells of an account that has published no key, from the chain itself", async () => {
    await setUp();
    const other = network.createAccount({ publishedKey: false, balanceNgonka: 9_007_199_254_740_993n });
    expect(await dataOf(`gonka account ${other.address}`)).toMatchObject({
      balanceNgonka: "9007199254740993",
      balanceGnk: "9007199.254740993",
      publicKeyPublished: false,
    });
    expect((await stage.run(`gonka account ${other.address}`)).stdout).toContain("inferenced publish-pubkey");
  });

  it("fails for an account nobody knows, and for what is no address", async () => {
    await setUp();
    const unknown = network.createAccount({ registered: false });
    expect(await stage.run(`gonka account ${unknown.address}`)).toMatchObject({ exitCode: 11 });
    expect(await stage.run("gonka account gonka1nonsense")).toMatchObject({ exitCode: 17 });
  });
});

describe("zeph gonka sign and verify", () => {
  const timestamp = "1767225600000000123";
  const sign = (more: string, body = "hello") => stage.run(`gonka sign --json ${more}`, body);
  const dataIn = (stdout: string) => (JSON.parse(stdout) as { data: Record<string, string> }).data;

  it("signs what OpenSSL signs for the same bytes", async () => {
    await setUp();
    const node = network.nodes[1]?.address ?? "";
    const { stdout } = await sign(`--endpoint-account ${node} --timestamp ${timestamp}`, "hello\n");
    const data = dataIn(stdout);
    const verified = await stage.run(
      `gonka verify --signature ${data.signature} --timestamp ${timestamp} --endpoint-account ${node}`,
      "hello\n",
    );
    expect(verified).toMatchObject({ exitCode: 0, stdout: "Signature verified\n" });
    const foreign = signWithOpenSsl(account.privateKeyHex, phase3Input("hello\n", BigInt(timestamp), node));
    const line = `gonka verify --signature ${foreign} --timestamp ${timestamp} --endpoint-account ${node}`;
    expect(await stage.run(line, "hello\n")).toMatchObject({ exitCode: 0 });
    expect(await stage.run(line, "hello")).toMatchObject({ exitCode: 11 });
  });

  it.each(signingVectors.signing.filter(({ transfer_address }) => transfer_address.length > 38).slice(0, 6))(
    "gives the known answer $id",
    async (vector) => {
      await setUp({ prefix: vector.address_prefix });
      await stage.store("ZEPH_GONKA_PRIVATE_KEY", vector.private_key_hex);
      await stage.writeConfig(
        `[[llm.providers]]\ntype = "gonka"\nname = "g"\ngonka_chain_prefix = "${vector.address_prefix}"\ngonka_source_url = "${network.sourceUrl}"\n`,
      );
      const file = join(stage.home, "body");
      await writeFile(file, Buffer.from(vector.body_base64, "base64"));
      const flags = `--file ${file} --endpoint-account ${vector.transfer_address} --timestamp ${vector.timestamp_ns}`;
      const { stdout } = await sign(flags);
      expect(dataIn(stdout)).toMatchObject({
        address: vector.expected_address,
        signature: vector.expected_signature_base64,
        publicKey: vector.expected_public_key_base64,
      });
      const verify = `gonka verify ${flags} --signature ${vector.expected_signature_base64} --public-key ${vector.expected_public_key_base64}`;
      expect((await stage.run(verify)).stdout).toBe("Signature verified\n");
    },
  );

  it("takes the public key of another account from the network", async () => {
    await setUp();
    const other = network.createAccount();
    const node = network.nodes[0]?.address ?? "";
    const signature = signWithOpenSsl(other.privateKeyHex, phase3Input("hello", BigInt(timestamp), node));
    const line = `gonka verify --signature ${signature} --timestamp ${timestamp} --endpoint-account ${node} --account-address`;
    expect(await stage.run(`${line} ${other.address}`, "hello")).toMatchObject({ exitCode: 0 });
    expect(await stage.run(`${line} ${account.address}`, "hello")).toMatchObject({ exitCode: 11 });
  });

  it("never shows the key, whatever goes wrong", async () => {
    await setUp();
    const node = network.nodes[0]?.address ?? "";
    const lines = [
      `gonka sign --endpoint-account ${node}`,
      `gonka sign --json --endpoint-account ${node} --verbose`,
      "gonka sign --endpoint-account nonsense",
      "gonka sign",
      `gonka sign --endpoint-account ${node} --timestamp 1s`,
      `gonka verify --signature x --endpoint-account ${node} --timestamp 1`,
      "gonka verify",
    ];
    for (const line of lines) {
      const { stdout, stderr } = await stage.run(line, "hello");
      for (let at = 0; at + 12 <= 64; at += 1) {
        expect(stdout + stderr).not.toContain(account.privateKeyHex.slice(at, at + 12));
      }
    }
  });
});
