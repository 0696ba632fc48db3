import { createPublicKey, verify } from "node:crypto";
import { readFileSync } from "node:fs";
import { request } from "node:https";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { manualClock } from "../../src/base/time.ts";
import { ATTACKER_URL, type Tampering } from "../../src/sandbox/blocks.ts";
import { type NetworkOptions, type SandboxNetwork, startNetwork } from "../../src/sandbox/classic/network.ts";
import {
  activeParticipantsKey,
  encodeActiveParticipants,
  headerHash,
  validatorsHash,
} from "../../src/sandbox/proof.ts";
import { echoEngine, MODEL } from "./sandbox-network-client.ts";
import { climb, innerSteps } from "./sandbox-network-proof-reading.ts";

let network: SandboxNetwork;
const start = async (options: NetworkOptions = {}) => {
  network = await startNetwork({ engine: echoEngine, clock: manualClock(), ...options });
};
beforeEach(() => start());
afterEach(() => network.stop());

// biome-ignore lint/suspicious/noExplicitAny: these tests look into JSON of many shapes
type Json = any;

async function get(path: string, node = 0): Promise<{ status: number; json: Json; headers: Headers }> {
  const response = await fetch(`${network.nodes[node]!.origin}${path}`);
  const text = await response.text();
  return { status: response.status, json: text.startsWith("{") ? JSON.parse(text) : text, headers: response.headers };
}

/** The JSON with every value replaced by its type, and every list by its first entry. */
function typesOf(value: Json): Json {
  if (value === null) return null;
  if (Array.isArray(value)) return value.slice(0, 1).map(typesOf);
  if (typeof value !== "object") return typeof value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, typesOf(item)]));
}

describe("what a node says about itself", () => {
  it("status, versions, identity with a signature over its compact data", async () => {
    expect((await get("/v1/status")).json).toEqual({ status: "ok" });
    const versions = (await get("/v1/versions")).json;
    expect(versions).toMatchObject({ api_version: { version: "0.2.13" }, node_version: { version: "0.2.13" } });
    // The list of model servers came with v0.2.14.
    expect(versions).not.toHaveProperty("mlnodes");
    network.state.version = "0.2.14";
    expect((await get("/v1/versions")).json).toMatchObject({ mlnodes: [{}] });
    network.state.version = "0.2.13";
    const { data, signature } = (await get("/v1/identity", 1)).json;
    expect(Object.keys(data)).toEqual(["address", "block", "timestamp"]);
    expect(data.address).toBe(network.nodes[1]!.address);
    expect(Buffer.from(signature, "base64")).toHaveLength(64);
    network.state.delegateTa = { "http://elsewhere.invalid": "gonka1x" };
    expect((await get("/v1/identity")).json.data.delegate_ta).toEqual({ "http://elsewhere.invalid": "gonka1x" });
    network.state.identityAddress = network.nodes[2]!.address;
    expect((await get("/v1/identity")).json.data.address).toBe(network.nodes[2]!.address);
  });

  it("models in both shapes, governance models, prices", async () => {
    expect((await get("/v1/models")).json).toMatchObject({
      object: "list",
      data: [{ object: "model", id: MODEL, context_length: 8_192, max_output_length: 4_096 }],
    });
    network.state.modelsShape = "units";
    expect((await get("/v1/models")).json).toMatchObject({ models: [{ id: MODEL, units_of_compute_per_token: "1" }] });
    expect((await get("/v1/governance/models")).json.models[0].id).toBe(MODEL);
    expect((await get("/v1/pricing")).json).toEqual({
      unit_of_compute_price: 1_000,
      models: [{ id: MODEL, units_of_compute_per_token: 1, price_per_token: 1_000 }],
      dynamic_pricing_enabled: false,
    });
    expect((await get("/v1/governance/pricing")).json).toMatchObject({
      models: [{ utilization: 0.25 }],
      dynamic_pricing_enabled: true,
    });
  });
});

