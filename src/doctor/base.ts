import { stat } from "node:fs/promises";
import { UnusableFile } from "../base/files.ts";
import { changeLeftovers, tidyChange } from "../base/lock.ts";
import { once } from "../base/time.ts";
import { configPaths, trustedFilesPath, zephFolders } from "../config/files.ts";
import { describeOrigin } from "../config/layer.ts";
import { chooseProvider } from "../config/providers.ts";
import { keyOriginsPath } from "../config/trust.ts";
import { CATALOGUE, ZephError } from "../errors.ts";
import { dailyLimitError, spentOnDayUsd } from "../journal/budget.ts";
import { parseSpending, readSpending } from "../journal/ledger.ts";
import type { Setup, SetupWorld } from "../provider/setup.ts";
import { checkVault, type VaultFinding } from "../vault/check.ts";
import { existingVaultFiles, tidyVault, type VaultPaths, vaultLeftovers } from "../vault/files.ts";
import { compareVersions, DEFAULT_CHAIN_PARAMS, parseVersion } from "../wire/documents.ts";
import {
  type Check,
  type CheckResult,
  chmodFix,
  failed,
  passed,
  type ServerTime,
  shellQuote,
  skipped,
  warned,
} from "./check.ts";

const HINTS: Readonly<Record<string, string>> = {
  untrusted_file: "Look at the file. If it is yours, run `zeph config trust`; otherwise nothing is to be done.",
  inline_key: "Move the key into the vault: `zeph vault import`.",
  legacy_form: "Delete the form that is out of date, or run `zeph config migrate --in-place` where it stands alone.",
};

/** What there is to say about a configuration that was read; without one the checks are skipped. */
export async function configChecks(world: SetupWorld, setup: Setup | undefined): Promise<readonly Check[]> {
  const { warnings = [], files } = setup?.loaded ?? {};
  const dependsOn = ["config.parse"];
  return [
    {
      // A config with keys in it must be as private as the vault.
      name: "config.file_mode",
      dependsOn,
      async run() {
        if (world.platform === "win32") return passed("modes are not checked on Windows");
        if (!warnings.some(({ kind }) => kind === "inline_key")) return passed("no key in it");
        for (const { path } of files?.found ?? []) {
          const { mode } = await stat(path);
          if ((mode & 0o077) === 0) continue;
          return {
            status: "fail",
            code: "vault_permissions",
            detail: `${path} holds a key and has mode ${(mode & 0o777).toString(8)}: other users of this computer can read it`,
            hint: `Run: chmod 600 ${shellQuote(path)}`,
            fix: chmodFix(path, 0o600),
          };
        }
        return passed("only you can read it");
      },
    },
    {
      // What is odd about it without keeping it from being used.
      name: "config.warnings",
      dependsOn,
      async run() {
        if (warnings.length === 0) return passed("nothing odd");
        const words = warnings.map(({ message, origin }) => `${message} (${describeOrigin(origin)})`);
        const hint = HINTS[warnings[0]?.kind ?? ""] ?? "See `zeph config show --origin`.";
        return warned(words.join("; "), { hint, data: { warnings: words } });
      },
    },
    ...(await leftoverChecks(world, files?.writePath)),
  ];
}

/** What killed processes left beside the config; shown only where there is something: nothing hinders, and it can go. */
async function leftoverChecks(world: SetupWorld, configPath: string | undefined): Promise<readonly Check[]> {
  const files = [configPath ?? configPaths(world, world.flags).user[0], keyOriginsPath(world), trustedFilesPath(world)];
  const found = await Promise.all(
    // What cannot even be looked at is told of when it is read.
    files.map(async (path) => ({ path, left: await changeLeftovers(path, world.clock.nowMs()).catch(() => []) })),
  );
  const left = found.flatMap((each) => each.left);
  if (left.length === 0) return [];
  const many =
    left.length === 1 ? "was left by a change that was cut short" : "were left by changes that were cut short";
  const fix = {
    question: `take away ${left.join(", ")}`,
    async apply() {
      for (const each of found) if (each.left.length > 0) await tidyChange(each.path);
      return "The config folder is tidy now.";
    },
  };
  const extras = { hint: "Run: zeph doctor --fix", data: { files: left }, fix };
  return [{ name: "config.leftovers", run: async () => warned(`${left.join(", ")} ${many}`, extras) }];
}

/** Which provider a chat would use. */
export function defaultProviderCheck(setup: Setup | undefined): Check {
  return {
    name: "llm.provider",
    dependsOn: ["config.parse"],
    async run() {
      if (setup === undefined) throw new ZephError("config_not_found");
      const { config } = setup.loaded;
      const chosen = chooseProvider(config);
      const others = config.providers.length - 1;
      const isNamed = config.selectedProvider !== undefined;
      const fallback = isNamed ? [] : config.fallback.filter((name) => name !== chosen.name);
      const then = fallback.length === 0 ? "" : `; then ${fallback.join(", ")}`;
      const more = others === 0 ? "" : `; ${others} more configured`;
      const data = { provider: chosen.name, type: chosen.type, fallback };
      return passed(`${chosen.name} (${chosen.type})${then}${more}`, { data });
    },
  };
}

