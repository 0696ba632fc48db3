import type { CliContext } from "../../base/world.ts";
import { ZephError } from "../../errors.ts";
import { findListed, refreshModels, rememberedModels } from "../../provider/models.ts";
import type { OpenedProvider } from "../../provider/open.ts";
import type { Model } from "../../wire/models.ts";
import { promptSelect } from "../input.ts";
import type { Upstream } from "../local-endpoint.ts";

/*
 * The coding agents that `zeph launch` starts, one record each. What an agent needs for one run goes into its
 * environment, its arguments and files of a private folder; no file of the user is touched. The key of the run is never
 * an argument. Each record was tried with the version it names, on 2026-11-28, unless it says otherwise.
 */

/** What the endpoint of this run offers. */
export interface AgentRun {
  /** `http://127.0.0.1:PORT`, without `/v1`. */
  readonly url: string;
  /** The key of this run. */
  readonly key: string;
  readonly model: LaunchModel;
  /** A private folder of this run, absolute; files are put here. */
  readonly folder: string;
}

export interface LaunchModel {
  readonly id: string;
  /** Tokens of conversation and answer together, where the model list says. */
  readonly contextTokens?: number | undefined;
  /** Tokens of one answer. */
  readonly outputTokens?: number | undefined;
}

/** How the agent is started. */
export interface AgentStart {
  /** Set in the agent's environment; `undefined` takes a variable away. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Before the arguments of the user. */
  readonly args: readonly string[];
  /** Names within the folder of the run, and what to write there for the user's eyes only. */
  readonly files: readonly { readonly name: string; readonly text: string }[];
}

export interface CodingAgent {
  /** `zeph launch ID`. */
  readonly id: string;
  readonly name: string;
  /** Name of the program on the PATH. */
  readonly program: string;
  /** Installs it. */
  readonly install: string;
  /** The version this record was tried with. */
  readonly tried: string;
  /** Requests the agent makes besides those of the conversation. They are paid as well. */
  readonly extraRequests?: string | undefined;
  /** Names of models that the agent uses of its own accord; `name*` stands for all that begin so. */
  readonly modelNames?: readonly string[] | undefined;
  start(run: AgentRun): AgentStart;
}

/** The variable that holds the key of the run where the agent lets us name one. */
const KEY_VARIABLE = "ZEPH_LAUNCH_KEY";

/** Taken for models whose limits the list does not know. */
const DEFAULT_CONTEXT_TOKENS = 131_072;
const DEFAULT_OUTPUT_TOKENS = 8192;

const claude: CodingAgent = {
  id: "claude",
  name: "Claude Code",
  program: "claude",
  install: "npm install -g @anthropic-ai/claude-code",
  tried: "2.1.197",
  extraRequests: "Claude Code asks the model for a title of every conversation",
  modelNames: ["claude-*"],
  start({ url, key, model, folder }) {
    const { context, output } = limits(model);
    const env = {
      ANTHROPIC_BASE_URL: url,
      ANTHROPIC_AUTH_TOKEN: key,
      ANTHROPIC_API_KEY: "",
      ANTHROPIC_MODEL: model.id,
      ANTHROPIC_DEFAULT_OPUS_MODEL: model.id,
      ANTHROPIC_DEFAULT_SONNET_MODEL: model.id,
      ANTHROPIC_DEFAULT_HAIKU_MODEL: model.id,
      // It takes an unknown model for one of a million tokens.
      CLAUDE_CODE_AUTO_COMPACT_WINDOW: String(context),
      CLAUDE_CODE_MAX_OUTPUT_TOKENS: String(output),
    };
    return {
      env: { ...env, CLAUDE_CODE_USE_BEDROCK: undefined, CLAUDE_CODE_USE_VERTEX: undefined },
      // Variables in the user's own settings win over the environment; those in this file win over both.
      args: ["--settings", `${folder}/claude.json`],
      files: [{ name: "claude.json", text: json({ env, model: model.id }) }],
    };
  },
};

