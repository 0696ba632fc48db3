import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { spawn as spawnOnTerminal } from "@lydell/node-pty";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { systemClock } from "../../src/base/time.ts";
import { startNetwork } from "../../src/sandbox/classic/network.ts";
import { accountKey, addressOfPublicKey } from "../../src/sandbox/crypto.ts";
import { inferencedEnvironment, type StandInOptions } from "../support/inferenced/inferenced-stand-in.ts";
import { chatBody, echoEngine, phase3Input, signedCall } from "./sandbox-network-client.ts";

const WARNING =
  "WARNING: The private key will be exported as an unarmored hexadecimal string. USE AT YOUR OWN RISK. Continue? [y/N]: ";
let home: string;
const children: ChildProcess[] = [];

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), "zeph-inferenced-"));
});
afterEach(async () => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
  await rm(home, { recursive: true, force: true });
});

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function start(words: string, options: StandInOptions = {}): { child: ChildProcess; ended: Promise<Ended> } {
  const env = inferencedEnvironment(home, options);
  const child = spawn("inferenced", words.split(" "), { env, shell: process.platform === "win32" });
  children.push(child);
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (piece) => {
    stdout += piece;
  });
  child.stderr.on("data", (piece) => {
    stderr += piece;
  });
  const ended = new Promise<Ended>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, stdout, stderr }));
  });
  return { child, ended };
}

function run(words: string, options: StandInOptions = {}, input = ""): Promise<Ended> {
  const { child, ended } = start(words, options);
  child.stdin!.end(input);
  return ended;
}

