import { mkdir, readFile, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { Secret } from "../../src/base/secret.ts";
import type { InitRequest } from "../../src/init/session.ts";
import type { SandboxAccount } from "../../src/sandbox/chain.ts";
import { type NetworkOptions, type SandboxNetwork, startNetwork } from "../../src/sandbox/classic/network.ts";
import { type DevshardNetwork, startDevshard } from "../../src/sandbox/devshard/devshard.ts";
import { startSandbox } from "../../src/sandbox/index.ts";
import { Vault, vaultPaths } from "../../src/vault/index.ts";
import { inferencedEnvironment } from "../support/inferenced/inferenced-stand-in.ts";
import {
  type Answer,
  CTRL_C,
  type InitRunOptions,
  readAll,
  runSetUp,
  temporaryHome,
} from "../support/scripted-init.ts";

let network: SandboxNetwork;
let account: SandboxAccount;
let home: Awaited<ReturnType<typeof temporaryHome>>;
const networks: SandboxNetwork[] = [];

async function start(options: NetworkOptions = {}): Promise<SandboxNetwork> {
  const started = await startNetwork(options);
  networks.push(started);
  return started;
}

beforeEach(async () => {
  home = await temporaryHome();
  network = await start();
  account = network.createAccount();
});
afterEach(async () => {
  const violations = networks.flatMap((each) => each.violations);
  await Promise.all(networks.splice(0).map((each) => each.stop()));
  await home.remove();
  // No key material in any header or body, no signed GET, no signature twice.
  expect(violations).toEqual([]);
});

const configPath = () => join(home.path, ".config", "zeph", "config.toml");
const readConfig = () => readFile(configPath(), "utf8");
const openVault = () => Vault.open({ paths: vaultPaths({ env: {}, homeDir: home.path, platform: process.platform }) });
const stored = async (name: string) => (await openVault()).get(name)?.reveal();
const prompts = (of = network) => of.requests.filter(({ method }) => method === "POST");

/** The person who has a network's address, and nothing else yet. */
const toNetwork = (of = network): readonly Answer[] => [
  [/How do you want to reach/, /native/],
  [/Which network\?/, "A private or test network"],
  [/URL of one of its nodes/, of.sourceUrl],
];

function run(options: Omit<InitRunOptions, "home">) {
  return runSetUp({ home: home.path, ...options });
}

describe("the native branch with a pasted key", () => {
  it("does not claim that a network takes signed requests which does not tell its version", async () => {
    for (const node of network.nodes)
      node.readFaults.plan(({ path }) => (path === "/v1/versions" ? "api-disabled" : undefined));
    const { result, screen } = await run({
      answers: [
        ...toNetwork(),
        [/Private key \(64 hex digits/, account.privateKeyHex],
        [/Is gonka1\w{38} your account\?/, true],
        [/^Model$/, /echo/],
      ],
    });
    expect(screen).toContain("does not tell its version");
    expect(screen).not.toContain("and takes signed requests");
    expect(result?.outcome.reply?.text).toContain("hello");
  });

  it("goes from nothing to a signed reply; key and address are in the vault, nodes in the config", async () => {
    const { result, screen, asked } = await run({
      answers: [
        ...toNetwork(),
        [/Private key \(64 hex digits/, `0x${account.privateKeyHex.toUpperCase()}`],
        [/Is gonka1\w{38} your account\?/, true],
        [/^Model$/, /echo/],
      ],
    });
    expect(result?.outcome.reply?.text).toContain("hello");
    expect(asked).toHaveLength(6);
    expect(await stored("ZEPH_GONKA_PRIVATE_KEY")).toBe(account.privateKeyHex);
    expect(await stored("ZEPH_GONKA_ADDRESS")).toBe(account.address);
    expect(screen).toContain("1000 GNK");
    expect(screen).toMatch(/The list is (?:self-consistent|unverified)/);
    expect(screen).not.toContain(account.privateKeyHex);
    expect(prompts()).toHaveLength(1);

    const text = await readConfig();
    expect(text).toContain(`[[llm.providers]]
type = "gonka"
name = "gonka"
model = "sandbox/echo-1"
gonka_chain_prefix = "gonka"
gonka_source_url = "${network.sourceUrl}"
default = true
`);
    for (const { baseURL, address } of network.nodes) {
      expect(text).toContain(`[[llm.providers.gonka_nodes]]
url = "${baseURL}"
address = "${address}"
name = "${new URL(baseURL).host}"
`);
    }
    for (const bytes of (await readAll(home.path)).values()) expect(bytes.includes(account.privateKeyHex)).toBe(false);
  });

  it("asks again in place for what is no key, and never repeats it", async () => {
    const bad = "g".repeat(64);
    const { screen } = await run({
      answers: [
        ...toNetwork(),
        [/Private key/, bad],
        [/Private key/, "0".repeat(64)],
        [/Private key/, "legal winner thank year wave sausage worth useful legal winner thank yellow"],
        [/Private key/, Buffer.from(account.privateKeyHex, "hex").toString("base64")],
        [/Is gonka1\w{38} your account\?/, CTRL_C],
      ],
    });
    expect(screen).toContain("characters that are not hex digits");
    expect(screen).toContain("outside the range of the curve");
    expect(screen).toContain("inferenced keys add NAME --recover");
    expect(screen).not.toContain(bad);
    expect(await readAll(home.path)).toEqual(new Map());
  });

  it("offers the gateway for a broker's key, to its own broker only", async () => {
    const sandbox = await startSandbox({ broker: { keys: { good: "jg-0123456789abcdef" } } });
    try {
      await mkdir(dirname(configPath()), { recursive: true });
      await writeFile(configPath(), `[[brokers]]\nid = "joingonka"\nbase_url = "${sandbox.broker.baseURL}"\n`);
      const { result } = await run({
        request: { model: "auto" },
        answers: [
          ...toNetwork(),
          [/Private key/, sandbox.broker.keys.good],
          [/Set up the gateway with it instead\?/, true],
        ],
      });
      expect(result?.outcome.answers).toMatchObject({ path: "gateway", name: "joingonka" });
      expect(await stored("ZEPH_COMPATIBLE_JOINGONKA_API_KEY")).toBe(sandbox.broker.keys.good);
    } finally {
      await sandbox.stop();
    }
  });

  it("takes a private key that was pasted at the gateway", async () => {
    const { result } = await run({
      request: { model: "auto" },
      answers: [
        [/How do you want to reach/, /via GonkaGate/],
        [/GonkaGate API key/, account.privateKeyHex],
        [/Set up signed requests/, true],
        ...toNetwork().slice(1),
        [/your account\?/, true],
      ],
    });
    expect(result?.outcome.address).toBe(account.address);
  });
});

describe("a network", () => {
  it("that has retired signed requests is told before anything is sent, and the gateway is offered", async () => {
    const retired = await start({ version: "0.2.14" });
    const { screen, error } = await run({
      answers: [...toNetwork(retired), [/What now\?/, "Use a gateway instead"], [/GonkaGate API key/, CTRL_C]],
    });
    expect(screen).toContain("answer 410 to signed requests");
    expect(error?.code).toBe("cancelled");
    expect(prompts(retired)).toEqual([]);
    expect(retired.requests.every(({ path }) => path === "/v1/versions" || path === "/v1/identity")).toBe(true);
  });

  it("that has retired them still serves for address and balance", async () => {
    const retired = await start({ version: "0.2.14" });
    const own = retired.createAccount();
    const { result } = await run({
      answers: [
        ...toNetwork(retired),
        [/What now\?/, "Go on all the same"],
        [/Private key/, own.privateKeyHex],
        [/your account\?/, true],
      ],
    });
    expect(result?.outcome.reply).toBeUndefined();
    expect(result?.applied.isDefault).toBe(false);
    expect(await readConfig()).toContain(`gonka_source_url = "${retired.sourceUrl}"`);
    expect(await stored("ZEPH_GONKA_ADDRESS")).toBe(own.address);
    expect(prompts(retired)).toEqual([]);
  });

  it("that has retired them ends a run where nobody can be asked", async () => {
    const retired = await start({ version: "release/v0.2.15-post1" });
    const { error } = await run({
      stdin: account.privateKeyHex,
      request: {
        path: "native",
        key: { from: "stdin" },
        model: "auto",
        native: { nodes: [], sourceUrl: retired.sourceUrl },
      },
    });
    expect(error?.code).toBe("native_closed");
    expect(error?.exitCode).toBe(16);
    expect(await readAll(home.path)).toEqual(new Map());
    expect(prompts(retired)).toEqual([]);
  });

  it("may have another address prefix, which its nodes tell", async () => {
    const other = await start({ prefix: "cosmos" });
    const own = other.createAccount();
    const { result } = await run({
      request: { model: "auto" },
      answers: [
        ...toNetwork(other),
        [/begin with cosmos1, not gonka1/, true],
        [/Private key/, own.privateKeyHex],
        [/Is cosmos1\w{38} your account\?/, true],
      ],
    });
    expect(result?.outcome.address).toBe(own.address);
    expect(await readConfig()).toContain('gonka_chain_prefix = "cosmos"');
  });

  it("that cannot be reached leads back to the question", async () => {
    const gone = await start();
    await gone.stop();
    const { error } = await run({
      answers: [...toNetwork(gone), [/Which network\?/, "A private or test network"], [/URL of one/, CTRL_C]],
    });
    expect(error?.code).toBe("cancelled");
  });

  it("over plain http from elsewhere needs a yes, and is not asked without one", async () => {
    const asked: string[] = [];
    const { screen } = await run({
      fetch: (input) => {
        asked.push(String(input));
        return Promise.reject(new TypeError("unreachable"));
      },
      answers: [
        [/How do you want/, /native/],
        [/Which network\?/, "A private or test network"],
        [/URL of one of its nodes/, "http://node.example:8000"],
        [/Use it all the same\?/, false],
        [/Which network\?/, CTRL_C],
      ],
    });
    expect(screen).toContain("plain http");
    expect(asked).toEqual([]);
  });

  it("shows the v0.2.15 shapes and the old list of models as well", async () => {
    const other = await start({ shape: "v0.2.15", modelsShape: "units" });
    const own = other.createAccount();
    const { result } = await run({
      stdin: own.privateKeyHex,
      request: {
        path: "native",
        key: { from: "stdin" },
        model: "auto",
        native: { nodes: [], sourceUrl: other.sourceUrl },
      },
    });
    expect(result?.outcome.reply?.text).toContain("hello");
  });
});

describe("a network that is paid from escrows", () => {
  let devshard: DevshardNetwork;
  beforeAll(async () => {
    devshard = await startDevshard({ hosts: 1 });
  });
  afterAll(async () => {
    await devshard.stop();
    expect(devshard.violations).toEqual([]);
  });

  const toDevshard = (key: string): readonly Answer[] => [
    [/How do you want to reach/, /native/],
    [/Which network\?/, "A private or test network"],
    [/URL of one of its nodes/, devshard.sourceUrl],
    [/What now\?/, "Go on all the same"],
    [/Private key/, key],
    [/your account\?/, true],
  ];
  const inScript = (key: string, given: Partial<InitRequest> = {}) =>
    run({
      stdin: key,
      request: {
        path: "native",
        key: { from: "stdin" },
        model: "auto",
        native: { nodes: [], sourceUrl: devshard.sourceUrl },
        ...given,
      },
    });

  it("offers them to an account that may open one, and pays nothing", async () => {
    const listed = devshard.createUser();
    const { result, screen } = await run({
      answers: [...toDevshard(listed.privateKeyHex), [/Your account may open escrows\./, true], [/^Model$/, /echo/]],
    });
    expect(screen).toContain("zeph devshard open");
    expect(result?.outcome.answers).toMatchObject({ access: "devshard", model: devshard.chain.models[0] });
    const text = await readConfig();
    expect(text).toContain('access = "devshard"');
    expect(text).toContain(`gonka_source_url = "${devshard.sourceUrl}"`);
    expect(text).toContain("default = true");
    expect(await stored("ZEPH_GONKA_PRIVATE_KEY")).toBe(listed.privateKeyHex);
    expect(devshard.chain.escrows()).toEqual([]);
  });

  it("that is not wanted leaves a record for address and balance", async () => {
    const listed = devshard.createUser();
    const { result } = await run({
      answers: [...toDevshard(listed.privateKeyHex), [/Your account may open escrows\./, false]],
    });
    expect(result?.outcome.answers).toMatchObject({ access: undefined, model: undefined });
    expect(await readConfig()).not.toContain("access");
  });

  it("offers nothing to an account that may not, and says what the network wants", async () => {
    const other = devshard.createUser({ isAllowed: false });
    const { result, screen, asked } = await run({ answers: toDevshard(other.privateKeyHex) });
    expect(screen).toContain("only accounts that it has listed by vote may open them; this one is not listed");
    expect(asked.join("\n")).not.toContain("may open escrows");
    expect(result?.applied.isDefault).toBe(false);
  });

  it("is set up by a script for a key that may", async () => {
    const listed = devshard.createUser();
    const { result, error } = await inScript(listed.privateKeyHex);
    expect([error, result?.outcome.answers]).toMatchObject([undefined, { access: "devshard", name: "gonka" }]);
    expect(await readConfig()).toContain(`model = "${devshard.chain.models[0]}"`);
    expect(devshard.chain.escrows()).toEqual([]);
  });

  it("ends a script whose key may not, before anything is stored, unless no chat is wanted", async () => {
    const other = devshard.createUser({ isAllowed: false });
    const { error } = await inScript(other.privateKeyHex);
    expect(error).toMatchObject({ code: "native_closed", exitCode: 16 });
    expect(error?.detail).toContain(`${other.address} is not on its list`);
    expect(await readAll(home.path)).toEqual(new Map());
    const { result } = await inScript(other.privateKeyHex, { test: false });
    expect(result?.outcome.answers).toMatchObject({ access: undefined, model: undefined });
  });
});

describe("nodes by hand", () => {
  const request = (nodes: readonly string[], key = account.privateKeyHex) => ({
    stdin: key,
    request: { path: "native" as const, key: { from: "stdin" as const }, model: "auto", native: { nodes } },
  });

  it("are taken with the address they tell", async () => {
    const [node] = network.nodes;
    await run(request([node?.origin ?? ""]));
    const text = await readConfig();
    expect(text).toContain(`url = "${node?.baseURL}"\naddress = "${node?.address}"`);
    expect(text).not.toContain("gonka_source_url");
  });

  it("are refused when they say another address", async () => {
    const [node, other] = network.nodes;
    const { error } = await run(request([`${node?.origin},${other?.address}`]));
    expect(error?.code).toBe("identity_mismatch");
    expect(prompts()).toEqual([]);
  });

  it("may come from GONKA_ENDPOINTS", async () => {
    const pairs = network.nodes.slice(0, 2).map(({ origin, address }) => `${origin};${address}`);
    const { result } = await run({
      env: { GONKA_ENDPOINTS: pairs.join(",") },
      stdin: account.privateKeyHex,
      request: { path: "native", model: "auto", key: { from: "stdin" } },
      answers: [
        [/Which network\?/, "2 nodes"],
        [/your account\?/, true],
      ],
    });
    expect(result?.outcome.answers).toMatchObject({
      nodes: network.nodes.slice(0, 2).map(({ address }) => ({ address })),
    });
  });

  it("need a valid address", async () => {
    const { error } = await run(request([`${network.nodes[0]?.origin},gonka1node1placeholder000000000000000000000`]));
    expect(error?.code).toBe("invalid_address");
  });

  it("are asked for one by one when discovery finds none", async () => {
    const [first, second] = network.nodes;
    const { result, asked } = await run({
      request: { model: "auto" },
      fetch: async (input, init) =>
        String(input).endsWith("/participants") ? new Response("{}", { status: 404 }) : fetch(input, init),
      answers: [
        ...toNetwork(),
        [/Private key/, account.privateKeyHex],
        [/your account\?/, true],
        [/No node was found/, "Name nodes by hand"],
        [/URL of a node/, ""],
        [/URL of a node/, first?.origin ?? ""],
        [/URL of another node/, second?.baseURL ?? ""],
        [/URL of another node/, ""],
      ],
    });
    expect(result?.outcome.answers).toMatchObject({
      nodes: [{ address: first?.address }, { address: second?.address }],
    });
    expect(asked.at(-1)).toContain("empty to go on");
  });
});

describe("the account", () => {
  const upTo = (own: SandboxAccount): readonly Answer[] => [
    ...toNetwork(),
    [/Private key/, own.privateKeyHex],
    [/your account\?/, true],
  ];

  it("that the network does not know is waited for", async () => {
    const unknown = network.createAccount({ registered: false });
    const { screen, result } = await run({
      request: { model: "auto" },
      answers: [
        ...upTo(unknown),
        [/What now\?/, /look again/],
        [/What now\?/, "Go on all the same"],
        [/Continue anyway\?/, true],
      ],
    });
    expect(screen).toContain(`does not know ${unknown.address} yet`);
    expect(screen).toContain("The test message failed");
    expect(result?.applied.providerName).toBe("gonka");
  });

  it("without a published key gets the exact command", async () => {
    const own = network.createAccount({ publishedKey: false });
    const { screen, error } = await run({ answers: [...upTo(own), [/What now\?/, CTRL_C]] });
    expect(screen).toContain(
      `inferenced publish-pubkey --from NAME --gas-prices 10ngonka --node ${network.sourceUrl}/chain-rpc/ --chain-id gonka-sandbox-1 --yes --keyring-backend BACKEND`,
    );
    expect(error?.code).toBe("cancelled");
    await expect(stat(configPath())).rejects.toThrow();
  });

  it("is looked at again once the key was published", async () => {
    const own = network.createAccount({ publishedKey: false });
    const { result } = await run({
      request: { model: "auto" },
      fetch: async (input, init) => {
        const answer = await fetch(input, init);
        // The user does it while the question stands.
        if (String(input).includes("/accounts/")) network.chain.accounts.publishKey(own);
        return answer;
      },
      answers: [...upTo(own), [/What now\?/, /look again/]],
    });
    expect(result?.outcome.reply?.text).toContain("hello");
  });
});

describe("a stored key", () => {
  async function store(entries: Record<string, string>): Promise<void> {
    const vault = await Vault.init({ paths: vaultPaths({ env: {}, homeDir: home.path, platform: process.platform }) });
    await vault.setAll(new Map(Object.entries(entries).map(([name, value]) => [name, new Secret(value)])));
  }
  const scripted = (stdin?: string) => ({
    ...(stdin === undefined ? {} : { stdin }),
    request: {
      path: "native" as const,
      model: "auto",
      ...(stdin === undefined ? {} : { key: { from: "stdin" as const } }),
      native: { nodes: [], sourceUrl: network.sourceUrl },
    },
  });

  it("is used again, and gets the address that was missing", async () => {
    await store({ ZEPH_GONKA_PRIVATE_KEY: account.privateKeyHex });
    const { result } = await run(scripted());
    expect(result?.outcome.reply?.text).toContain("hello");
    expect(await stored("ZEPH_GONKA_ADDRESS")).toBe(account.address);
  });

  it("whose address is another's stops with both shown", async () => {
    const other = network.createAccount();
    await store({ ZEPH_GONKA_PRIVATE_KEY: account.privateKeyHex, ZEPH_GONKA_ADDRESS: other.address });
    const { error } = await run(scripted());
    expect(error?.code).toBe("address_mismatch");
    expect(error?.detail).toContain(account.address);
    expect(error?.detail).toContain(other.address);
  });

  it("is replaced only after a typed word, or with --force", async () => {
    const other = network.createAccount();
    await store({ ZEPH_GONKA_PRIVATE_KEY: other.privateKeyHex, ZEPH_GONKA_ADDRESS: other.address });
    expect((await run(scripted(account.privateKeyHex))).error?.code).toBe("vault_entry_exists");
    const answers = (word: string): readonly Answer[] => [
      [/Where is your private key/, "I paste it"],
      [/Private key/, account.privateKeyHex],
      [/your account\?/, true],
      [/Type "replace"/, word],
    ];
    const request = scripted().request;
    expect((await run({ request, answers: answers("yes") })).error?.code).toBe("cancelled");
    expect(await stored("ZEPH_GONKA_PRIVATE_KEY")).toBe(other.privateKeyHex);
    await run({ request, answers: answers("replace") });
    expect(await stored("ZEPH_GONKA_PRIVATE_KEY")).toBe(account.privateKeyHex);
    const forced = scripted(other.privateKeyHex);
    await run({ ...forced, request: { ...forced.request, force: true } });
    expect(await stored("ZEPH_GONKA_ADDRESS")).toBe(other.address);
  });

  it("in GONKA_PRIVATE_KEY is taken into the vault", async () => {
    await run({
      ...scripted(),
      env: { GONKA_PRIVATE_KEY: `0x${account.privateKeyHex}`, GONKA_ADDRESS: account.address },
    });
    expect(await stored("ZEPH_GONKA_PRIVATE_KEY")).toBe(account.privateKeyHex);
  });

  it("must have the address that --expect-address names", async () => {
    const { request } = scripted();
    const { error } = await run({
      stdin: account.privateKeyHex,
      request: {
        ...request,
        key: { from: "stdin" },
        native: { ...request.native, expectAddress: network.createAccount().address },
      },
    });
    expect(error?.code).toBe("address_mismatch");
    expect(await readAll(home.path)).toEqual(new Map());
  });
});

describe("inferenced", () => {
  const withKey = async (name: string, privateKeyHex: string) => {
    const { execFile } = await import("node:child_process");
    const { promisify } = await import("node:util");
    const env = inferencedEnvironment(home.path);
    await promisify(execFile)("inferenced", ["keys", "import-hex", name, privateKeyHex], { env });
  };

  it("gives the key of a name, checked against the address it shows", async () => {
    await withKey("alice", account.privateKeyHex);
    const { result, screen } = await run({
      env: inferencedEnvironment(home.path),
      request: { path: "native", model: "auto", native: { nodes: [], sourceUrl: network.sourceUrl, keyName: "alice" } },
    });
    expect(result?.outcome.address).toBe(account.address);
    expect(screen).not.toContain(account.privateKeyHex);
    expect(await stored("ZEPH_GONKA_PRIVATE_KEY")).toBe(account.privateKeyHex);
  });

  it.each([
    ["asks for a confirmation", { exportYes: "no" as const }],
    ["prints the key on standard error", { keyStream: "stderr" as const }],
    ["shows secrets on an alternate screen", { secrets: "discreet" as const }],
    ["knows neither flag", { secrets: "direct" as const, exportYes: "no" as const }],
  ])("is understood when it %s", async (_what, how) => {
    await withKey("alice", account.privateKeyHex);
    const { result } = await run({
      env: inferencedEnvironment(home.path, how),
      request: { path: "native", model: "auto", native: { nodes: [], sourceUrl: network.sourceUrl, keyName: "alice" } },
    });
    expect(result?.outcome.address).toBe(account.address);
  });

  it("lists names with addresses, and warns when it is old", async () => {
    const other = network.createAccount();
    await withKey("alice", account.privateKeyHex);
    await withKey("bob", other.privateKeyHex);
    const { result, screen } = await run({
      env: inferencedEnvironment(home.path, { version: "v0.2.7" }),
      request: { model: "auto" },
      answers: [
        ...toNetwork(),
        [/Where is your private key/, "A key of inferenced"],
        [/Which keyring backend/, "test"],
        [/Which key\?/, `bob  ${other.address}`],
        [/your account\?/, true],
      ],
    });
    expect(screen).toContain(`alice  ${account.address}`);
    expect(screen).toContain("inferenced v0.2.7 is old");
    expect(screen).toContain("https://github.com/gonka-ai/gonka/releases");
    expect(result?.outcome.address).toBe(other.address);
  });

  it.each([
    ["v0.2.7", "inferenced v0.2.7 is old"],
    ["some hash", "does not tell its version"],
  ])("of version %s is warned about in scripts too", async (version, warning) => {
    await withKey("alice", account.privateKeyHex);
    const { result, screen } = await run({
      env: inferencedEnvironment(home.path, { version }),
      request: { path: "native", model: "auto", native: { nodes: [], sourceUrl: network.sourceUrl, keyName: "alice" } },
    });
    expect(screen).toContain(warning);
    expect(screen).toContain("https://github.com/gonka-ai/gonka/releases");
    expect(result?.outcome.address).toBe(account.address);
  });

  it("that is not installed leaves pasting and the gateway open", async () => {
    const { screen } = await run({ env: { PATH: home.path }, answers: [...toNetwork(), [/Private key/, CTRL_C]] });
    expect(screen).toContain("not on the PATH: https://github.com/gonka-ai/gonka/releases");
    const { error } = await run({
      env: { PATH: home.path },
      request: { path: "native", model: "auto", native: { nodes: [], sourceUrl: network.sourceUrl, keyName: "alice" } },
    });
    expect(error?.code).toBe("inferenced_not_found");
  });

  it("that fails leaves pasting open", async () => {
    // Nobody can write where the keyring should be.
    await writeFile(join(home.path, "keys"), "");
    const { result, screen } = await run({
      env: inferencedEnvironment(home.path, { version: "some hash" }),
      request: { model: "auto" },
      answers: [
        ...toNetwork(),
        [/Where is your private key/, "A key of inferenced"],
        [/Which keyring backend/, "file"],
        [/no key yet/, "Look in another keyring"],
        [/Which keyring backend/, "test"],
        [/Folder of the keyring/, join(home.path, "keys")],
        [/Where is your private key/, "I paste it"],
        [/Private key/, account.privateKeyHex],
        [/your account\?/, true],
      ],
    });
    expect(screen).toContain("does not tell its version");
    expect(screen).toContain("The inferenced program did not do what was asked");
    expect(result?.outcome.address).toBe(account.address);
  });

  it("without the wanted key says which there are", async () => {
    await withKey("alice", account.privateKeyHex);
    const { error } = await run({
      env: inferencedEnvironment(home.path),
      request: { path: "native", model: "auto", native: { nodes: [], sourceUrl: network.sourceUrl, keyName: "bob" } },
    });
    expect(error?.code).toBe("inferenced_failed");
    expect(error?.detail).toContain("alice");
  });
});
