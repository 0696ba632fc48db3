import { EXIT, ZephError } from "../../errors.ts";
import type { SandboxNetwork } from "../../sandbox/classic/network.ts";
import type { DevshardNetwork } from "../../sandbox/devshard/devshard.ts";
import type { DevshardRequest } from "../../sandbox/devshard/host-request.ts";
import { type Fault, parseFault } from "../../sandbox/faults.ts";
import type { RequestRecord } from "../../sandbox/keys.ts";
import { type SandboxBroker, startSandbox } from "../../sandbox/sandbox.ts";
import { aborted } from "../../sandbox/server.ts";
import type { Run } from "../command-table.ts";
import { writeResult } from "../terminal.ts";

const DEFAULT_TOKENS_PER_SECOND = 40;

/**
 * `zeph sandbox`: a fake broker on this computer until Ctrl-C. What a program needs to use it goes to standard output,
 * one line per request to standard error. Its keys are worth nothing and die with it, which is why they are shown.
 */
export const runSandbox: Run<"sandbox"> = async (context, flags) => {
  const faults = (flags.fault ?? []).map(parseFault);
  const sandbox = await startSandbox({
    port: wholeNumber("--port", flags.port, 0, 65_535),
    tokensPerSecond: wholeNumber("--pace", flags.pace, DEFAULT_TOKENS_PER_SECOND, 100_000),
    clock: context.clock,
    broker: { onRequest: (record) => context.stderr.write(`${logLine(record)}\n`) },
    ...(flags.network === true ? { network: true } : {}),
    ...(flags.devshard === true
      ? { devshard: { onRequest: (request) => context.stderr.write(`${devshardLogLine(request)}\n`) } }
      : {}),
  });
  for (const fault of faults) sandbox.broker.faults.always(fault);
  const { baseURL, keys } = sandbox.broker;
  const initCommand = initCommandFor(sandbox.broker);
  const models = sandbox.broker.models.map(({ id, kind }) => ({ id, kind }));
  const network = sandbox.network === undefined ? undefined : introduceNetwork(sandbox.network, sandbox.broker);
  const devshard = sandbox.devshard === undefined ? undefined : introduceDevshard(sandbox.devshard);
  const broker = { baseURL, keys, models, faults: faults.map(({ kind }) => kind) };
  const data = {
    broker,
    initCommand,
    ...(network === undefined ? {} : { network: network.data }),
    ...(devshard === undefined ? {} : { devshard: devshard.data }),
  };
  writeResult(context, {
    data,
    answer: introduction(sandbox.broker, initCommand, faults) + (network?.text ?? "") + (devshard?.text ?? ""),
    notice: "Waiting for requests; Ctrl-C stops the sandbox.\n",
  });
  await aborted(context.signal);
  await sandbox.stop();
  if (!context.json) context.stderr.write("The sandbox is stopped.\n");
  return EXIT.ok;
};

function wholeNumber(flag: string, text: string | undefined, standard: number, maximum: number): number {
  if (text === undefined) return standard;
  if (/^\d{1,6}$/.test(text) && Number(text) <= maximum) return Number(text);
  throw new ZephError("usage", { detail: `${flag} ${text} is not a whole number from 0 to ${maximum}` });
}

/** The line that sets zeph up with this sandbox. The key travels through a pipe, as a real one should. */
function initCommandFor({ baseURL, keys, models }: SandboxBroker): string {
  const model = models.find(({ kind }) => kind === "chat")?.id;
  const choice = model === undefined ? "" : ` --model ${model}`;
  return `printf %s ${keys.good} | zeph init --yes --path gateway --broker custom --base-url ${baseURL} --key-stdin${choice}`;
}

const MEANINGS: Readonly<Record<keyof SandboxBroker["keys"], string>> = {
  good: "works",
  wrong: "401, nobody knows it",
  disabled: "403, account deactivated",
  unverified: "403, e-mail not verified",
  outOfMoney: "429 insufficient_quota for chats",
  rateLimited: "429 with Retry-After, always",
  management: "401, a management key",
};

