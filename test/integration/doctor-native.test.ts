import { readFile } from "node:fs/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { SandboxAccount } from "../../src/sandbox/chain.ts";
import type { NodeFaultKind } from "../../src/sandbox/classic/faults.ts";
import { type NetworkOptions, type SandboxNetwork, startNetwork } from "../../src/sandbox/classic/network.ts";
import { checkOf, doctorJson, newStage, type Stage } from "./doctor-stage.ts";

const KEY = "ZEPH_GONKA_PRIVATE_KEY";
const ADDRESS = "ZEPH_GONKA_ADDRESS";
const MODEL = "sandbox/echo-1";

let stage: Stage;
let network: SandboxNetwork;
let account: SandboxAccount;

beforeEach(async () => {
  stage = await newStage();
});

afterEach(async () => {
  await network.stop();
  await stage.clear();
});

interface Healthy {
  readonly network?: NetworkOptions;
  readonly account?: Parameters<SandboxNetwork["createAccount"]>[0];
  readonly nodes?: "named" | "discovered";
  readonly model?: string;
  /** Makes every named node's address the next one's. */
  readonly swapAddresses?: boolean;
}

async function setUp(healthy: Healthy = {}) {
  network = await startNetwork(healthy.network);
  account = network.createAccount(healthy.account);
  await stage.store(KEY, account.privateKeyHex);
  await stage.store(ADDRESS, account.address);
  const { nodes } = network;
  const named = nodes.map(({ baseURL, address }, index) => {
    const shown = healthy.swapAddresses === true ? (nodes[(index + 1) % nodes.length]?.address ?? "") : address;
    return `\n[[llm.providers.gonka_nodes]]\nurl = "${baseURL}"\naddress = "${shown}"\nname = "node-${index + 1}"\n`;
  });
  await stage.writeConfig(`[[llm.providers]]
type = "gonka"
name = "gonka"
model = "${healthy.model ?? MODEL}"
${healthy.nodes === "discovered" ? `gonka_source_url = "${network.sourceUrl}"` : named.join("")}
`);
}

/** The same answer to every read and every request, on every node. */
function everywhere(fault: NodeFaultKind) {
  for (const node of network.nodes) {
    node.faults.always(fault);
    node.readFaults.always(fault);
  }
}

interface Situation {
  readonly name: string;
  readonly healthy?: Healthy;
  readonly arrange?: () => Promise<unknown> | unknown;
  readonly check: string;
  readonly status?: "warn";
  readonly code?: string;
  readonly says: RegExp;
  readonly exitCode: number;
  readonly chat?: { readonly exitCode: number; readonly because: string };
  readonly mend?: (hint: string) => Promise<unknown> | unknown;
}

