import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { systemClock } from "../../src/base/time.ts";
import { runCli } from "../../src/cli/program.ts";
import { type DevshardNetwork, type DevshardUser, startDevshard } from "../../src/sandbox/devshard/devshard.ts";

let network: DevshardNetwork;
let model: string;
let home: string;
let user: DevshardUser;
let stranger: DevshardUser;

beforeAll(async () => {
  network = await startDevshard();
  model = network.chain.models[0] ?? "";
  user = network.createUser();
  stranger = network.createUser({ isAllowed: false });
  home = mkdtempSync(join(tmpdir(), "zeph-devshard-cli-"));
  mkdirSync(join(home, "config", "zeph"), { recursive: true });
  const record = [
    ...["[[llm.providers]]", 'type = "gonka"', 'name = "own"', `model = "${model}"`, 'access = "devshard"'],
    ...[`gonka_source_url = "${network.sourceUrl}"`, 'devshard_amount = "6.5"'],
  ];
  writeFileSync(join(home, "config", "zeph", "config.toml"), `[llm]\n${record.join("\n")}\n`);
});
afterAll(async () => {
  await network.stop();
  rmSync(home, { recursive: true, force: true });
});

/** Runs one command line, and gives back what it printed. */
async function zeph(argv: readonly string[], { key = user, aheadMs = 0 } = {}) {
  const stdout = new PassThrough();
  const stderr = new PassThrough();
  const read = (stream: PassThrough) => String(stream.read() ?? "");
  const exitCode = await runCli(argv, {
    stdin: new PassThrough().end(),
    stdout,
    stderr,
    env: {
      GONKA_PRIVATE_KEY: key.privateKeyHex,
      XDG_CONFIG_HOME: join(home, "config"),
      XDG_STATE_HOME: join(home, "state"),
      XDG_CACHE_HOME: join(home, "cache"),
    },
    cwd: home,
    homeDir: home,
    platform: process.platform,
    clock: { ...systemClock, nowMs: () => Date.now() + aheadMs },
    random: Math.random,
    fetch,
    signal: new AbortController().signal,
  });
  const output = read(stdout);
  const shown = output + read(stderr);
  expect(shown).not.toContain(key.privateKeyHex);
  return { exitCode, output, shown, json: () => JSON.parse(output) };
}

describe("zeph devshard", () => {
  it("tells who is not on the list what works instead", async () => {
    const { exitCode, output } = await zeph(["devshard", "check"], { key: stranger });
    expect(exitCode).toBe(11);
    expect(output).toContain("not among the 1 listed accounts");
    expect(output).toContain("zeph init");
    const open = await zeph(["devshard", "open", "--yes", "--json"], { key: stranger });
    expect(open.exitCode).toBe(11);
    expect(open.json().error.code).toBe("devshard_not_allowed");
    expect(network.chain.escrows()).toEqual([]);
  });

  it("is set up by one line for a listed key, and nothing is paid", async () => {
    const own = join(home, "by-init.toml");
    const line = [
      "init",
      "--yes",
      "--path",
      "native",
      "--source-url",
      network.sourceUrl,
      "--key-env",
      "GONKA_PRIVATE_KEY",
    ];
    const made = await zeph([...line, "--model", "auto", "--name", "made", "--output", own]);
    expect(made.exitCode).toBe(0);
    expect(made.shown).toContain("devshard open");
    expect(readFileSync(own, "utf8")).toContain('access = "devshard"');
    expect(network.chain.escrows()).toEqual([]);
    const refused = await zeph([...line, "--model", "auto", "--output", join(home, "none.toml")], { key: stranger });
    expect(refused.exitCode).toBe(16);
    expect(refused.shown).toContain("is not on its list");
  });

  it("asks nobody where there is no terminal, and spends nothing then", async () => {
    const { exitCode, shown } = await zeph(["devshard", "open"]);
    expect(exitCode).toBe(2);
    expect(shown).toContain("6.5 GNK");
    expect(shown).toContain("is lost");
    expect(network.chain.escrows()).toEqual([]);
  });

  it("leads from a check to a settled escrow, once", async () => {
    expect((await zeph(["devshard", "check"])).exitCode).toBe(0);
    expect((await zeph(["ask", "hello"])).exitCode).toBe(14);
    const opened = await zeph(["devshard", "open", "--yes", "--json"]);
    expect(opened.json().data).toMatchObject({ escrowId: "1", amount: "6500000000", provenByHost: true });
    const again = await zeph(["devshard", "open", "--yes", "--json"]);
    expect(again.json().data.escrowId).toBe("1");
    expect(network.chain.escrows()).toHaveLength(1);

    const asked = await zeph(["ask", "what is an escrow"]);
    expect(asked.exitCode).toBe(0);
    expect(asked.output).toContain("what is an escrow");
    expect((await zeph(["devshard", "status"])).output).toContain(model);
    const doctor = await zeph(["doctor", "--json"]);
    const checks = doctor.json().checks as readonly { name: string; status: string }[];
    expect(checks.filter(({ name }) => name.startsWith("devshard.own.")).map(({ status }) => status)).toEqual([
      "ok",
      "ok",
    ]);

    expect((await zeph(["devshard", "audit", "1", "--json"], { key: stranger })).json().data.findings).toEqual([]);
    const late = await zeph(["models"], { aheadMs: 40 * 3_600_000 });
    expect(late.shown).toMatch(/Escrow 1 must be settled within about \d+ h/);

    const closed = await zeph(["devshard", "close", "--json"]);
    const account = closed.json().data;
    const [paid] = network.payments;
    expect(paid).toMatchObject({ why: "settled", refund: BigInt(account.refundNgonka) });
    expect(BigInt(account.paidNgonka) + BigInt(account.refundNgonka)).toBe(6_500_000_000n);
    expect((await zeph(["devshard", "close"])).exitCode).toBe(0);
    expect((await zeph(["devshard", "close", "1", "--json"])).json().data.refundNgonka).toBe(account.refundNgonka);
    expect(network.payments).toHaveLength(1);
    expect(network.violations).toEqual([]);
  });

  it.each([
    ["audit", "01"],
    ["audit", "x"],
    ["rescue", "-1"],
    ["audit", "7"],
  ])("%s %s is refused in words", async (...argv) => {
    const { exitCode, shown } = await zeph(["devshard", ...argv]);
    expect(exitCode).toBe(2);
    expect(shown).toContain("✗");
  });
});
