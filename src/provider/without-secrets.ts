import { maskSecretShapes, type Secret } from "../base/secret.ts";
import type { GonkaFetch } from "../transport/gonka-fetch.ts";

/** Shorter ones could be words of an ordinary sentence. */
const MIN_SECRET_CHARS = 12;
const MASK = "[redacted]";

/**
 * The same connection for prompts that may hold secrets of the user's own: where one stands in a body, `[redacted]` is
 * sent. `onRemoved` is called for each such request.
 */
export function withoutSecrets(gonka: GonkaFetch, secrets: readonly Secret[], onRemoved: () => void): GonkaFetch {
  if (secrets.length === 0) return gonka;
  const mask = secretMask(secrets);
  return Object.assign(
    (input: string | URL | Request, init?: RequestInit) => {
      const { body } = init ?? {};
      if (typeof body !== "string") return gonka(input, init);
      const clean = mask(body);
      if (clean === body) return gonka(input, init);
      onRemoved();
      return gonka(input, { ...init, body: clean });
    },
    { baseURL: gonka.baseURL, endpoints: gonka.endpoints },
  );
}

/** Takes secrets out of a JSON text; gives the very text back where none stands in it. */
export type SecretMask = (json: string) => string;

/** @param secrets of the user; those that are too short to be told from words are left alone */
export function secretMask(secrets: readonly Secret[]): SecretMask {
  const pattern = secretPattern(secrets);
  return pattern === undefined ? (json) => json : (json) => json.replace(pattern, MASK);
}

/** For texts that are kept on the disk: known secrets, and whatever has the shape of one, become `[redacted]`. */
export function maskOf(secrets: readonly Secret[]): (text: string) => string {
  const pattern = secretPattern(secrets);
  return (text) => maskSecretShapes(pattern === undefined ? text : text.replace(pattern, MASK));
}

/** Hex keys are written in either case; nothing else that is this long is alike but for its case. */
function secretPattern(secrets: readonly Secret[]): RegExp | undefined {
  const forms = secrets
    .map((secret) => secret.reveal().trim())
    .filter((value) => value.length >= MIN_SECRET_CHARS)
    // As it stands inside a JSON text.
    .map((value) => JSON.stringify(value.replace(/^0x(?=[0-9a-f]{64}$)/i, "")).slice(1, -1))
    .sort((a, b) => b.length - a.length);
  if (forms.length === 0) return undefined;
  return new RegExp(forms.map((form) => form.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&")).join("|"), "gi");
}
