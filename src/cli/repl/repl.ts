import type { Budget } from "../../chat/budget.ts";
import type { Conversation } from "../../chat/conversation.ts";
import type { ConversationKeeper, ConversationSummary } from "../../chat/conversations.ts";
import type { ChatModelListing } from "../../chat/session.ts";
import type { CliContext, TerminalStream } from "../context.ts";
import type { ReplDependencies } from "./repl-dependencies.ts";

/** What the commands of the chat can see and change. */
export interface Repl {
  readonly context: CliContext;
  readonly dependencies: ReplDependencies;
  readonly conversation: Conversation;
  readonly budget: Budget;
  /** Aborted when the user leaves. */
  readonly signal: AbortSignal;
  /** What the endpoint offered when it was last asked. */
  models: readonly ChatModelListing[];
  providers: readonly string[];
  /** Conversations as they were listed last. */
  kept: readonly ConversationSummary[];
  /** Keeps what is said. Absent: it is not kept. */
  keeper: ConversationKeeper | undefined;
  hideReasoning: boolean;
  /** What was sent last, for `/retry`; a question that was refused before it was sent is in no conversation. */
  lastMessage: string | undefined;
  /** Files this chat has written, which it may write again. */
  readonly savedFiles: Set<string>;
  /** Where `print` writes. */
  readonly screen: TerminalStream;
  /** Text for the user, apart from answers. */
  print(text: string): void;
  /** Asks one short question. `undefined`: the user leaves. */
  askUser(prompt: string): Promise<string | undefined>;
  /** Sends a message to the model and shows the answer. */
  send(message: string): Promise<void>;
  /** Asks the last question of the conversation again; the new answer takes the place of the old one. */
  sendAgain(): Promise<void>;
}
