import { join } from "node:path";
import { Agent } from "undici";
import type { Secret } from "../../base/secret.ts";
import type { CliContext } from "../../base/world.ts";
import { ZephError } from "../../errors.ts";
import type { LocalGateway } from "../../gateway/gateway.ts";
import { listen } from "../../gateway/listen.ts";
import type { ServeChoices } from "../commands/serve.ts";
import { leanFetch } from "../lean-fetch.ts";
import {
  clineProviders,
  continueModel,
  crushSettings,
  type LaunchModel,
  limits,
  openCodeSettings,
  piModel,
} from "./agents.ts";
import type { FileEdit } from "./edit-settings.ts";

/*
 * What `zeph connect AGENT` writes into an agent's own settings, so that the agent starts by itself on the endpoint of
 * `zeph serve`. The key stays in zeph's vault: agents that can run a command or read a variable are told that.
 */

export interface ConnectSettings {
  /** `http://127.0.0.1:PORT` of `zeph serve`, without `/v1`. */
  readonly url: string;
  readonly model: LaunchModel;
  /** Name of the endpoint's key in the vault, and of the variable for agents that read one. */
  readonly keyName: string;
  readonly home: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The key itself, asked for only where an agent takes nothing else. */
  readonly readKey: () => string;
}

export interface ConnectPlan {
  /** The file of the settings: the first of these that is there, else the first. */
  readonly files: readonly [string, ...string[]];
  readonly format: "json" | "yaml" | "text";
  readonly edits: readonly FileEdit[];
  /** How the agent comes by the key. */
  readonly keyBy: "command" | "variable" | "file";
  /** What is left to do for the user, or what changes. */
  readonly notes: readonly string[];
}

/** The plan for one agent. Throws `usage` for an agent that is not known. */
export function connectPlan(agentId: string, settings: ConnectSettings): ConnectPlan {
  const plan = Object.hasOwn(PLANS, agentId) ? PLANS[agentId] : undefined;
  if (plan === undefined) {
    throw new ZephError("usage", { detail: `connect knows ${Object.keys(PLANS).join(", ")}` });
  }
  return plan(settings);
}

