import type { LocalKey } from "../local-gateway-key.ts";
import type { ServeChoices } from "../serve-choices.ts";
import { toTerminalLine } from "./terminal-text.ts";

export interface ServeIntroduction {
  readonly baseURL: string;
  readonly provider: { readonly name: string; readonly baseURL: string };
  readonly model: string | undefined;
  readonly choices: ServeChoices;
  /** The key, when it is to be shown. */
  readonly key: string | undefined;
  /** `none`: nobody needs one. */
  readonly keyState: "stored" | "created" | "temporary" | "none";
  readonly keyName: string;
  readonly keyPlace: LocalKey["place"];
  /** Are secrets kept in a vault, or in the environment? */
  readonly usesVault: boolean;
  /** Flags of this run that another command needs to find the same vault. */
  readonly vaultFlags: string;
}

/** What `zeph serve` says before it begins: where it is, and what a client needs to use it. */
export function serveIntroduction(given: ServeIntroduction): string {
  const { baseURL, provider, model, choices } = given;
  const aliases = Object.entries(choices.aliases).map(([name, id]) => `${name} = ${id}`);
  const lines = [
    `Local endpoint  ${baseURL}`,
    `Provider        ${provider.name} (${provider.baseURL})`,
    `Model           ${model === undefined ? "the request must name one" : `${model}, when a request names none`}`,
    ...(aliases.length === 0 ? [] : [`Aliases         ${aliases.join(", ")}`]),
    `Key             ${keyLine(given)}`,
    "",
    "For OpenAI clients",
    `  export OPENAI_BASE_URL=${baseURL}`,
    `  export OPENAI_API_KEY=${keyValue(given)}`,
    "",
    "For Anthropic clients",
    `  export ANTHROPIC_BASE_URL=${baseURL.replace(/\/v1$/, "")}`,
    `  export ANTHROPIC_AUTH_TOKEN=${keyValue(given)}`,
    "",
    "Coding agents",
    "  zeph launch        starts one; it needs no endpoint of its own",
    "  zeph connect NAME  sets one up for this endpoint",
    "",
    "Try it",
    `  curl ${baseURL}/models${given.keyState === "none" ? "" : ' -H "Authorization: Bearer $OPENAI_API_KEY"'}`,
    "",
    "",
  ];
  return lines.map(toTerminalLine).join("\n");
}

function keyLine({ key, keyState, keyName, keyPlace, usesVault }: ServeIntroduction): string {
  switch (keyState) {
    case "none":
      return "none: every program on this computer may use it";
    case "created":
      return `${key ?? ""}  (new; kept in the vault as ${keyName}, not shown again)`;
    case "temporary":
      return `${key ?? ""}  (for this run only; ${usesVault ? "`zeph vault init` makes a vault to keep one in" : `set ${keyName} to keep one`})`;
    case "stored":
      return (
        key ??
        `the one ${isVariable(keyPlace) ? `in the variable ${keyPlace.variable}` : `kept as ${keyName}`}; --show-key shows it`
      );
  }
}

function keyValue({ key, keyState, keyName, keyPlace, vaultFlags }: ServeIntroduction): string {
  if (keyState === "none") return "none";
  if (keyState === "temporary") return key ?? "";
  if (isVariable(keyPlace)) return `"$${keyPlace.variable}"`;
  return `"$(zeph${vaultFlags} vault get ${keyName})"`;
}

function isVariable(place: LocalKey["place"]): place is { readonly variable: string } {
  return typeof place === "object";
}
