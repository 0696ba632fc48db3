import { stat } from "node:fs/promises";
import { keyOriginsPath } from "../../config/key-origins.ts";
import { describeOrigin } from "../../config/origin.ts";
import { configPaths } from "../../config/paths.ts";
import { chooseProvider } from "../../config/provider.ts";
import { trustedFilesPath } from "../../config/trusted-files.ts";
import { ZephError } from "../../errors/zeph-error.ts";
import { changeLeftovers, tidyChange } from "../../internal/lock-file.ts";
import { loadSetup, type Setup, type SetupWorld } from "../../provider/setup.ts";
import type { Check } from "../check.ts";
import { chmodFix, shellQuote } from "../chmod-fix.ts";
import { passed, warned } from "../results.ts";

/** What the first checks find for the others. */
export interface LoadedSetup {
  setup?: Setup;
}

/** Reads the configuration by the rules of every command. All faults of it are named at once. */
export function configParseCheck(world: SetupWorld, loaded: LoadedSetup): Check {
  return {
    name: "config.parse",
    async run() {
      loaded.setup = await loadSetup(world);
      const { found } = loaded.setup.loaded.files;
      const paths = found.map(({ path }) => path);
      return passed(paths.length === 0 ? "no config file" : paths.join(", "), { data: { files: paths } });
    },
  };
}

/** What is odd about the configuration without keeping it from being used. */
export function configWarningsCheck(state: LoadedSetup): Check {
  return {
    name: "config.warnings",
    dependsOn: ["config.parse"],
    async run() {
      const { warnings } = setupIn(state).loaded;
      if (warnings.length === 0) return passed("nothing odd");
      const words = warnings.map(({ message, origin }) => `${message} (${describeOrigin(origin)})`);
      return warned(words.join("; "), {
        hint: HINTS[warnings[0]?.kind ?? ""] ?? "See `zeph config show --origin`.",
        data: { warnings: words },
      });
    },
  };
}

const HINTS: Readonly<Record<string, string>> = {
  untrusted_file: "Look at the file. If it is yours, run `zeph config trust`; otherwise nothing is to be done.",
  inline_key: "Move the key into the vault: `zeph vault import`.",
  legacy_form: "Delete the form that is out of date, or run `zeph config migrate --in-place` where it stands alone.",
};

/** A config with keys in it must be as private as the vault. */
export function configModeCheck(state: LoadedSetup): Check {
  return {
    name: "config.file_mode",
    dependsOn: ["config.parse"],
    async run({ world }) {
      const { loaded } = setupIn(state);
      if (world.platform === "win32") return passed("modes are not checked on Windows");
      const holdsKey = loaded.warnings.some(({ kind }) => kind === "inline_key");
      if (!holdsKey) return passed("no key in it");
      for (const { path } of loaded.files.found) {
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
  };
}

/** What killed processes left beside the config; shown only where there is something: nothing hinders, and it can go. */
export async function configLeftoverChecks(world: SetupWorld, { setup }: LoadedSetup): Promise<readonly Check[]> {
  const files = [
    setup?.loaded.files.writePath ?? configPaths(world, world.flags).user[0],
    keyOriginsPath(world),
    trustedFilesPath(world),
  ];
  const found = await Promise.all(
    // What cannot even be looked at is told of when it is read.
    files.map(async (path) => ({ path, left: await changeLeftovers(path, world.clock.nowMs()).catch(() => []) })),
  );
  const left = found.flatMap((each) => each.left);
  if (left.length === 0) return [];
  return [
    {
      name: "config.leftovers",
      async run() {
        const many =
          left.length === 1 ? "was left by a change that was cut short" : "were left by changes that were cut short";
        return warned(`${left.join(", ")} ${many}`, {
          hint: "Run: zeph doctor --fix",
          data: { files: left },
          fix: {
            question: `take away ${left.join(", ")}`,
            async apply() {
              for (const each of found) if (each.left.length > 0) await tidyChange(each.path);
              return "The config folder is tidy now.";
            },
          },
        });
      },
    },
  ];
}

/** Which provider a chat would use. */
export function defaultProviderCheck(state: LoadedSetup): Check {
  return {
    name: "llm.provider",
    dependsOn: ["config.parse"],
    async run() {
      const { config } = setupIn(state).loaded;
      const chosen = chooseProvider(config);
      const others = config.providers.length - 1;
      const isNamed = config.selectedProvider !== undefined;
      const fallback = isNamed ? [] : config.fallback.filter((name) => name !== chosen.name);
      const more = [
        ...(fallback.length === 0 ? [] : [`then ${fallback.join(", ")}`]),
        ...(others === 0 ? [] : [`${others} more configured`]),
      ];
      const detail = [`${chosen.name} (${chosen.type})`, ...more].join("; ");
      return passed(detail, { data: { provider: chosen.name, type: chosen.type, fallback } });
    },
  };
}

function setupIn({ setup }: LoadedSetup): Setup {
  if (setup === undefined) throw new ZephError("internal", { detail: "the configuration was not kept" });
  return setup;
}

/** The providers a chat would try. */
export interface ChatChain {
  /** It must be there, whoever is asked first; `undefined` when no chat could begin. */
  readonly first: string | undefined;
  /** In the order in which they would be asked. */
  readonly names: readonly string[];
}

/** As `fallbackProvider` goes: who names a provider wants that one, and what is for another program is passed over. */
export async function chatChain(setup: Setup | undefined): Promise<ChatChain> {
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