const PLANS: Readonly<Record<string, (settings: ConnectSettings) => ConnectPlan>> = {
  claude({ url, model, keyName, home, env }) {
    const { context, output } = limits(model);
    const variables = {
      ANTHROPIC_BASE_URL: url,
      ANTHROPIC_MODEL: model.id,
      ANTHROPIC_DEFAULT_OPUS_MODEL: model.id,
      ANTHROPIC_DEFAULT_SONNET_MODEL: model.id,
      ANTHROPIC_DEFAULT_HAIKU_MODEL: model.id,
      CLAUDE_CODE_AUTO_COMPACT_WINDOW: String(context),
      CLAUDE_CODE_MAX_OUTPUT_TOKENS: String(output),
    };
    return {
      files: [join(env.CLAUDE_CONFIG_DIR ?? join(home, ".claude"), "settings.json")],
      format: "json",
      edits: [
        ...Object.entries(variables).map(([name, value]) => ({ path: ["env", name], value })),
        { path: ["apiKeyHelper"], value: keyCommand(keyName) },
      ],
      keyBy: "command",
      notes: [],
    };
  },

  codex({ url, model, keyName, home, env }) {
    const window = model.contextTokens === undefined ? [] : [`model_context_window = ${model.contextTokens}`];
    const lines = [
      "# Written by `zeph connect codex`; `zeph connect codex --undo` takes it away.",
      `model = ${JSON.stringify(model.id)}`,
      'model_provider = "zeph"',
      ...window,
      "",
      "[model_providers.zeph]",
      'name = "zeph"',
      `base_url = ${JSON.stringify(`${url}/v1`)}`,
      'wire_api = "responses"',
      "",
      "[model_providers.zeph.auth]",
      'command = "zeph"',
      `args = ["vault", "get", ${JSON.stringify(keyName)}]`,
      "",
    ];
    return {
      files: [join(env.CODEX_HOME ?? join(home, ".codex"), "zeph.config.toml")],
      format: "text",
      edits: [{ path: [], value: lines.join("\n") }],
      keyBy: "command",
      notes: ["Start it with `codex -p zeph`; without -p Codex is as it was."],
    };
  },

  opencode: (settings) => openCodePlan(settings, "opencode", ["opencode.json", "opencode.jsonc"]),
  kilo: (settings) => openCodePlan(settings, "kilo", ["kilo.json", "kilo.jsonc"]),

  qwen({ url, model, keyName, home }) {
    const provider = { id: model.id, name: `zeph ${model.id}`, baseUrl: `${url}/v1`, envKey: keyName };
    return {
      files: [join(home, ".qwen", "settings.json")],
      format: "json",
      edits: [
        { path: ["modelProviders", "openai"], value: provider, listedBy: "name" },
        { path: ["security", "auth", "selectedType"], value: "openai" },
        { path: ["model", "name"], value: model.id },
      ],
      keyBy: "variable",
      notes: [exportNote(keyName, keyName)],
    };
  },

  pi({ url, model, keyName, home, env }) {
    const provider = {
      baseUrl: `${url}/v1`,
      api: "openai-completions",
      apiKey: `!${keyCommand(keyName)}`,
      models: [piModel(model)],
    };
    return {
      files: [join(env.PI_CODING_AGENT_DIR ?? join(home, ".pi", "agent"), "models.json")],
      format: "json",
      edits: [{ path: ["providers", "zeph"], value: provider }],
      keyBy: "command",
      notes: [`Choose the model with /model, or start with \`pi --model zeph/${model.id}\`.`],
    };
  },

  continue({ url, model, keyName, home }) {
    return {
      files: [join(home, ".continue", "config.yaml")],
      format: "yaml",
      edits: [
        { path: ["name"], value: "Local config", onlyIfMissing: true },
        { path: ["version"], value: "1.0.0", onlyIfMissing: true },
        { path: ["schema"], value: "v1", onlyIfMissing: true },
        { path: ["models"], value: continueModel(url, `\${{ secrets.${keyName} }}`, model), listedBy: "name" },
      ],
      keyBy: "variable",
      notes: [exportNote(keyName, keyName), "Start it with `cn --config ~/.continue/config.yaml`."],
    };
  },

  cline({ url, model, home, readKey }) {
    const { lastUsedProvider, providers } = clineProviders(url, readKey(), model);
    const [[name, provider] = ["", undefined]] = Object.entries(providers as Record<string, unknown>);
    return {
      files: [join(home, ".cline", "data", "settings", "providers.json")],
      format: "json",
      edits: [
        { path: ["version"], value: 1, onlyIfMissing: true },
        { path: ["lastUsedProvider"], value: lastUsedProvider },
        { path: ["providers", name], value: provider },
      ],
      keyBy: "file",
      notes: ["Cline takes the key in plain only: it stands in this file, for your eyes only (0600)."],
    };
  },

  aider({ url, model, keyName, home }) {
    const name = `openai/${model.id}`;
    return {
      files: [join(home, ".aider.conf.yml")],
      format: "yaml",
      edits: [
        { path: ["openai-api-base"], value: `${url}/v1` },
        { path: ["model"], value: name },
        { path: ["weak-model"], value: name },
      ],
      keyBy: "variable",
      notes: [exportNote("OPENAI_API_KEY", keyName)],
    };
  },

  crush({ url, model, keyName, home, env }) {
    const { providers, models } = crushSettings(url, `$(${keyCommand(keyName)})`, model);
    const { large, small } = models as Record<string, unknown>;
    return {
      files: [join(env.CRUSH_GLOBAL_CONFIG ?? join(configHome(home, env), "crush"), "crush.json")],
      format: "json",
      edits: [
        { path: ["providers", "zeph"], value: (providers as Record<string, unknown>).zeph },
        { path: ["models", "large"], value: large },
        { path: ["models", "small"], value: small },
      ],
      keyBy: "command",
      notes: [],
    };
  },
};

