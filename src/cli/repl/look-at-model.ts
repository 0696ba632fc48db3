import { nearest } from "../../protocol/match-model.ts";
import { toTerminalLine } from "../render/terminal-text.ts";
import { withListing } from "./change-model.ts";
import type { Repl } from "./repl.ts";

/**
 * Looks, while the user types, whether the configured model is still offered, and what it costs and reads. Models come
 * and go within weeks. Gives back a warning when it is gone.
 */
export async function lookAtModel(repl: Repl): Promise<string | undefined> {
  const { session } = repl.conversation;
  try {
    const models = await session.listModels(repl.signal);
    // Another model was chosen meanwhile.
    if (repl.conversation.session !== session) return undefined;
    repl.models = models;
    const ids = models.map(({ id }) => id);
    if (ids.includes(session.modelId)) repl.conversation.use(withListing(session, models));
    if (ids.includes(session.modelId) || ids.length === 0) return undefined;
    const offered = nearest(session.modelId, ids, 3).map(toTerminalLine).join(", ");
    return `! ${session.providerName} no longer offers ${session.modelId}. Nearest: ${offered}. /model lists all.\n`;
  } catch {
    // Only a look ahead: whatever is wrong shows, with its name, at the first question.
    return undefined;
  }
}
