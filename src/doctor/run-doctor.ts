import type { Setup, SetupWorld } from "../provider/setup.ts";
import { vaultPaths } from "../vault/index.ts";
import {
  type ChatChain,
  chatChain,
  configLeftoverChecks,
  configModeCheck,
  configParseCheck,
  configWarningsCheck,
  defaultProviderCheck,
  type LoadedSetup,
} from "./base/config-checks.ts";
import { nodeVersionCheck } from "./base/node-version.ts";
import { vaultChecks } from "./base/vault-checks.ts";
import { brokerChecks } from "./broker/broker-checks.ts";
import type { Check, CheckReport } from "./check.ts";
import { clockCheck } from "./clock-check.ts";
import { dailyLimitChecks } from "./daily-limit-check.ts";
import { newFacts } from "./facts.ts";
import { gonkaConfigCheck, nativeChecks } from "./native/native-checks.ts";
import { type DoctorReport, toReport } from "./report.ts";
import { runChecks } from "./run-checks.ts";

export interface DoctorOptions {
  readonly world: SetupWorld;
  /** As `process.versions.node` tells it. */
  readonly nodeVersion: string;
  /** `native`: only what signed requests need. Default `all`. */
  readonly scope?: "all" | "native";
  /** For each check. Default 10 000. */
  readonly timeoutMs?: number;
  /** Also send one paid request of one token. Default false: nothing costs anything. */
  readonly smoke?: boolean;
  /** Warnings count as failures. Default false. */
  readonly strict?: boolean;
  readonly signal: AbortSignal;
  /** Told when a check is over: for a progress line. What it means for a chat is known at the end only. */
  readonly onReport?: (report: CheckReport) => void;
}

const DEFAULT_TIMEOUT_MS = 10_000;

/**
 * Answers one question: would a chat work now, and if not, what is wrong? Changes nothing, prints nothing, and spends
 * nothing unless `smoke` is set. Broken things are results; it throws only the caller's abort.
 *
 * @example
 * ```ts
 * const { exitCode, checks } = await runDoctor({ world, nodeVersion: process.versions.node, signal });
 * ```
 */
export async function runDoctor(options: DoctorOptions): Promise<DoctorReport> {
  const { world, timeoutMs = DEFAULT_TIMEOUT_MS, signal, onReport } = options;
  const startedAtMs = world.clock.nowMs();
  // Asked for once, although two readers open the vault.
  const shared: SetupWorld = { ...world, ...askOnce(world), readOnly: true };
  const facts = newFacts(shared);
  const loaded: LoadedSetup = {};
  const first = [nodeVersionCheck(options.nodeVersion), configParseCheck(shared, loaded)];
  const running = { facts, timeoutMs, signal, ...(onReport === undefined ? {} : { onReport }) };
  const firstReports = await runChecks(first, running);
  const chain = await chainOf(loaded.setup, options);
  const rest = await remainingChecks(options, shared, loaded, chain.names);
  const reports = await runChecks(rest, { ...running, earlier: firstReports });
  return toReport([...first, ...rest], [...firstReports, ...reports], {
    chain,
    elapsedMs: Math.max(0, world.clock.nowMs() - startedAtMs),
    isStrict: options.strict === true,
  });
}

async function remainingChecks(
  options: DoctorOptions,
  world: SetupWorld,
  loaded: LoadedSetup,
  chain: readonly string[],
): Promise<readonly Check[]> {
  const { setup } = loaded;
  const paths = setup?.vaultPaths ?? defaultVaultPaths(world);
  const vault = paths === undefined ? [] : await vaultChecks(paths, setup?.vaultBackend, world.clock);
  const isNative = options.scope === "native";
  const general = [
    configModeCheck(loaded),
    configWarningsCheck(loaded),
    ...(await configLeftoverChecks(world, loaded)),
    ...(isNative ? [] : [defaultProviderCheck(loaded)]),
    ...vault,
  ];
  if (setup === undefined) return general;
  const { providers } = setup.loaded.config;
  const native = providers.filter((config) => config.type === "gonka");
  const isSmokeWanted = (name: string) => options.smoke === true && name === chain[0];
  const signed = native.flatMap((config, index) =>
    nativeChecks(setup, config, { isFirst: index === 0, isSmokeWanted: isSmokeWanted(config.name) }),
  );
  const brokers = providers.flatMap((config) =>
    config.type === "compatible" && !isNative
      ? brokerChecks(setup, config, { isSmokeWanted: isSmokeWanted(config.name) })
      : [],
  );
  const gonka = native.length > 0 || isNative ? [gonkaConfigCheck(native)] : [];
  const clock = clockCheck({
    after: [...signed, ...brokers].filter(({ name }) => !name.endsWith(".smoke")).map(({ name }) => name),
    signedBy: native.find(({ name }) => chain.includes(name))?.name ?? native[0]?.name,
  });
  return [...general, ...dailyLimitChecks(setup), ...gonka, clock, ...signed, ...brokers];
}

/** The providers whose failure would be a chat's failure: for `native` those that sign, whatever the default is. */
async function chainOf(setup: Setup | undefined, { scope }: DoctorOptions): Promise<ChatChain> {
  const chain = await chatChain(setup);
  if (scope !== "native") return chain;
  const native = setup?.loaded.config.providers.filter((config) => config.type === "gonka") ?? [];
  const first = (native.find(({ name }) => name === chain.first) ?? native[0])?.name;
  return { first, names: first === undefined ? [] : [first] };
}

/** Where the vault would be; undefined when the flags that say so are faulty, which the config check has told. */
function defaultVaultPaths({ env, homeDir, platform, flags = {} }: SetupWorld) {
  const { vaultKey, vaultFile } = flags;
  try {
    return vaultPaths({
      env,
      homeDir,
      platform,
      flags: { ...(vaultKey === undefined ? {} : { vaultKey }), ...(vaultFile === undefined ? {} : { vaultFile }) },
    });
  } catch {
    return undefined;
  }
}

function askOnce({ askPassphrase }: SetupWorld): Pick<SetupWorld, "askPassphrase"> {
  if (askPassphrase === undefined) return {};
  let asked: ReturnType<typeof askPassphrase> | undefined;
  return {
    askPassphrase: () => {
      asked ??= askPassphrase();
      return asked;
    },
  };
}
