import { Agent } from "undici";
import { ZephError } from "../../errors/zeph-error.ts";
import { type LocalGateway, listen } from "../../gateway/index.ts";
import type { Secret } from "../../internal/secret.ts";
import type { CliContext } from "../context.ts";
import { leanFetch } from "../lean-fetch.ts";
import type { ServeChoices } from "../serve-choices.ts";

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
