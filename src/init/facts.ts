import type { Broker } from "../brokers/broker.ts";
import { mergeBrokers } from "../brokers/merge-brokers.ts";
import { BROKERS } from "../brokers/registry.ts";
import { findConfigFiles } from "../config/find-config-files.ts";
import { type LoadedConfig, loadConfig } from "../config/load.ts";
import { readTextFile } from "../config/read-text-file.ts";
import { decideVaultBackend, type VaultBackendDecision } from "../config/resolve-secret.ts";
import { ZephError } from "../errors/zeph-error.ts";
import { existingVaultFiles } from "../vault/index.ts";
import type { InitRequest } from "./init-request.ts";
import type { InitWorld } from "./init-world.ts";

/** What is there before set-up begins. Nothing was changed to find it out. */
export interface Facts {
  /** The file that will be written. It need not exist. */
  readonly configPath: string;
  /** Whether the next plain `zeph` reads that file without being told. */
  readonly isUsualPath: boolean;
  /** Text of that file, when it exists. */
  readonly configText: string | undefined;
  /** The configuration in force; `undefined` when it has faults. */
  readonly config: LoadedConfig["config"] | undefined;
  readonly configFault: ZephError | undefined;
  /** A project file that has no say in this. */
  readonly untrusted: LoadedConfig["untrusted"];
  /** The file is begun anew, because the one that is there cannot be read and the user agreed. */
  readonly startsAfresh: boolean;
  /** The registry with the user's own records. */
  readonly brokers: readonly Broker[];
  readonly vault: VaultBackendDecision & { readonly files: readonly string[] };
}

/** Looks at config, vault and environment. Throws `vault_backend_unknown`, and what hinders reading the files. */
export async function gatherFacts(world: InitWorld, request: InitRequest): Promise<Facts> {
  const flags = configFlags(world, request);
  // What is set up is what the files say: a variable must not decide where a key is tried out.
  const env = { ...world.env, ZEPH_LLM_BASE_URL: undefined, ZEPH_LLM_PROVIDER: undefined };
  const where = { ...world, env, flags, readFile: readTextFile };
  const files = await findConfigFiles(where);
  const { config, untrusted, fault } = await loadOrFault(where);
  const vaultFiles = await existingVaultFiles(world.vaultPaths);
  const decision = decideVaultBackend({
    flag: world.paths.vaultBackend,
    env: world.env,
    configured: config?.vaultBackend,
    vaultFilesExist: vaultFiles.length === 2,
  });
  return {
    configPath: files.writePath,
    isUsualPath: request.output === undefined && world.paths.config === undefined,
    configText: await readTextFile(files.writePath),
    config,
    configFault: fault,
    untrusted,
    startsAfresh: false,
    brokers: mergeBrokers(BROKERS, config?.brokers ?? []),
    // Set-up makes the vault, so that "there is none" is no reason to do without.
    vault: { ...(decision.origin === "default" ? { backend: "age", origin: "default" } : decision), files: vaultFiles },
  };
}

/** The config flags as every other command will give them. */
export function configFlags({ paths }: InitWorld, { output }: InitRequest) {
  return { config: output ?? paths.config };
}

async function loadOrFault(where: Parameters<typeof loadConfig>[0]) {
  try {
    const { config, untrusted } = await loadConfig({ ...where, explicitFile: "optional" });
    return { config, untrusted, fault: undefined };
  } catch (error) {
    if (ZephError.is(error) && error.code === "config_invalid")
      return { config: undefined, untrusted: undefined, fault: error };
    throw error;
  }
}
