import { CATALOGUE } from "../../errors/catalogue.ts";
import type { Clock } from "../../internal/clock.ts";
import type { Setup } from "../../provider/setup.ts";
import {
  checkVault,
  existingVaultFiles,
  tidyVault,
  type VaultFinding,
  type VaultPaths,
  type VaultReport,
} from "../../vault/index.ts";
import { vaultLeftovers } from "../../vault/vault-files.ts";
import type { Check, CheckResult } from "../check.ts";
import { chmodFix } from "../chmod-fix.ts";
import type { DoctorFacts } from "../facts.ts";
import { failed, passed, warned } from "../results.ts";

export interface VaultChecksOptions {
  readonly paths: VaultPaths;
  /** Undefined when the configuration cannot be read. */
  readonly backend: Setup["vaultBackend"] | undefined;
  /** Names of files that are there, from `existingVaultFiles`. */
  readonly existing: readonly string[];
}

/** Is the vault there, does it open, and can nobody else read it? */
export async function vaultChecks(
  paths: VaultPaths,
  backend: Setup["vaultBackend"] | undefined,
  clock: Pick<Clock, "nowMs">,
): Promise<readonly Check[]> {
  let existing: readonly string[];
  try {
    existing = await existingVaultFiles(paths);
  } catch (error) {
    return [{ name: "vault.file_exists", isIndirect: true, run: async () => failed(error) }];
  }
  const presence = fileExistsCheck({ paths, backend, existing });
  let report: Promise<VaultReport> | undefined;
  const look = ({ world }: DoctorFacts) => {
    const { platform, askPassphrase } = world;
    report ??= checkVault({
      paths,
      platform,
      clock: world.clock,
      ...(askPassphrase === undefined ? {} : { passphrase: askPassphrase }),
    });
    return report;
  };
  if (existing.length === 0) {
    // A first `zeph vault init` may have been cut short.
    const left = await vaultLeftovers(paths, clock.nowMs()).catch(() => []);
    return left.length === 0 ? [presence] : [presence, leftoversCheck(paths, look)];
  }
  return [
    presence,
    modeCheck("vault.file_mode", paths.vaultFile, look),
    modeCheck("vault.key_mode", paths.keyFile, look),
    leftoversCheck(paths, look),
    openCheck(look),
    entriesCheck(look),
  ];
}

function fileExistsCheck({ paths, backend, existing }: VaultChecksOptions): Check {
  return {
    name: "vault.file_exists",
    isIndirect: true,
    async run() {
      if (existing.length === 2) return passed(paths.vaultFile, { data: { ...paths } });
      if (backend?.backend === "env" && backend.origin !== "default" && existing.length === 0) {
        return passed(`not needed: secrets come from environment variables (${backend.origin})`);
      }
      if (existing.length === 0 && backend?.backend !== "age") {
        return warned("no vault; secrets are read from environment variables", { hint: "Run `zeph vault init`." });
      }
      const missing = [paths.keyFile, paths.vaultFile].filter((path) => !existing.includes(path));
      return {
        status: "fail",
        code: "vault_not_found",
        detail: `missing: ${missing.join(", ")}`,
        hint:
          existing.length === 0
            ? "Run `zeph vault init`."
            : "See what is kept with `zeph vault restore`; to begin anew: `zeph vault init --force`.",
      };
    },
  };
}

type Look = (facts: DoctorFacts) => Promise<VaultReport>;

function modeCheck(name: "vault.file_mode" | "vault.key_mode", path: string, look: Look): Check {
  return {
    name,
    isUntimed: true,
    async run(facts) {
      if (facts.world.platform === "win32") return warned("modes are not checked on Windows");
      const finding = (await look(facts)).findings.find(({ id }) => id === name);
      if (finding === undefined) return passed("only you can read it");
      return { ...fromFinding(finding, "vault_permissions"), fix: chmodFix(path, 0o600) };
    },
  };
}

/** What killed processes left: nothing that hinders, and it can go at once. */
function leftoversCheck(paths: VaultPaths, look: Look): Check {
  return {
    name: "vault.leftovers",
    isUntimed: true,
    async run(facts) {
      const findings = (await look(facts)).findings.filter(({ id }) => id === "vault.leftover");
      const [first] = findings;
      if (first === undefined) return passed("nothing was cut short");
      const left = findings.length === 1 ? "what a change left that was cut short" : `${findings.length} leftovers`;
      return warned(findings.map(({ message }) => message).join("; "), {
        hint: commandOf(first.mend),
        data: { findings: findings.map(({ message }) => message) },
        fix: {
          question: `take away ${left} beside ${paths.vaultFile}`,
          async apply() {
            await tidyVault(paths, facts.world.clock);
            return `${paths.vaultFile} is tidy now.`;
          },
        },
      });
    },
  };
}

function openCheck(look: Look): Check {
  return {
    name: "vault.open",
    dependsOn: ["vault.file_exists"],
    isIndirect: true,
    isUntimed: true,
    async run(facts) {
      const report = await look(facts);
      const fault = report.findings.find(({ id }) => id === "vault.open");
      if (fault !== undefined) return fromFinding(fault, openingCode(fault.message));
      const passphrase = report.passphraseProtected === true ? ", with a passphrase" : "";
      return passed(`opens${passphrase}: ${report.entryCount ?? 0} secret(s)`, {
        data: { entries: report.entryCount ?? 0 },
      });
    },
  };
}

function entriesCheck(look: Look): Check {
  return {
    name: "vault.entries",
    dependsOn: ["vault.open"],
    isUntimed: true,
    async run(facts) {
      const findings = (await look(facts)).findings.filter(({ id }) => OTHER_FINDINGS.has(id));
      const [first] = findings;
      if (first === undefined) return passed("well-formed");
      const detail = findings.map(({ message }) => message).join("; ");
      return warned(detail, {
        hint: commandOf(first.mend),
        data: { findings: findings.map(({ message }) => message) },
      });
    },
  };
}

/** Findings carry the words of the error only. */
function openingCode(message: string): "vault_locked" | "vault_wrong_passphrase" | "vault_unreadable" {
  const codes = ["vault_locked", "vault_wrong_passphrase"] as const;
  return codes.find((code) => message.startsWith(CATALOGUE[code].summary)) ?? "vault_unreadable";
}

/** A malformed entry that a chat needs fails in that provider's own check. */
const OTHER_FINDINGS: ReadonlySet<VaultFinding["id"]> = new Set([
  "vault.folder_mode",
  "vault.format",
  "vault.key_backup",
  "vault.entry",
]);

function fromFinding({ message, mend }: VaultFinding, code: NonNullable<CheckResult["code"]>): CheckResult {
  return { status: "fail", code, detail: message, hint: commandOf(mend) };
}

function commandOf(mend: string): string {
  return /^(?:chmod|rm|zeph) /.test(mend) ? `Run: ${mend}` : mend;
}