const SITUATIONS: readonly Situation[] = [
  {
    name: "one node that has retired signed requests, beside others that take them",
    arrange: () => {
      const [first] = network.nodes;
      const real = stage.fetch;
      stage.fetch = async (input, init) =>
        String(input) === `${first?.baseURL}/versions`
          ? Response.json({ api_version: { version: "0.2.14" } })
          : real(input, init);
    },
    check: "gonka.node[0]",
    status: "warn",
    code: "native_closed",
    says: /another node answers/,
    exitCode: 0,
  },
  {
    name: "answers longer than the model's window, of which no chat knows yet",
    healthy: { model: "sandbox/Tiny-1" },
    check: "llm.gonka.model",
    code: "context_length",
    says: /answers of 4096 tokens do not fit into the 512 tokens/,
    exitCode: 12,
    mend: () => stage.run("models"),
  },
  {
    name: "a network that takes another signed text",
    healthy: { network: { version: "0.2.5" } },
    check: "gonka.network",
    code: "signature_invalid",
    says: /version v?0\.2\.5 takes another signed text/,
    exitCode: 11,
    chat: { exitCode: 0, because: "the sandbox takes today's text whatever version it is told to have" },
  },
  {
    name: "a network that has retired signed requests",
    healthy: { network: { version: "0.2.14" } },
    check: "gonka.network",
    code: "native_closed",
    says: /runs v?0\.2\.14/,
    exitCode: 16,
  },
  {
    name: "a retired network in its newer shape, found by discovery",
    healthy: { network: { version: "0.2.15", shape: "v0.2.15" }, nodes: "discovered" },
    check: "gonka.discovery",
    code: "native_closed",
    says: /0\.2\.15/,
    exitCode: 16,
  },
  {
    name: "a key that does not fit the stored address",
    arrange: async () => stage.store(ADDRESS, network.createAccount().address),
    check: "gonka.signer",
    code: "address_mismatch",
    says: /the key gives gonka1\w+, stored is gonka1/,
    exitCode: 17,
    mend: (hint) => stage.run(/zeph (vault rm \S+)/.exec(hint)?.[1] ?? ""),
  },
  {
    name: "a key that is none",
    arrange: () => stage.store(KEY, "ff".repeat(32)),
    check: "gonka.signer",
    code: "invalid_private_key",
    says: /range of the curve/,
    exitCode: 17,
  },
  {
    name: "invented node addresses of an old set-up",
    arrange: () =>
      stage.writeConfig(
        `[[llm.providers]]\ntype = "gonka"\nmodel = "${MODEL}"\n\n[[llm.providers.gonka_nodes]]\nurl = "${network.sourceUrl}"\naddress = "gonka1node1placeholder0000000000000000000000"\n`,
      ),
    check: "config.parse",
    code: "config_invalid",
    says: /placeholder/,
    exitCode: 17,
    mend: (hint) => stage.run(/zeph (.*)$/.exec(hint)?.[1] ?? ""),
  },
  {
    name: "an API key in the place of the private key",
    arrange: () => stage.store(KEY, "gp-0123456789abcdef0123456789abcdef"),
    check: "gonka.signer",
    code: "invalid_private_key",
    says: /broker's API key/,
    exitCode: 17,
  },
  {
    name: "no key",
    arrange: () => stage.run(`vault rm ${KEY}`),
    check: "gonka.vault.private_key",
    code: "secret_missing",
    says: new RegExp(KEY),
    exitCode: 17,
    mend: (hint) => stage.run(`${/zeph (vault set \S+)`/.exec(hint)?.[1]} --stdin`, account.privateKeyHex),
  },
  {
    name: "an account nobody knows",
    healthy: { account: { registered: false } },
    check: "gonka.account",
    code: "account_not_found",
    says: /does not know this account: gonka1/,
    exitCode: 11,
  },
  {
    name: "an account without a published key",
    healthy: { account: { publishedKey: false } },
    check: "gonka.account",
    code: "account_no_public_key",
    says: /not published its public key/,
    exitCode: 11,
    mend: (hint) => {
      expect(hint).toMatch(
        /^Run: inferenced publish-pubkey --from NAME .* --chain-id gonka-sandbox-1 --yes --keyring-backend BACKEND$/,
      );
      network.chain.accounts.publishKey(account);
    },
  },
  {
    name: "an account without money",
    healthy: { account: { balanceNgonka: 0n } },
    check: "gonka.account",
    code: "insufficient_balance",
    says: /0 GNK/,
    exitCode: 14,
  },
  {
    name: "an account with too little money for one answer",
    healthy: { account: { balanceNgonka: 4_000_000n } },
    check: "gonka.account",
    code: "insufficient_balance",
    says: /0\.004 GNK; one request sets aside up to 0\.004296 GNK/,
    exitCode: 14,
  },
  {
    name: "an account that is nearly empty",
    healthy: { account: { balanceNgonka: 50_000_000n } },
    check: "gonka.account",
    status: "warn",
    says: /low: 0\.05 GNK/,
    exitCode: 0,
  },
  {
    name: "a clock 90 s behind",
    arrange: () => network.chain.blocks.setSkew(90_000),
    check: "clock.skew",
    status: "warn",
    code: "clock_skew",
    says: /(?:89|90|91) s behind.*refuse the first attempt/,
    exitCode: 0,
  },
  {
    name: "a clock 90 s ahead",
    arrange: () => network.chain.blocks.setSkew(-90_000),
    check: "clock.skew",
    status: "warn",
    code: "clock_skew",
    says: /(?:89|90|91) s ahead.*refuse the first attempt/,
    exitCode: 0,
  },
  {
    name: "a clock 20 s behind",
    arrange: () => network.chain.blocks.setSkew(20_000),
    check: "clock.skew",
    status: "warn",
    code: "clock_skew",
    says: /(?:19|20|21) s behind/,
    exitCode: 0,
  },
  {
    name: "a clock 45 s ahead, beyond the window of the future",
    arrange: () => network.chain.blocks.setSkew(-45_000),
    check: "clock.skew",
    status: "warn",
    code: "clock_skew",
    says: /4[456] s ahead.*refuse the first attempt/,
    exitCode: 0,
  },
  {
    name: "a clock 45 s behind, within the window of the past",
    arrange: () => network.chain.blocks.setSkew(45_000),
    check: "clock.skew",
    status: "warn",
    code: "clock_skew",
    says: /4[456] s behind/,
    exitCode: 0,
  },
  {
    name: "a clock 5 s off",
    arrange: () => network.chain.blocks.setSkew(5_000),
    check: "clock.skew",
    says: /within 10 s/,
    exitCode: 0,
  },
  {
    name: "a chain that stands still",
    arrange: () => {
      network.chain.blocks.stall();
      stalledForMs(120_000);
    },
    check: "gonka.block_time",
    code: "chain_stalled",
    says: /stopped making blocks/,
    exitCode: 10,
  },
  {
    name: "a retired model",
    healthy: { model: "gpt-4o" },
    check: "llm.gonka.model",
    code: "model_not_found",
    says: /not offered any more/,
    exitCode: 12,
    mend: (hint) => stage.run(/zeph (.*)$/.exec(hint)?.[1] ?? ""),
  },
  {
    name: "one dead node of three",
    arrange: () => network.nodes[1]?.goDown(),
    check: "gonka.node[1]",
    status: "warn",
    code: "unreachable",
    says: /connection refused.*another node answers/,
    exitCode: 0,
  },
  {
    name: "all nodes dead",
    arrange: () => Promise.all(network.nodes.map((node) => node.goDown())),
    check: "gonka.node[0]",
    code: "unreachable",
    says: /connection refused/,
    exitCode: 10,
  },
  {
    name: "a source that is dead",
    healthy: { nodes: "discovered" },
    arrange: () => network.nodes[0]?.goDown(),
    check: "gonka.discovery",
    code: "unreachable",
    says: /connection refused/,
    exitCode: 10,
  },
  ...(
    [
      ["api-disabled", "wrong_url", /App API Disabled/, 10],
      ["wallet-page", "wrong_url", /not JSON/, 10],
      ["nginx-502", "upstream_error", /502/, 10],
      ["nginx-503", "service_unavailable", /503/, 10],
      ["panic", "upstream_error", /nil pointer/, 10],
      ["retired", "native_closed", /410/, 16],
      ["gateway-401", "native_requires_api_key", /API key/, 16],
      ["blocked", "forbidden", /blocked|Access Denied/, 11],
      ["rate-limit", "capacity_reached", /rate limit/, 15],
      ["drop", "unreachable", /closed|no answer|reset/, 10],
    ] as const
  ).map(
    ([fault, code, says, exitCode]): Situation => ({
      name: `${fault} on all nodes (B14)`,
      arrange: () => everywhere(fault),
      check: "gonka.node[2]",
      code,
      says,
      exitCode,
    }),
  ),
  {
    name: "nodes under each other's addresses",
    healthy: { swapAddresses: true },
    check: "gonka.node[0]",
    code: "identity_mismatch",
    says: /says it is gonka1\w+, the config says gonka1/,
    exitCode: 11,
  },
  {
    name: "no configured node on the transfer-agent list",
    arrange: () => {
      network.chain.params.allowedTransferAgents = [network.createAccount().address];
    },
    check: "gonka.node[0]",
    code: "transfer_agent_not_allowed",
    says: /transfer-agent list/,
    exitCode: 16,
  },
  {
    name: "one node that is not on the transfer-agent list",
    arrange: () => {
      network.chain.params.allowedTransferAgents = network.nodes.slice(0, 2).map(({ address }) => address);
    },
    check: "gonka.node[2]",
    status: "warn",
    code: "transfer_agent_not_allowed",
    says: /another node answers/,
    exitCode: 0,
  },
  {
    name: "a network for selected developers",
    arrange: () => {
      network.chain.params.developerAccess = { untilBlockHeight: 9_999_999, allowed: [] };
    },
    check: "gonka.access",
    code: "developer_not_allowed",
    says: /until block 9999999/,
    exitCode: 16,
  },
  {
    name: "a broken proof of the discovered list",
    healthy: { nodes: "discovered" },
    arrange: () => {
      network.chain.tampering = "flipped-proof";
    },
    check: "gonka.discovery",
    code: "proof_invalid",
    says: /proof/,
    exitCode: 11,
  },
  {
    name: "a list without proof",
    arrange: () => {
      network.chain.tampering = "no-proof";
    },
    check: "gonka.proof",
    status: "warn",
    says: /no proof; one server's word/,
    exitCode: 0,
  },
];

/** As if the chain had stood still for so long while everybody's clocks went on. */
function stalledForMs(byMs: number): void {
  network.chain.blocks.produce(1, -byMs);
}

describe("zeph doctor and the network", () => {
  it.each(["named", "discovered"] as const)("passes everything that is well (%s)", async (nodes) => {
    await setUp({ nodes });
    const report = await doctorJson(stage);
    expect(report.checks.filter(({ status }) => status !== "ok")).toEqual([]);
    expect(report).toMatchObject({ exitCode: 0, overall: "ok", served_by: "gonka" });
    expect(checkOf(report, "gonka.account").data).toMatchObject({ balance_ngonka: "1000000000000" });
    expect(checkOf(report, "gonka.proof").detail).toMatch(
      /3 participants of epoch 42: the proof holds.*, from a block \d+ \w+ old$/,
    );
    expect((await stage.chat()).exitCode).toBe(0);
    // Whose key signs is said where a conversation begins, not with each answer.
    expect((await stage.run("chat", "hello")).stderr).not.toContain("Signing as");
  });

  it.each(SITUATIONS)("names the cause: $name", async (situation) => {
    await setUp(situation.healthy);
    await situation.arrange?.();
    const report = await doctorJson(stage);
    const found = checkOf(report, situation.check);
    expect(found.detail).toMatch(situation.says);
    expect(found.code).toBe(situation.code);
    if (situation.status !== undefined) expect(found.status).toBe(situation.status);
    expect(report.exitCode).toBe(situation.exitCode);
    if (found.status === "fail") expect(found.hint).toMatch(/\S/);
    for (const secret of stage.secrets) {
      if (!secret.startsWith("gonka1")) expect(JSON.stringify(report)).not.toContain(secret);
    }
    // Free: only reads, none of them signed.
    expect(network.requests.filter(({ method }) => method !== "GET")).toEqual([]);
    expect(network.violations).toEqual([]);

    expect(await stage.chat()).toMatchObject({ exitCode: situation.chat?.exitCode ?? situation.exitCode });
    if (situation.mend === undefined) return;
    await situation.mend(found.hint ?? "");
    const mended = await doctorJson(stage);
    expect(mended.checks.filter(({ status }) => status === "fail")).toEqual([]);
    expect((await stage.chat()).exitCode).toBe(0);
  });

  it("says that the list follows from a pinned hash, and does not use one that does not", async () => {
    await setUp({ nodes: "discovered" });
    const config = await readFile(stage.configPath, "utf8");
    await stage.writeConfig(`${config}gonka_trusted_validators_hash = "${network.chain.validatorsHash}"\n`);
    const report = await doctorJson(stage);
    expect(checkOf(report, "gonka.proof").detail).toContain("proven by a pinned hash");
    await stage.writeConfig(`${config}gonka_trusted_validators_hash = "${"ab".repeat(32)}"\n`);
    const refused = await doctorJson(stage);
    expect(checkOf(refused, "gonka.discovery")).toMatchObject({ status: "fail", code: "proof_invalid" });
    expect(refused.exitCode).toBe(11);
    expect((await stage.chat()).exitCode).toBe(11);
  });

  it("buys nothing without --smoke, and one completion with it (B15)", async () => {
    await setUp();
    await doctorJson(stage);
    expect(network.chain.ledger.entries).toEqual([]);
    const report = await doctorJson(stage, "--smoke");
    expect(checkOf(report, "llm.gonka.smoke")).toMatchObject({ status: "ok" });
    expect(network.chain.ledger.entries).toHaveLength(1);
    expect(network.violations).toEqual([]);
  });

  it("ends within its deadline when every node hangs", async () => {
    await setUp();
    everywhere("hang");
    const startedAtMs = performance.now();
    const report = await doctorJson(stage, "--timeout-secs 0.5");
    expect(performance.now() - startedAtMs).toBeLessThan(12_000);
    expect(checkOf(report, "gonka.node[0]")).toMatchObject({ status: "fail", code: "timeout_headers" });
    expect(report.exitCode).toBe(10);
  });

  it("is not held up by one node that hangs", async () => {
    await setUp();
    network.nodes[0]?.readFaults.always("hang");
    const report = await doctorJson(stage, "--timeout-secs 1");
    expect(checkOf(report, "gonka.network").status).toBe("ok");
    expect(checkOf(report, "gonka.account").status).toBe("ok");
    expect(checkOf(report, "gonka.node[0]")).toMatchObject({ status: "warn", code: "timeout_headers" });
    expect(report.exitCode).toBe(0);
  });

  it("uses a remembered list while the source is away, as a chat does", async () => {
    await setUp({ nodes: "discovered" });
    expect((await stage.chat()).exitCode).toBe(0);
    await network.nodes[0]?.goDown();
    const report = await doctorJson(stage);
    expect(checkOf(report, "gonka.discovery")).toMatchObject({ status: "warn" });
    expect(checkOf(report, "gonka.discovery").detail).toMatch(/3 node\(s\) of an earlier list/);
  });

  it("looks at the native checks alone with zeph gonka doctor", async () => {
    await setUp();
    const { exitCode, stdout } = await stage.run("gonka doctor --json");
    expect(exitCode).toBe(0);
    const names = (JSON.parse(stdout) as { checks: { name: string }[] }).checks.map(({ name }) => name);
    for (const name of [
      "gonka.config",
      "gonka.vault.private_key",
      "gonka.vault.address",
      "gonka.signer",
      "gonka.client",
    ]) {
      expect(names).toContain(name);
    }
    expect(names).not.toContain("llm.provider");
  });

  it("says when there is nothing to probe", async () => {
    network = await startNetwork({ nodes: 1 });
    const { exitCode, stdout } = await stage.run("gonka doctor --json");
    expect(exitCode).toBe(0);
    expect(stdout).toContain("no Gonka entry: nothing to probe");
  });
});