/** OpenCode's settings and those of Kilo, which grew out of it. */
function openCodePlan(
  { url, model, keyName, home, env }: ConnectSettings,
  folder: string,
  [first, second]: readonly [string, string],
): ConnectPlan {
  const { provider, model: chosen, small_model: small } = openCodeSettings(url, `{env:${keyName}}`, model);
  const at = join(configHome(home, env), folder);
  return {
    files: [join(at, first), join(at, second)],
    format: "json",
    edits: [
      { path: ["provider", "zeph"], value: (provider as Record<string, unknown>).zeph },
      { path: ["model"], value: chosen },
      { path: ["small_model"], value: small },
    ],
    keyBy: "variable",
    notes: [exportNote(keyName, keyName)],
  };
}

function configHome(home: string, env: ConnectSettings["env"]): string {
  return env.XDG_CONFIG_HOME ?? join(home, ".config");
}

function keyCommand(keyName: string): string {
  return `zeph vault get ${keyName}`;
}

function exportNote(variable: string, keyName: string): string {
  return `Set the key before you start it: export ${variable}="$(${keyCommand(keyName)})"`;
}

const WORDS = "Say OK.";
const MAX_TOKENS = 16;

/** The API each agent speaks; Chat Completions when it is not named. */
const REQUESTS: Readonly<Record<string, (model: string) => readonly [path: string, body: object]>> = {
  claude: (model) => ["/v1/messages", { model, max_tokens: MAX_TOKENS, messages: [{ role: "user", content: WORDS }] }],
  codex: (model) => ["/v1/responses", { model, max_output_tokens: MAX_TOKENS, input: WORDS, store: false }],
};

function chatRequest(model: string): readonly [string, object] {
  return ["/v1/chat/completions", { model, max_tokens: MAX_TOKENS, messages: [{ role: "user", content: WORDS }] }];
}

/**
 * Sends one real request the way the agent will: to `zeph serve` where it runs, else to an endpoint that is opened in its
 * place for a moment. Throws what went wrong, in words that say that the settings are written all the same.
 */
export async function checkConnection(
  { clock }: CliContext,
  given: {
    readonly agentId: string;
    readonly url: string;
    readonly model: string;
    readonly key: Secret;
    readonly gateway: LocalGateway;
    readonly choices: Pick<ServeChoices, "port" | "host">;
  },
): Promise<string> {
  const { agentId, url, model, key, gateway, choices } = given;
  // Straight to this computer, whatever proxy there is.
  const dispatcher = new Agent();
  const fetch = leanFetch(dispatcher);
  const isServed = await fetch(`${url}/health`).then(
    (response) => response.ok,
    () => false,
  );
  const listening = isServed ? undefined : await listen(gateway, { port: choices.port, hostname: choices.host, clock });
  try {
    const [path, body] = (REQUESTS[agentId] ?? chatRequest)(model);
    const response = await fetch(url + path, {
      method: "POST",
      headers: { "content-type": "application/json", authorization: `Bearer ${key.reveal()}` },
      body: JSON.stringify(body),
    });
    const text = await response.text();
    if (response.ok)
      return `Checked with one request to ${model}${isServed ? ", through the `zeph serve` that runs" : ""}.`;
    throw new ZephError("upstream_error", {
      detail: `the settings are written, but a request was refused: ${messageIn(text)}`,
      hint: `Mend that, then run \`zeph connect ${agentId}\` again.`,
    });
  } finally {
    await listening?.close({ graceMs: 0 });
    await dispatcher.close();
  }
}

/** The endpoint's own words, which are clean. */
function messageIn(text: string): string {
  try {
    return String(JSON.parse(text).error.message);
  } catch {
    // Something else than zeph listens on this port.
    return "whatever listens on this port is no endpoint of zeph's";
  }
}
