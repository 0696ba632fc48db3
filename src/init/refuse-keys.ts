import type { Broker } from "../brokers/broker.ts";
import { containsKey, looksLikeToken } from "../brokers/contains-key.ts";
import { ZephError } from "../errors/zeph-error.ts";
import type { Ask } from "./ask.ts";
import type { InitRequest } from "./init-request.ts";

/** Said in the place of a key that was pasted where a name or an address belongs. Never repeats it. */
export const KEY_HERE =
  "This looks like a key, and it is not kept. Keys have a question of their own, which shows nothing.";

/** The same questions, where a key is no answer to any that is shown. */
export function refusingKeys(ask: Ask, brokers: readonly Broker[]): Ask {
  return {
    ...ask,
    text({ check, initial, ...question }) {
      const isUsable = initial !== undefined && !containsKey(initial, brokers);
      return ask.text({
        ...question,
        ...(isUsable ? { initial } : {}),
        check: (value) => (containsKey(value, brokers) ? KEY_HERE : check?.(value)),
      });
    },
  };
}

/**
 * Throws `secret_on_command_line` when something that names a thing (an address, a record, a model) is a key: what is
 * given is shown, stored in the config or asked for as a host.
 */
export function refuseKeysIn(request: InitRequest, brokers: readonly Broker[]): void {
  const { path, broker, baseURL, model, name, native } = request;
  const { sourceUrl, nodes, keyName, keyringBackend, keyringHome, prefix, expectAddress } = native;
  const given: readonly (readonly [string, string | undefined])[] = [
    ["--path", path],
    ["--broker", broker],
    ["--base-url", baseURL],
    ["--model", model],
    ["--name", name],
    ["--source-url", sourceUrl],
    ...nodes.map((node) => ["--node", node] as const),
    ["--key-name", keyName],
    ["--keyring-backend", keyringBackend],
    ["--keyring-home", keyringHome],
    ["--prefix", prefix],
    ["--expect-address", expectAddress],
  ];
  const isToken = (flag: string, text: string) =>
    ["--broker", "--base-url", "--name"].includes(flag) && looksLikeToken(text);
  for (const [flag, text] of given) {
    if (text === undefined || !(containsKey(text, brokers) || isToken(flag, text))) continue;
    throw new ZephError("secret_on_command_line", { detail: `what is given to ${flag} looks like a key` });
  }
}