describe("accounts", () => {
  it("show key and balance, or say which of three things is wrong", async () => {
    const known = network.createAccount({ balanceNgonka: 123n });
    const silent = network.createAccount({ publishedKey: false });
    const unknown = network.createAccount({ registered: false });
    const shown = { pubkey: known.publicKey.toString("base64"), balance: 123, denom: "ngonka" };
    for (const path of ["/v2/accounts/", "/v1/participants/"]) {
      expect((await get(path + known.address)).json).toEqual(shown);
      const answers = [silent.address, unknown.address, "nonsense"].map((address) => get(path + address));
      expect((await Promise.all(answers)).map(({ status, json }) => [status, json.error])).toEqual([
        [404, "account has no public key"],
        [404, "account not found"],
        [400, "invalid address"],
      ]);
    }
    const base = "/chain-api/cosmos";
    expect((await get(`${base}/bank/v1beta1/balances/${known.address}`)).json.balances).toEqual([
      { denom: "ngonka", amount: "123" },
    ]);
    expect((await get(`${base}/auth/v1beta1/accounts/${silent.address}`)).json.account.pub_key).toBeNull();
    expect((await get(`${base}/auth/v1beta1/accounts/${known.address}`)).json.account.pub_key.key).toBe(shown.pubkey);
    expect((await get(`${base}/auth/v1beta1/accounts/${unknown.address}`)).status).toBe(404);
    network.state.version = "0.2.11";
    expect((await get(`/v2/accounts/${known.address}`)).json).toEqual({ error: "Not Found" });
  });
});

describe("chain parameters", () => {
  it("show the transfer-agent list, an empty one, none, or are disabled", async () => {
    const path = "/chain-api/productscience/inference/inference/params";
    const list = async () => (await get(path)).json.params.transfer_agent_access_params;
    expect(await list()).toEqual({ allowed_transfer_addresses: [] });
    network.chain.params.allowedTransferAgents = [network.nodes[0]!.address];
    expect(await list()).toEqual({ allowed_transfer_addresses: [network.nodes[0]!.address] });
    network.chain.params.allowListForm = "absent";
    expect(await list()).toBeUndefined();
    network.chain.params.allowListForm = "disabled";
    expect(await get(path)).toMatchObject({ status: 404, json: "Chain API Disabled" });
  });

  it("answer the other queries, with every 64-bit number as text and slashes in ids", async () => {
    const base = "/chain-api/productscience/inference/inference";
    const account = network.createAccount({ balanceNgonka: 5n });
    expect((await get(`${base}/get_current_epoch`)).json).toEqual({ epoch: "42" });
    expect((await get(`${base}/model_per_token_price/${encodeURIComponent(MODEL)}`)).json).toEqual({
      price: "1000",
      found: true,
    });
    expect((await get(`${base}/all_model_per_token_prices`)).json.model_prices).toHaveLength(1);
    expect((await get(`${base}/models_all`)).json.model[0].id).toBe(MODEL);
    expect((await get(`${base}/inference_participant/${account.address}`)).json.balance).toBe("5");
    expect((await get(`${base}/participant/${network.nodes[0]!.address}`)).json.participant.status).toBe("ACTIVE");
    expect((await get(`${base}/epoch_info`)).json.latest_epoch.index).toBe("42");
    const group = (await get(`${base}/current_epoch_group_data`)).json.epoch_group_data;
    expect(group.validation_weights).toHaveLength(3);
    expect((await get(`${base}/grantees_by_message_type/x/y`)).json).toEqual({ grantees: [] });
    network.chain.epochs.excluded = [{ address: "gonka1x", reason: "invalidated", atHeight: 5 }];
    expect((await get(`${base}/excluded_participants/0`)).json.items).toMatchObject([{ address: "gonka1x" }]);
  });
});

