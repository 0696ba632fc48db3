import type { ChatDependencies } from "../commands/ask.ts";

/** What the interactive chat needs beyond a single question. */
export interface ReplDependencies extends ChatDependencies {
  /** The configured providers that can be talked to. Absent: `/provider` takes a name only. */
  readonly listProviders?: () => Promise<readonly { readonly name: string; readonly model?: string }[]>;
  /** Called when the user has changed the provider, so that the next run begins with it. */
  readonly rememberProvider?: (name: string) => Promise<void>;
}