const codex: CodingAgent = {
  id: "codex",
  name: "Codex",
  program: "codex",
  install: "npm install -g @openai/codex",
  tried: "0.171.0",
  modelNames: ["gpt-5*", "codex-*"],
  start({ url, key, model }) {
    const provider = "model_providers.zeph";
    const settings: readonly (readonly [string, string | number | undefined])[] = [
      ["model_provider", "zeph"],
      [`${provider}.name`, "zeph"],
      [`${provider}.base_url`, `${url}/v1`],
      [`${provider}.wire_api`, "responses"],
      [`${provider}.env_key`, KEY_VARIABLE],
      ["model", model.id],
      ["model_context_window", model.contextTokens],
    ];
    return {
      env: { [KEY_VARIABLE]: key },
      // Values are TOML, of which JSON's strings and numbers are a part.
      args: settings.flatMap(([name, value]) =>
        value === undefined ? [] : ["-c", `${name}=${JSON.stringify(value)}`],
      ),
      files: [],
    };
  },
};

/** OpenCode and Kilo, which grew out of it, read the same settings. */
function openCodeStart(variable: string): CodingAgent["start"] {
  return ({ url, key, model }) => ({
    env: { [variable]: JSON.stringify(openCodeSettings(url, `{env:${KEY_VARIABLE}}`, model)), [KEY_VARIABLE]: key },
    args: [],
    files: [],
  });
}

/** The provider and the models as OpenCode's settings have them. @param apiKey where the key is to be found */
export function openCodeSettings(url: string, apiKey: string, model: LaunchModel): Readonly<Record<string, unknown>> {
  return {
    provider: {
      zeph: {
        npm: "@ai-sdk/openai-compatible",
        name: "zeph",
        options: { baseURL: `${url}/v1`, apiKey },
        models: { [model.id]: { name: model.id, limit: limits(model) } },
      },
    },
    model: `zeph/${model.id}`,
    small_model: `zeph/${model.id}`,
  };
}

const opencode: CodingAgent = {
  id: "opencode",
  name: "OpenCode",
  program: "opencode",
  install: "npm install -g opencode-ai",
  tried: "1.18.33",
  extraRequests: "OpenCode asks the model for a title of every conversation",
  start: openCodeStart("OPENCODE_CONFIG_CONTENT"),
};

const kilo: CodingAgent = {
  id: "kilo",
  name: "Kilo",
  program: "kilo",
  install: "npm install -g @kilocode/cli",
  tried: "7.7.9",
  extraRequests: "Kilo asks the model for a title of every conversation",
  start: openCodeStart("KILO_CONFIG_CONTENT"),
};

const qwen: CodingAgent = {
  id: "qwen",
  name: "Qwen Code",
  program: "qwen",
  install: "npm install -g @qwen-code/qwen-code",
  tried: "0.24.4",
  extraRequests: "Qwen Code sends further requests of about 30 KB, for example for suggestions",
  start: ({ url, key, model }) => ({
    env: { OPENAI_BASE_URL: `${url}/v1`, OPENAI_API_KEY: key, OPENAI_MODEL: model.id },
    args: ["--auth-type", "openai"],
    files: [],
  }),
};

/** Registers the provider for one run; pi has no other way that leaves the user's own list of models alone. */
const PI_EXTENSION = `import { env } from "node:process";

export default function (pi) {
  const { baseUrl, model } = JSON.parse(env.ZEPH_LAUNCH_PI);
  const apiKey = env.${KEY_VARIABLE};
  pi.registerProvider("zeph", { name: "zeph", baseUrl, apiKey, api: "openai-completions", models: [model] });
}
`;

/** A model as pi's list of models has it. */
export function piModel(model: LaunchModel): Readonly<Record<string, unknown>> {
  const { context, output } = limits(model);
  return {
    id: model.id,
    name: model.id,
    reasoning: false,
    input: ["text"],
    cost: { input: 0, output: 0, cacheRead: 0, cacheWrite: 0 },
    contextWindow: context,
    maxTokens: output,
  };
}

