import { applySplices } from "../splice.ts";
import { outlineToml } from "../toml-outline.ts";

const SECRET_FIELD = /(?:^|_)(?:api_key|key|token|secret|password|passphrase)$/i;
/** Shapes of keys that may stand in comments. */
const SECRET_SHAPES = /\b(?:gp|gpm|gnk-sk|jg|obk|sk)-[A-Za-z0-9_-]{6,}|\b(?:0x)?[0-9a-fA-F]{64}\b/g;

/** A config text fit to show: the values of keys and tokens are masked. It is no config any more. */
export function maskSecrets(text: string): string {
  const splices = outlineToml(text)
    .flatMap(({ entries }) => entries)
    .filter(({ key }) => SECRET_FIELD.test(key.at(-1) ?? ""))
    .map(({ value }) => ({ kind: "replace", span: value, text: '"[redacted]"' }) as const);
  return applySplices(text, splices).replace(SECRET_SHAPES, "[redacted]");
}
