export type ReplayRole = "transfer" | "executor";

const SECONDS_PER_BLOCK_ASSUMED = 4;
const MIN_BLOCKS = 4;
const DEFAULT_EXPIRATION_SECONDS = 10;

/**
 * One node's memory of Authorization strings, per role, for max(4, 2 · expiration / 4) blocks: 30 on mainnet.
 * Source: gonka-ai/gonka decentralized-api/internal/server/public/post_chat_handler.go:136-212 at 8a35022b.
 */
export class ReplayMemory {
  readonly #seen = new Map<string, { readonly height: number; readonly roles: Set<ReplayRole> }>();

  /** Notes the use. @returns true when this role has used the key before */
  isRepeated(authorization: string, role: ReplayRole, at: { height: number; expirationSeconds: number }): boolean {
    const known = this.#seen.get(authorization);
    if (known !== undefined) {
      if (known.roles.has(role)) return true;
      known.roles.add(role);
      return false;
    }
    this.#seen.set(authorization, { height: at.height, roles: new Set([role]) });
    this.#forget(at);
    return false;
  }

  #forget({ height, expirationSeconds }: { height: number; expirationSeconds: number }): void {
    const seconds = expirationSeconds === 0 ? DEFAULT_EXPIRATION_SECONDS : expirationSeconds;
    const blocks = Math.max(MIN_BLOCKS, Math.floor((seconds * 2) / SECONDS_PER_BLOCK_ASSUMED));
    for (const [authorization, use] of this.#seen) {
      // A Map keeps insertion order, so the first young one ends the walk.
      if (use.height >= height - blocks) return;
      this.#seen.delete(authorization);
    }
  }
}