/** The providers a chat would try. */
export interface ChatChain {
  /** It must be there, whoever is asked first; `undefined` when no chat could begin. */
  readonly first: string | undefined;
  /** In the order in which they would be asked. */
  readonly names: readonly string[];
}

/** As `fallbackProvider` goes: who names a provider wants that one, and what is for another program is passed over. */
export function chatChain(setup: Setup | undefined): ChatChain {
  const first = setup === undefined ? undefined : defaultName(setup);
  if (setup === undefined || first === undefined) return { first: undefined, names: [] };
  const { config } = setup.loaded;
  const isRunnable = (name: string) => config.providers.some((each) => each.name === name && each.type !== "other");
  const others = config.selectedProvider === undefined ? config.fallback.filter(isRunnable) : [];
  return { first, names: [...new Set([first, ...others])] };
}

function defaultName({ loaded }: Setup): string | undefined {
  try {
    return chooseProvider(loaded.config).name;
  } catch (error) {
    if (ZephError.is(error)) return undefined;
    throw error;
  }
}

/** Is the vault there, does it open, and can nobody else read it? */
export async function vaultChecks(
  paths: VaultPaths,
  backend: Setup["vaultBackend"] | undefined,
  { platform, askPassphrase, clock }: SetupWorld,
): Promise<readonly Check[]> {
  let existing: readonly string[];
  try {
    existing = await existingVaultFiles(paths);
  } catch (error) {
    return [{ name: "vault.file_exists", isIndirect: true, run: async () => failed(error) }];
  }
  const presence: Check = {
    name: "vault.file_exists",
    isIndirect: true,
    async run() {
      if (existing.length === 2) return passed(paths.vaultFile, { data: { ...paths } });
      if (backend?.backend === "env" && backend.origin !== "default" && existing.length === 0)
        return passed(`not needed: secrets come from environment variables (${backend.origin})`);
      if (existing.length === 0 && backend?.backend !== "age")
        return warned("no vault; secrets are read from environment variables", { hint: "Run `zeph vault init`." });
      const missing = [paths.keyFile, paths.vaultFile].filter((path) => !existing.includes(path));
      const hint =
        existing.length === 0
          ? "Run `zeph vault init`."
          : "See what is kept with `zeph vault restore`; to begin anew: `zeph vault init --force`.";
      return { status: "fail", code: "vault_not_found", detail: `missing: ${missing.join(", ")}`, hint };
    },
  };
  const look = once(() => checkVault({ paths, platform, clock, passphrase: askPassphrase }));
  const findings = async (...ids: readonly VaultFinding["id"][]) =>
    (await look()).findings.filter(({ id }) => ids.includes(id));
  // What killed processes left: nothing that hinders, and it can go at once.
  const leftovers: Check = {
    name: "vault.leftovers",
    isUntimed: true,
    async run() {
      const found = await findings("vault.leftover");
      if (found.length === 0) return passed("nothing was cut short");
      const left = found.length === 1 ? "what a change left that was cut short" : `${found.length} leftovers`;
      const fix = {
        question: `take away ${left} beside ${paths.vaultFile}`,
        async apply() {
          await tidyVault(paths, clock);
          return `${paths.vaultFile} is tidy now.`;
        },
      };
      return { ...allOf(found), fix };
    },
  };
  if (existing.length === 0) {
    // A first `zeph vault init` may have been cut short.
    const left = await vaultLeftovers(paths, clock.nowMs()).catch(() => []);
    return left.length === 0 ? [presence] : [presence, leftovers];
  }
  const modeOf = (name: "vault.file_mode" | "vault.key_mode", path: string): Check => ({
    name,
    isUntimed: true,
    async run() {
      if (platform === "win32") return warned("modes are not checked on Windows");
      const [finding] = await findings(name);
      if (finding === undefined) return passed("only you can read it");
      const { message: detail, mend } = finding;
      return { status: "fail", code: "vault_permissions", detail, hint: commandOf(mend), fix: chmodFix(path, 0o600) };
    },
  });
  const opens: Check = {
    name: "vault.open",
    dependsOn: ["vault.file_exists"],
    isIndirect: true,
    isUntimed: true,
    async run() {
      const [fault] = await findings("vault.open");
      if (fault !== undefined) {
        // Findings carry the words of the error only.
        const codes = ["vault_locked", "vault_wrong_passphrase"] as const;
        const code = codes.find((each) => fault.message.startsWith(CATALOGUE[each].summary)) ?? "vault_unreadable";
        return { status: "fail", code, detail: fault.message, hint: commandOf(fault.mend) };
      }
      const { passphraseProtected, entryCount: entries = 0 } = await look();
      const passphrase = passphraseProtected === true ? ", with a passphrase" : "";
      return passed(`opens${passphrase}: ${entries} secret(s)`, { data: { entries } });
    },
  };
  // A malformed entry that a chat needs fails in that provider's own check.
  const entries: Check = {
    name: "vault.entries",
    dependsOn: ["vault.open"],
    isUntimed: true,
    async run() {
      const found = await findings("vault.folder_mode", "vault.format", "vault.key_backup", "vault.entry");
      return found.length === 0 ? passed("well-formed") : allOf(found);
    },
  };
  const modes = [modeOf("vault.file_mode", paths.vaultFile), modeOf("vault.key_mode", paths.keyFile)];
  return [presence, ...modes, leftovers, opens, entries];
}