function introduction(broker: SandboxBroker, initCommand: string, faults: readonly Fault[]): string {
  const keys = Object.entries(MEANINGS).map(([kind, meaning]) => {
    const key = broker.keys[kind as keyof typeof MEANINGS];
    return `  ${kind.padEnd(12)} ${key.padEnd(45)} ${meaning}`;
  });
  return [
    `Sandbox broker  ${broker.baseURL}`,
    "",
    "Keys (worth nothing; new ones at each start)",
    ...keys,
    "",
    `Models  ${broker.models.map((model) => model.id).join(", ")}`,
    ...(faults.length === 0 ? [] : [`Faults  ${faults.map((fault) => fault.kind).join(", ")}`]),
    "",
    "Set zeph up with it",
    `  ${initCommand}`,
    "",
    "",
  ].join("\n");
}

/** The network's part: its nodes, an account with money, and the line that sets zeph up with both. */
function introduceNetwork(network: SandboxNetwork, { models }: SandboxBroker) {
  const { privateKeyHex, address } = network.createAccount();
  const model = models.find(({ kind }) => kind === "chat")?.id;
  const choice = model === undefined ? "" : ` --model ${model}`;
  const initCommand = `printf %s ${privateKeyHex} | zeph init --yes --path native --source-url ${network.sourceUrl} --key-stdin${choice}`;
  const nodes = network.nodes.map(({ baseURL, address: nodeAddress }) => ({ baseURL, address: nodeAddress }));
  const text = [
    "Sandbox network",
    ...nodes.map((node) => `  ${node.baseURL.padEnd(28)} ${node.address}`),
    "",
    "Account with a published key and money (worth nothing outside)",
    `  address      ${address}`,
    `  private key  ${privateKeyHex}`,
    "",
    "Set zeph up with it",
    `  ${initCommand}`,
    "",
    "",
  ].join("\n");
  return { text, data: { sourceUrl: network.sourceUrl, nodes, account: { address, privateKeyHex }, initCommand } };
}

/** The devshard's part: its chain and hosts, and an account that may open escrows there. */
function introduceDevshard(devshard: DevshardNetwork) {
  const { sourceUrl, hosts, chain } = devshard;
  const account = devshard.createUser();
  // Set-up by flags knows no escrows; a config says it in six lines.
  const configToml = [
    "[[llm.providers]]",
    'type = "gonka"',
    'name = "devshard"',
    `model = "${chain.models[0] ?? ""}"`,
    'access = "devshard"',
    `gonka_source_url = "${sourceUrl}"`,
    "",
  ].join("\n");
  const shown = hosts.map(({ url, address }) => ({ url, address }));
  const text = [
    `Sandbox devshard  ${sourceUrl}`,
    ...shown.map(({ url, address }) => `  ${url.padEnd(28)} ${address}`),
    "",
    "Account that may open escrows, with money (worth nothing outside)",
    `  address      ${account.address}`,
    `  private key  ${account.privateKeyHex}`,
    "",
    "Try it: save this as devshard.toml",
    ...configToml
      .trimEnd()
      .split("\n")
      .map((line) => `  ${line}`),
    "and type",
    `  export ZEPH_GONKA_PRIVATE_KEY=${account.privateKeyHex}`,
    "  zeph --config devshard.toml --vault env devshard check",
    "",
    "",
  ].join("\n");
  return { text, data: { sourceUrl, hosts: shown, account, configToml } };
}

function devshardLogLine({ to, method, path, status, elapsedMs = 0 }: DevshardRequest): string {
  return `${to} ${method} ${path} ${status ?? "no answer"} ${Math.round(elapsedMs)} ms`;
}

function logLine(record: RequestRecord): string {
  const { method, path, status, elapsedMs = 0, key, fault } = record;
  const played = fault === undefined ? "" : `, fault: ${fault}`;
  return `${method} ${path} ${status ?? "no answer"} ${Math.round(elapsedMs)} ms (key: ${key}${played})`;
}
