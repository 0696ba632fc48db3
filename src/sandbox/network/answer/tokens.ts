/** Cuts text into the pieces the stand-in calls tokens: a word with the space before it. */
export function tokenize(text: string): readonly string[] {
  return text.match(/\s*\S+|\s+$/g) ?? [];
}

/** A stable number for a token. */
export function tokenId(token: string): number {
  let id = 7;
  for (const byte of Buffer.from(token)) id = (id * 31 + byte) % 151_643;
  return id;
}

const ALTERNATIVES = 5;

/** The `logprobs` field a node adds to every choice, asked for or not: five alternatives for each token. */
export function logprobsOf(tokens: readonly string[]): { readonly content: readonly unknown[] } {
  return {
    content: tokens.map((token) => ({
      ...logprob(token, 0),
      top_logprobs: Array.from({ length: ALTERNATIVES }, (_, rank) =>
        logprob(rank === 0 ? token : `${token}${rank}`, rank),
      ),
    })),
  };
}

function logprob(token: string, rank: number): { token: string; logprob: number; bytes: number[] } {
  return { token, logprob: -0.125 * (rank + 1), bytes: [...Buffer.from(token)] };
}
