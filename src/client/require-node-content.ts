import { requireTextParts } from "../protocol/media-parts.ts";
import type { OutgoingRequest } from "../transport/outgoing.ts";

/** Most requests hold none of these words, and are not parsed. */
const MAY_HOLD_MEDIA = /"type"\s*:\s*"[^"]*(?:image|video|audio|file|document|media)/i;

/**
 * Throws `unsupported_capability` for a chat request with images or other media: nodes take text parts only (gonka-ai/gonka
 * decentralized-api/completionapi/request_validation.go), and a refusal would come after the prompt was signed and sent.
 */
export function requireNodeContent({ path, body }: Pick<OutgoingRequest, "path" | "body">): void {
  if (body === undefined || !path.startsWith("/chat/completions")) return;
  const text = new TextDecoder().decode(body);
  if (!MAY_HOLD_MEDIA.test(text)) return;
  let request: unknown;
  try {
    request = JSON.parse(text);
  } catch {
    // What is no JSON is the node's to refuse, in its own words.
    return;
  }
  requireTextParts(request);
}
