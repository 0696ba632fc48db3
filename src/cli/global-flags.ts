import type { CliContext, World } from "./context.ts";

/** Flags that every command takes, as commander hands them over. */
export interface GlobalFlags {
  readonly config?: string;
  readonly vault?: string;
  readonly vaultKey?: string;
  readonly vaultPath?: string;
  readonly json?: boolean;
  readonly verbose?: boolean;
  readonly yes?: boolean;
  readonly nonInteractive?: boolean;
  readonly color?: "auto" | "always" | "never";
}

/** The world plus what the global flags say about it. */
export function toContext(world: World, flags: GlobalFlags): CliContext {
  const isTerminal = world.stdin.isTTY === true && world.stderr.isTTY === true;
  const saysNo = flags.yes === true || flags.nonInteractive === true || (world.env.CI ?? "") !== "";
  return {
    ...world,
    interactive: isTerminal && !saysNo,
    json: flags.json === true,
    verbose: flags.verbose === true,
    color: useColor(world, flags.color ?? "auto"),
    paths: {
      ...(flags.config === undefined ? {} : { config: flags.config }),
      ...(flags.vaultKey === undefined ? {} : { vaultKey: flags.vaultKey }),
      ...(flags.vaultPath === undefined ? {} : { vaultFile: flags.vaultPath }),
      ...(flags.vault === undefined ? {} : { vaultBackend: flags.vault }),
    },
  };
}

/** no-color.org: any non-empty NO_COLOR; then FORCE_COLOR; then whether both outputs are capable terminals. */
function useColor({ env, stdout, stderr }: World, choice: "auto" | "always" | "never"): boolean {
  if (choice !== "auto") return choice === "always";
  if ((env.NO_COLOR ?? "") !== "") return false;
  const force = env.FORCE_COLOR;
  if (force !== undefined) return force !== "0" && force !== "false";
  return stdout.isTTY === true && stderr.isTTY === true && env.TERM !== "dumb";
}