const pi: CodingAgent = {
  id: "pi",
  name: "pi",
  program: "pi",
  install: "npm install -g @earendil-works/pi-coding-agent",
  tried: "1.6.0 and 0.73.1",
  start: ({ url, key, model, folder }) => ({
    env: { [KEY_VARIABLE]: key, ZEPH_LAUNCH_PI: JSON.stringify({ baseUrl: `${url}/v1`, model: piModel(model) }) },
    args: ["-e", `${folder}/zeph.js`, "--model", `zeph/${model.id}`],
    files: [{ name: "zeph.js", text: PI_EXTENSION }],
  }),
};

const cline: CodingAgent = {
  id: "cline",
  name: "Cline",
  program: "cline",
  install: "npm install -g cline",
  tried: "3.0.65",
  start: ({ url, key, model, folder }) => ({
    env: {},
    args: ["--data-dir", folder, "-P", "openai", "-m", model.id],
    files: [{ name: "settings/providers.json", text: json(clineProviders(url, key, model)) }],
  }),
};

/** Cline's own file of providers, as `cline auth` writes it. It takes the key in plain only. */
export function clineProviders(url: string, key: string, model: LaunchModel): Readonly<Record<string, unknown>> {
  const settings = { provider: "openai-compatible", apiKey: key, model: model.id, baseUrl: `${url}/v1` };
  // Without a date Cline takes the file for broken and goes on with none.
  const provider = { settings, updatedAt: "2026-11-28T00:00:00.000Z", tokenSource: "manual" };
  return {
    version: 1,
    lastUsedProvider: "openai-compatible",
    modes: {},
    providers: { "openai-compatible": provider },
  };
}

/** The model as Continue's list of models has it. @param key where the key is to be found */
export function continueModel(url: string, key: string, model: LaunchModel): Readonly<Record<string, unknown>> {
  const { context, output } = limits(model);
  return {
    name: `zeph ${model.id}`,
    provider: "openai",
    model: model.id,
    apiBase: `${url}/v1`,
    apiKey: key,
    roles: ["chat", "edit", "apply"],
    capabilities: ["tool_use"],
    defaultCompletionOptions: { contextLength: context, maxTokens: output },
  };
}

const continueCli: CodingAgent = {
  id: "continue",
  name: "Continue",
  program: "cn",
  install: "npm install -g @continuedev/cli",
  tried: "1.5.47",
  start({ url, key, model, folder }) {
    const models = [continueModel(url, `\${{ secrets.${KEY_VARIABLE} }}`, model)];
    return {
      env: { [KEY_VARIABLE]: key },
      args: ["--config", `${folder}/continue.yaml`],
      // JSON is YAML as well.
      files: [{ name: "continue.yaml", text: json({ name: "zeph", version: "1.0.0", schema: "v1", models }) }],
    };
  },
};

const aider: CodingAgent = {
  id: "aider",
  name: "aider",
  program: "aider",
  install: "python -m pip install aider-chat",
  tried: "0.86 (not again on 2026-11-28)",
  extraRequests: "aider asks the model for commit messages and summaries",
  start({ url, key, model, folder }) {
    const { context, output } = limits(model);
    const name = `openai/${model.id}`;
    const metadata = {
      [name]: {
        max_input_tokens: context,
        max_output_tokens: output,
        litellm_provider: "openai",
        mode: "chat",
      },
    };
    return {
      env: { OPENAI_API_BASE: `${url}/v1`, OPENAI_API_KEY: key },
      args: ["--model", name, "--weak-model", name, "--model-metadata-file", `${folder}/aider.json`],
      files: [{ name: "aider.json", text: json(metadata) }],
    };
  },
};

const crush: CodingAgent = {
  id: "crush",
  name: "Crush",
  program: "crush",
  install: "npm install -g @charmland/crush",
  tried: "not tried: written after its documentation",
  extraRequests: "Crush asks the model for a title of every conversation",
  start: ({ url, key, model, folder }) => ({
    // Its folder of state is read after the user's own settings, which stay.
    env: { [KEY_VARIABLE]: key, CRUSH_GLOBAL_DATA: folder, CRUSH_DISABLE_PROVIDER_AUTO_UPDATE: "1" },
    args: [],
    files: [{ name: "crush.json", text: json(crushSettings(url, `$${KEY_VARIABLE}`, model)) }],
  }),
};