describe("the inferenced stand-in", () => {
  it("prints whatever version it is told, short and long", async () => {
    expect(await run("version")).toEqual({ code: 0, stdout: "v0.2.13\n", stderr: "" });
    expect((await run("version", { version: "release/v0.2.12-post3" })).stdout).toBe("release/v0.2.12-post3\n");
    const long = JSON.parse((await run("version --long --output json", { version: "7f2c9aa" })).stdout);
    expect(long).toMatchObject({ server_name: "inferenced", version: "7f2c9aa" });
  });

  it("adds a key as the real one prints it, lists it in both forms, shows it, keeps it 0600", async () => {
    const added = await run("keys add zeph");
    expect(added.stdout).toMatch(
      /^\n- address: gonka1[0-9a-z]{38}\n {2}name: zeph\n {2}pubkey: '\{"@type":"\/cosmos\.crypto\.secp256k1\.PubKey","key":"[^"]{44}"\}'\n {2}type: local\n\n$/,
    );
    expect(added.stderr).toMatch(
      /^\n\*\*Important\*\* write this mnemonic phrase in a safe place\.\n.*\n\n(\w+ ){23}\w+\n$/,
    );
    const [record] = JSON.parse((await run("keys list --output json")).stdout);
    expect(Object.keys(record)).toEqual(["name", "type", "address", "pubkey"]);
    expect((await run("keys list")).stdout).toContain(`- address: ${record.address}\n  name: zeph\n`);
    expect((await run("keys list -n")).stdout).toBe("zeph\n");
    expect((await run("keys show zeph -a")).stdout).toBe(`${record.address}\n`);
    expect((await run("keys show zeph --pubkey")).stdout).toBe(`${record.pubkey}\n`);
    const file = join(home, ".inference", "keyring-test.json");
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect(JSON.parse(await readFile(file, "utf8"))).toHaveLength(1);
  });

  it("says what is missing", async () => {
    expect((await run("keys list")).stdout).toBe("No records were found in keyring\n");
    expect((await run("keys list --output json")).stdout).toBe("[]\n");
    const unknown = await run("keys show nobody -a");
    expect(unknown).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("nobody is not a valid name or address"),
    });
    expect((await run("keys export zeph --unsafe")).stderr).toContain("must be used together");
    expect(await run("dance")).toMatchObject({ code: 1, stderr: 'Error: unknown command "dance" for "inferenced"\n' });
  });

  it("asks before it exports; -y skips the question, no leaves without the key", async () => {
    await run("keys add zeph");
    const exportIt = "keys export zeph --unarmored-hex --unsafe";
    const yes = await run(exportIt, {}, "y\n");
    expect(yes).toMatchObject({ code: 0, stdout: expect.stringMatching(/^[0-9a-f]{64}\n$/), stderr: WARNING });
    expect(await run(`${exportIt} -y`)).toEqual({ code: 0, stdout: yes.stdout, stderr: "" });
    expect(await run(exportIt, {}, "n\n")).toEqual({ code: 0, stdout: "", stderr: WARNING });
    expect(await run(exportIt)).toMatchObject({ code: 1, stdout: "", stderr: `${WARNING}Error: EOF\n` });
    expect((await run(`${exportIt} -y`, { keyStream: "stderr" })).stderr).toBe(yes.stdout);
    expect(await run(`${exportIt} -y`, { exportYes: "no" })).toMatchObject({ code: 1, stdout: "" });
    const { address } = JSON.parse((await run("keys list --output json")).stdout)[0];
    expect(addressOfPublicKey(accountKey(yes.stdout.trim()).publicKey, "gonka")).toBe(address);
  });

  it("waits for the answer", async () => {
    await run("keys add zeph");
    const { child, ended } = start("keys export zeph --unarmored-hex --unsafe");
    const asked = new Promise<string>((resolve) => child.stderr!.once("data", (piece) => resolve(String(piece))));
    expect(await asked).toBe(WARNING);
    child.stdin!.write("y\n");
    expect((await ended).stdout).toMatch(/^[0-9a-f]{64}\n$/);
  });

  it("knows --indiscreet only where the SDK does, and hides the key on a screen without it", async () => {
    await run("keys add zeph");
    const exportIt = "keys export zeph --unarmored-hex --unsafe -y";
    expect((await run(`${exportIt} --indiscreet`)).stderr).toMatch(
      /^Usage:\n[\s\S]*Error: unknown flag: --indiscreet\n$/,
    );
    const open = await run(`${exportIt} --indiscreet`, { secrets: "discreet" });
    expect(open.stdout).toMatch(/^[0-9a-f]{64}\n$/);
    const hidden = await run(exportIt, { secrets: "discreet" }, "\n");
    expect(hidden.stdout).toBe("Export private key successfully\n");
    expect(hidden.stderr).toContain("\u001b[?1049h");
    expect(hidden.stderr).toContain(open.stdout.trim());
  });

  it("keeps backends and folders apart", async () => {
    const folder = join(home, "elsewhere");
    await run(`keys add one --home ${folder}`);
    await run(`keys add two --home ${folder} --keyring-backend file`);
    await run(`keys add three --keyring-dir=${join(home, "ring")} --home ${folder}`);
    expect((await readdir(folder)).toSorted()).toEqual(["keyring-file.json", "keyring-test.json"]);
    expect((await run(`keys list -n --home ${folder}`)).stdout).toBe("one\n");
    expect((await run(`keys list -n --home ${folder} --keyring-backend file`)).stdout).toBe("two\n");
    expect((await run(`keys list -n --keyring-dir ${join(home, "ring")}`)).stdout).toBe("three\n");
    expect((await run("keys list --keyring-backend vault")).stderr).toContain("unknown keyring backend vault");
  });

  it("reads a passphrase from a pipe in silence, and gives up after three", async () => {
    const locked = { passphrase: "open sesame" };
    const file = "--keyring-backend file";
    await run(`keys add zeph ${file}`, locked, "open sesame\nopen sesame\n");
    const exported = await run(`keys export zeph --unarmored-hex --unsafe ${file}`, locked, "y\nopen sesame\n");
    expect(exported).toMatchObject({ code: 0, stdout: expect.stringMatching(/^[0-9a-f]{64}\n$/), stderr: WARNING });
    const wrong = await run(`keys list ${file}`, locked, "a\nb\nc\n");
    expect(wrong).toMatchObject({ code: 0, stdout: "No records were found in keyring\n" });
    expect(wrong.stderr).toContain("too many failed passphrase attempts");
  });

  it("asks for the passphrase on a terminal and does not echo it", async () => {
    const locked = { passphrase: "open sesame" };
    await run("keys add zeph --keyring-backend file", locked, "open sesame\nopen sesame\n");
    const terminal = spawnOnTerminal("inferenced", ["keys", "list", "-n", "--keyring-backend", "file"], {
      env: inferencedEnvironment(home, locked),
    });
    let seen = "";
    const exited = new Promise<number>((resolve) => terminal.onExit(({ exitCode }) => resolve(exitCode)));
    terminal.onData((piece) => {
      const wasAsked = seen.includes("attempt 1/3):");
      seen += piece;
      if (!wasAsked && seen.includes("attempt 1/3):")) terminal.write("open sesame\r");
    });
    expect(await exited).toBe(0);
    expect(seen).toContain("Enter keyring passphrase (attempt 1/3):");
    expect(seen).toContain("zeph");
    expect(seen).not.toContain("sesame");
  });

  it("hangs where it is told to", async () => {
    const { child, ended } = start("keys list --output json", { hang: ["keys list"] });
    const first = await Promise.race([ended.then(() => "ended"), systemClock.sleep(400).then(() => "hangs")]);
    expect(first).toBe("hangs");
    child.kill("SIGKILL");
    expect((await ended).stdout).toBe("");
    expect((await run("version", { hang: ["keys list"] })).code).toBe(0);
  });

  it("derives the mnemonic vectors with gonka's coin type", async () => {
    const vectors = JSON.parse(await readFile(new URL("../../vectors/signing.json", import.meta.url), "utf8"));
    const gonka = vectors.mnemonic.filter((one: { path: string }) => one.path === "m/44'/1200'/0'/0/0");
    expect(gonka.length).toBeGreaterThan(0);
    for (const { mnemonic, address } of gonka) {
      const added = await run("keys add words --recover --output json", {}, `${mnemonic}\ny\n`);
      expect(JSON.parse(added.stdout).address).toBe(address);
    }
  });

  it("signs by hand so that the sandbox network accepts it, and verifies", async () => {
    await run("keys add zeph");
    const [{ address }] = JSON.parse((await run("keys list --output json")).stdout);
    const key = (await run("keys export zeph --unarmored-hex --unsafe -y")).stdout.trim();
    const network = await startNetwork({ engine: echoEngine, nodes: 1 });
    const account = network.createAccount({ privateKeyHex: key });
    expect(account.address).toBe(address);
    const node = network.nodes[0]!;
    const timestampNanos = BigInt(Date.now()) * 1_000_000n;
    const text = phase3Input(chatBody(), 0n, "").slice(0, 64);
    const by = `--account-address ${address} --timestamp ${timestampNanos} --endpoint-account ${node.address}`;
    const { stdout } = await run(`signature create ${text} ${by}`);
    const [, Authorization = ""] = /^Address: \S+\nSignature: (\S{88})\n$/.exec(stdout) ?? [];
    expect((await run(`signature verify ${text} ${by} --signature ${Authorization}`)).stdout).toBe(
      "Signature verified\n",
    );
    expect((await run(`signature verify x${text} ${by} --signature ${Authorization}`)).code).toBe(1);
    const response = await signedCall({ account, node, timestampNanos, body: chatBody(), headers: { Authorization } });
    expect(response.status).toBe(200);
    await response.text();
    await network.stop();
  });

  it("publishes a key when told everything it needs", async () => {
    await run("keys add zeph");
    const where = "--node http://127.0.0.1:1/chain-rpc/ --chain-id gonka-mainnet --gas-prices 10ngonka";
    expect((await run(`publish-pubkey --from zeph ${where} --yes`)).stdout).toMatch(
      /^code: 0\n[\s\S]*txhash: [0-9A-F]{64}\n$/,
    );
    expect((await run("publish-pubkey --from zeph --yes")).stderr).toContain('required flag(s) "node" not set');
  });
});