describe.each(["restored", "v0.2.15"] as const)("epochs in the %s shape", (shape) => {
  const hash = (text: string) => Buffer.from(text, text.length === 44 ? "base64" : "hex");
  beforeEach(() => {
    network.state.shape = shape;
  });

  it("latest", async () => {
    const { json, headers } = await get("/v1/epochs/latest");
    expect(json).toMatchObject({ latest_epoch: { index: 42 }, phase: "Inference", is_confirmation_poc_active: false });
    const params = shape === "restored" ? json.epoch_params : json.epoch_params.epoch_params;
    expect(params.epoch_length).toBe(shape === "restored" ? 15_391 : "15391");
    expect(headers.has("deprecation")).toBe(shape !== "restored");
  });

  it("lists the nodes and proves it up to the signatures of the validators", async () => {
    network.chain.epochs.excluded = [{ address: network.nodes[2]!.address, reason: "invalidated", atHeight: 9 }];
    const { json } = await get("/v1/epochs/current/participants");
    expect(json).toEqual((await get("/v1/epochs/42/participants", 1)).json);
    const listed = json.active_participants.participants.map((one: Json) => [one.index, one.inference_url, one.models]);
    expect(listed).toEqual(network.nodes.map(({ address, origin }) => [address, origin, [MODEL]]));
    expect(json.active_participants.epoch_id).toBe(shape === "restored" ? 42 : "42");
    expect(json.excluded_participants[0].address).toBe(network.nodes[2]!.address);
    network.state.version = "0.2.4";
    expect((await get("/v1/epochs/current/participants")).json).not.toHaveProperty("excluded_participants");

    const epoch = network.chain.epochs.current()!;
    const [iavl, simple] = json.proof_ops.ops.map((one: Json) => climb(Buffer.from(one.data, "base64")));
    expect(iavl.key).toEqual(activeParticipantsKey(42));
    expect(iavl.value.toString("hex")).toBe(json.active_participants_bytes);
    expect(iavl.value).toEqual(encodeActiveParticipants(epoch));
    expect(simple.key.toString()).toBe("inference");
    expect(simple.value).toEqual(iavl.root);
    const { header } = json.block;
    expect(simple.root).toEqual(hash(header.app_hash));
    expect(Number(header.height)).toBe(epoch.createdAtBlockHeight + 1);
    expect(hash(header.validators_hash).toString("hex")).toBe(network.chain.validatorsHash);

    const rpc = (await get(`/chain-rpc/commit?height=${header.height}`)).json.result.signed_header;
    const sealed = network.chain.store().at(epoch.createdAtBlockHeight + 1);
    expect(headerHash(sealed.header).toString("hex").toUpperCase()).toBe(rpc.commit.block_id.hash);
    expect(hash(header.app_hash)).toEqual(hash(rpc.header.app_hash));
    expect(rpc.commit.signatures.map((one: Json) => one.block_id_flag)).toEqual([2, 2, 1]);
  });

  it("has the very fields and types of participants-sample.json", async () => {
    network.chain.epochs.excluded = [{ address: network.nodes[2]!.address, reason: "invalidated", atHeight: 9 }];
    const sample = JSON.parse(readFileSync(new URL("../../vectors/participants-sample.json", import.meta.url), "utf8"));
    const { json } = await get("/v1/epochs/current/participants");
    expect(typesOf(json)).toEqual(typesOf(sample[shape === "restored" ? "restored" : "v0_2_15"]));
  });

  it("refuses epochs that are none", async () => {
    const refused = await Promise.all(["x", "0", "99"].map((which) => get(`/v1/epochs/${which}/participants`)));
    expect(refused.map(({ status, json }) => [status, json.error])).toEqual([
      [400, "Invalid epoch id"],
      [400, "Epoch enumeration starts with 1"],
      [
        404,
        shape === "restored"
          ? "No active participants found for the specified epoch. Looks like PoC failed!"
          : "active participants not found for epoch",
      ],
    ]);
  });
});

describe("the chain's RPC", () => {
  const rpc = async (path: string) => (await get(`/chain-rpc/${path}`)).json;

  it("links each block to the one before, and signs each with more than 2/3 of the power", async () => {
    network.chain.blocks.produce(4);
    const status = (await rpc("status")).result;
    expect(status.node_info.network).toBe("gonka-sandbox-1");
    const height = Number(status.sync_info.latest_block_height);
    const last = (await rpc(`block?height=${height}`)).result;
    const before = (await rpc(`commit?height=${height - 1}`)).result.signed_header.commit;
    expect(last.block_id.hash).toBe(status.sync_info.latest_block_hash);
    expect(last.block.header.last_block_id).toEqual(before.block_id);
    expect(last.block.last_commit).toEqual(before);
    expect((await rpc(`block?height=${height + 1}`)).error.data).toContain("less than or equal to the current");
  });

  it("shows the validators in pages whose whole gives the header's hash", async () => {
    await network.stop();
    await start({ validatorPowers: Array.from({ length: 130 }, (_, index) => 1 + (index % 7)) });
    const pages = [await rpc("validators?page=1&per_page=100"), await rpc("validators?page=2&per_page=100")];
    expect(pages.map((page) => [page.result.count, page.result.total])).toEqual([
      ["100", "130"],
      ["30", "130"],
    ]);
    const all = pages.flatMap((page) => page.result.validators);
    const set = all.map((one) => ({
      publicKey: Buffer.from(one.pub_key.value, "base64"),
      power: Number(one.voting_power),
    }));
    const { header } = (await rpc("commit")).result.signed_header;
    expect(validatorsHash(set).toString("hex").toUpperCase()).toBe(header.validators_hash);
    expect((await rpc("validators?page=3&per_page=100")).error.data).toContain("within [1, 2]");
    expect((await rpc("validators")).result.count).toBe("30");
  });

  it("proves the participants to abci_query too", async () => {
    const data = activeParticipantsKey(42).toString("hex");
    const { response } = (await rpc(`abci_query?path="/store/inference/key"&data=0x${data}&prove=true`)).result;
    expect(climb(Buffer.from(response.proofOps.ops[0].data, "base64")).value.toString("base64")).toBe(response.value);
  });
});