function allOf(findings: readonly VaultFinding[]): CheckResult {
  const words = findings.map(({ message }) => message);
  return warned(words.join("; "), { hint: commandOf(findings[0]?.mend ?? ""), data: { findings: words } });
}

function commandOf(mend: string): string {
  return /^(?:chmod|rm|zeph) /.test(mend) ? `Run: ${mend}` : mend;
}

/** The oldest Node zeph runs on; `engines` in package.json says the same. */
const OLDEST = { major: 20, minor: 19, patch: 0 };

/** @param nodeVersion as `process.versions.node` tells it */
export function nodeVersionCheck(nodeVersion: string): Check {
  return {
    name: "node.version",
    async run() {
      const version = parseVersion(nodeVersion);
      if (version !== undefined && compareVersions(version, OLDEST) < 0) {
        return {
          status: "fail",
          detail: `Node ${nodeVersion} is older than zeph needs`,
          hint: `Install Node ${OLDEST.major}.${OLDEST.minor} or later from https://nodejs.org.`,
          code: "internal",
        };
      }
      return passed(`Node ${nodeVersion}`);
    },
  };
}

/** Below this a clock counts as right: `Date` has whole seconds, and an answer takes its time. */
const SANE_MS = 10_000;

interface ClockCheckOptions {
  /** Checks that hear servers tell their time. */
  readonly after: readonly string[];
  /** The provider that signs with this clock. Without one a wrong clock keeps no chat from working. */
  readonly signedBy: string | undefined;
}

/**
 * How far this computer's clock is from the servers' (B13). Signed requests more than 60 s late or 30 s early are
 * refused; zeph takes the node's time then and signs once more, so a chat works, at the price of an attempt. Other
 * programs with this clock do not.
 */
export function clockCheck({ after, signedBy }: ClockCheckOptions): Check {
  return {
    name: "clock.skew",
    after,
    provider: signedBy,
    async run({ times }) {
      const skewMs = median(times);
      return skewMs === undefined ? skipped("no server told its time") : judgeSkew(skewMs, signedBy !== undefined);
    },
  };
}

function judgeSkew(skewMs: number, isSigning: boolean): CheckResult {
  const seconds = Math.round(Math.abs(skewMs) / 1000);
  const detail = `this computer's clock is ${seconds} s ${skewMs > 0 ? "behind" : "ahead"}`;
  const { timestampAdvanceSeconds, timestampExpirationSeconds } = DEFAULT_CHAIN_PARAMS;
  const isBeyond = skewMs < -timestampAdvanceSeconds * 1000 || skewMs > timestampExpirationSeconds * 1000;
  const cost = isBeyond && isSigning ? "; nodes refuse the first attempt of a chat, which then takes their time" : "";
  const extras = { code: "clock_skew", hint: SET_CLOCK, data: { skew_ms: Math.round(-skewMs) } } as const;
  if (Math.abs(skewMs) <= SANE_MS) {
    return passed("within 10 s of the servers' clocks", { data: { skew_ms: Math.round(-skewMs) } });
  }
  return warned(`${detail}${cost}`, extras);
}

const SET_CLOCK =
  "Switch time synchronisation on (Linux: timedatectl set-ntp true; macOS and Windows: the date and time settings).";

/** One server with a wrong clock must not put the blame on this computer. */
function median(times: readonly ServerTime[]): number | undefined {
  const sorted = times.map(({ skewMs }) => skewMs).sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)];
}

/** Is there anything left of the day's limit? Nothing is checked where no limit is set. */
export function dailyLimitChecks({ world, loaded }: Setup): readonly Check[] {
  const { enabled, maxDailyCents } = loaded.config.cost;
  if (!enabled || maxDailyCents === 0) return [];
  return [
    {
      name: "cost.daily_limit",
      async run() {
        const ledger = await readSpending(zephFolders(world).state).catch((error: unknown) => error);
        if (ledger instanceof UnusableFile) {
          const detail = `${ledger.message}: what is spent is not counted, and nothing keeps to max_daily_cents`;
          return warned(detail, { hint: "Move it away; the next answer begins a new one." });
        }
        const spentUsd = spentOnDayUsd(
          parseSpending(typeof ledger === "string" ? ledger : undefined),
          world.clock.nowMs(),
        );
        const data = { spent_cents: spentUsd * 100, max_daily_cents: maxDailyCents };
        const reached = dailyLimitError(spentUsd, maxDailyCents);
        if (reached !== undefined) return failed(reached, { data });
        return passed(`${(spentUsd * 100).toFixed(1)} of ${maxDailyCents} cents are spent today`, { data });
      },
    },
  ];
}