/** The provider and the chosen models as Crush's settings have them. @param key where the key is to be found */
export function crushSettings(url: string, key: string, model: LaunchModel): Readonly<Record<string, unknown>> {
  const { context, output } = limits(model);
  const models = [{ id: model.id, name: model.id, context_window: context, default_max_tokens: output }];
  const chosen = { provider: "zeph", model: model.id };
  return {
    providers: { zeph: { name: "zeph", type: "openai-compat", base_url: `${url}/v1`, api_key: key, models } },
    models: { large: chosen, small: chosen },
  };
}

/** In the order of the menu. */
export const CODING_AGENTS: readonly CodingAgent[] = [
  claude,
  codex,
  opencode,
  qwen,
  pi,
  cline,
  continueCli,
  kilo,
  aider,
  crush,
];

/**
 * The whole environment of an agent: the user's own, with what the agent needs, and with loopback kept off any proxy.
 * @param env of the user
 */
export function agentEnvironment(
  env: Readonly<Record<string, string | undefined>>,
  start: Pick<AgentStart, "env">,
): Readonly<Record<string, string>> {
  const loopback = ["127.0.0.1", "localhost", env.NO_PROXY ?? env.no_proxy].filter(
    (each) => each !== undefined && each !== "",
  );
  const proxy = { NO_PROXY: loopback.join(","), no_proxy: loopback.join(",") };
  const whole = Object.entries({ ...env, ...proxy, ...start.env });
  return Object.fromEntries(whole.filter((entry): entry is [string, string] => entry[1] !== undefined));
}

/** Tokens the agent may plan with; what the list does not say is taken to be small. */
export function limits({ contextTokens, outputTokens }: LaunchModel): {
  readonly context: number;
  readonly output: number;
} {
  const context = contextTokens ?? DEFAULT_CONTEXT_TOKENS;
  // An answer as long as the whole context would leave no room for the conversation.
  return { context, output: Math.min(outputTokens ?? DEFAULT_OUTPUT_TOKENS, Math.floor(context / 2)) };
}

function json(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}

/** A look at the list must not hold up the agent. */
const LIST_WAIT_MS = 3_000;

/** The model, with what the provider's list says of it. Without one configured it is asked for. */
export async function launchModel(context: CliContext, { opened, setup }: Upstream): Promise<LaunchModel> {
  const listed = await listedModels(context, opened, setup);
  const { config } = opened;
  const wanted = config.model ?? (await chooseModel(context, config.name, listed));
  const known = findListed(listed, wanted);
  return {
    id: known?.id ?? wanted,
    contextTokens: config.contextLength ?? known?.contextLengthTokens,
    outputTokens: known?.maxOutputTokens,
  };
}

async function listedModels(
  context: CliContext,
  opened: OpenedProvider,
  { world }: Upstream["setup"],
): Promise<readonly Model[]> {
  const remembered = await rememberedModels(opened, world);
  if (findListed(remembered, opened.config.model ?? "") !== undefined) return remembered;
  const waiting = new AbortController();
  const cancel = context.clock.schedule(LIST_WAIT_MS, () => waiting.abort());
  try {
    return await refreshModels(opened, world, AbortSignal.any([context.signal, waiting.signal]));
  } catch {
    // The agent's first request will tell in full what is wrong.
    return remembered;
  } finally {
    cancel();
  }
}

async function chooseModel(context: CliContext, provider: string, listed: readonly Model[]): Promise<string> {
  const chat = listed.filter(({ kind }) => kind === "chat");
  if (!context.interactive || chat.length === 0)
    throw new ZephError("model_missing", { detail: `provider "${provider}"` });
  return promptSelect(
    context,
    "Which model?",
    chat.map(({ id }) => ({ value: id, label: id })),
  );
}