describe("a network that lies", () => {
  /** What a careful client finds wrong, in the order it looks. */
  async function findings(): Promise<readonly string[]> {
    const { json } = await get("/v1/epochs/current/participants");
    const found: string[] = [];
    if (json.proof_ops === null || json.block === null) return ["no proof"];
    const urls = JSON.stringify(json.active_participants);
    if (urls.includes(ATTACKER_URL)) found.push("attacker in the list");
    if (Buffer.from(json.active_participants_bytes, "hex").includes(ATTACKER_URL)) found.push("attacker in the bytes");
    if (json.active_participants.epoch_id !== network.chain.epochs.current()!.epochId) found.push("epoch");
    const operations = json.proof_ops.ops.map((one: Json) => Buffer.from(one.data, "base64"));
    const [iavl, simple] = operations.map(climb);
    if (!iavl.key.equals(activeParticipantsKey(json.active_participants.epoch_id))) found.push("key");
    if (simple.key.toString() !== "inference") found.push("store");
    if (innerSteps(operations[0]).some(({ prefix }) => prefix.length > 45)) found.push("form");
    const { header } = json.block;
    const appHash = Buffer.from(header.app_hash, "hex");
    if (!simple.value.equals(iavl.root) || !simple.root.equals(appHash)) found.push("root");
    if (header.chain_id !== "gonka-sandbox-1") found.push("chain");
    if (header.validators_hash.toLowerCase() !== network.chain.validatorsHash) found.push("validators");
    const power = await signedPower(header.height);
    if (power * 3 <= 2_000 * 2) found.push("power");
    return found;
  }

  async function signedPower(height: number): Promise<number> {
    const { commit } = (await get(`/chain-rpc/commit?height=${height}`)).json.result.signed_header;
    const { validators } = (await get(`/chain-rpc/validators?height=${height}`)).json.result;
    const store = network.chain.store();
    const votes = store.at(height).commit.signatures;
    const { precommitBytes } = await import("../../src/sandbox/proof.ts");
    let power = 0;
    commit.signatures.forEach((one: Json, index: number) => {
      if (one.block_id_flag !== 2) return;
      const x = Buffer.from(validators[index].pub_key.value, "base64").toString("base64url");
      const key = createPublicKey({ format: "jwk", key: { kty: "OKP", crv: "Ed25519", x } });
      const message = precommitBytes({ ...store.at(height).commit, time: votes[index]!.time, chainId: store.chainId });
      if (verify(null, message, key, Buffer.from(one.signature, "base64")))
        power += Number(validators[index].voting_power);
    });
    return power;
  }

  const lies: readonly [Tampering | undefined, readonly string[]][] = [
    [undefined, []],
    ["attacker-json", ["attacker in the list"]],
    ["fabricated", ["attacker in the list", "attacker in the bytes", "key", "store", "power"]],
    ["wrong-store", ["store"]],
    ["wrong-key", ["key"]],
    ["previous-epoch", ["epoch"]],
    ["flipped-proof", ["root"]],
    ["loose-spec", ["form"]],
    ["other-chain", ["chain"]],
    ["few-signatures", ["power"]],
    ["forged-signatures", ["power"]],
    ["other-validators", ["validators"]],
    ["no-proof", ["no proof"]],
  ];
  it.each(lies)("%s", async (tampering, expected) => {
    network.startEpoch(await network.participants());
    network.chain.tampering = tampering;
    expect(await findings()).toEqual(expected);
  });
});

describe("transport", () => {
  it("speaks https with a certificate that a client can trust", async () => {
    await network.stop();
    await start({ transport: "https", nodes: 1 });
    const { origin } = network.nodes[0]!;
    expect(origin).toMatch(/^https:/);
    const statusWith = (ca: string | undefined) =>
      new Promise((resolve, reject) => {
        const asked = request(
          `${origin}/v1/status`,
          { agent: false, ...(ca === undefined ? {} : { ca }) },
          (response) => {
            response.resume();
            resolve(response.statusCode);
          },
        );
        asked.on("error", reject).end();
      });
    expect(await statusWith(network.certificatePem)).toBe(200);
    await expect(statusWith(undefined)).rejects.toThrow(/self-signed/);
  });
});
