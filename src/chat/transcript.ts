import type { Exchange } from "./exchange.ts";

export interface TranscriptOptions {
  readonly savedAtMs: number;
  readonly system?: string | undefined;
  readonly title?: string | undefined;
}

/** The conversation as a Markdown document: who said what, which model, where an answer was cut. */
export function toTranscript(exchanges: readonly Exchange[], { savedAtMs, system, title }: TranscriptOptions): string {
  const parts = [`# ${title ?? "Conversation"}\n\nSaved ${new Date(savedAtMs).toISOString()} by zeph.`];
  if (system !== undefined) parts.push(`## System\n\n${system.trim()}`);
  for (const exchange of exchanges) {
    parts.push(`## You\n\n${exchange.question.trim()}`, `## ${exchange.modelId}\n\n${toAnswer(exchange)}`);
  }
  return `${parts.join("\n\n")}\n`;
}

const ENDINGS = {
  finished: undefined,
  cancelled: "*(stopped here by the user)*",
  failed: "*(broke off here)*",
} as const;

function toAnswer({ answer, reasoning, state }: Exchange): string {
  const thinking =
    reasoning.trim() === "" ? undefined : `<details><summary>Thinking</summary>\n\n${reasoning.trim()}\n\n</details>`;
  const text = closeFence(answer.trim());
  return [thinking, text === "" ? undefined : text, ENDINGS[state]].filter((part) => part !== undefined).join("\n\n");
}

/** An answer cut inside a code block would swallow the rest of the document. */
function closeFence(text: string): string {
  const fences = text.match(/^ {0,3}(```|~~~)/gm) ?? [];
  return fences.length % 2 === 0 ? text : `${text}\n${fences.at(-1)?.trim()}`;
}
