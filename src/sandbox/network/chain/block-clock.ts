import type { Clock } from "../../../internal/clock.ts";

export interface Block {
  readonly height: number;
  readonly timeMs: number;
}

/** The network's time: blocks that follow the clock given, a second behind, and everything a test may do to them. */
export interface BlockClock {
  /** The latest block: the only clock request timestamps are judged by. */
  latest(): Block;
  /** The height and time of any block up to the latest. */
  at(height: number): Block;
  /** Wall time of the network's servers, what their `Date` header tells; `skewMs` away from the clock given. */
  nowMs(): number;
  /** Puts the network's time ahead (or behind) of the clock given, as when the user's clock is wrong. */
  setSkew(skewMs: number): void;
  /** Stops block production: wall time goes on, the latest block stays. */
  stall(): void;
  resume(): void;
  /** Adds blocks at once. Their time goes up by `intervalMs` each, default 5000. */
  produce(count: number, intervalMs?: number): void;
}

const BLOCK_INTERVAL_MS = 5_000;
/** How long a block takes to be seen; with the interval it puts a correct clock 1 to 6 s ahead of the latest block. */
const BLOCK_DELAY_MS = 1_000;

/** Blocks from `startHeight` on, one every 5 seconds of `clock`. */
export function blockClock(clock: Pick<Clock, "nowMs">, startHeight: number): BlockClock {
  const startMs = clock.nowMs() - BLOCK_DELAY_MS;
  let skewMs = 0;
  let producedBlocks = 0;
  let producedMs = 0;
  let stalledAt: Block | undefined;
  const nowMs = () => clock.nowMs() + skewMs;

  function running(): Block {
    const regular = Math.floor((nowMs() - BLOCK_DELAY_MS - startMs) / BLOCK_INTERVAL_MS);
    return {
      height: startHeight + Math.max(regular, 0) + producedBlocks,
      timeMs: startMs + regular * BLOCK_INTERVAL_MS + producedMs,
    };
  }
  const latest = () => stalledAt ?? running();

  return {
    latest,
    at(height) {
      const last = latest();
      return { height, timeMs: last.timeMs - (last.height - height) * BLOCK_INTERVAL_MS };
    },
    nowMs,
    setSkew: (value) => {
      skewMs = value;
    },
    stall: () => {
      stalledAt ??= running();
    },
    resume: () => {
      stalledAt = undefined;
    },
    produce(count, intervalMs = BLOCK_INTERVAL_MS) {
      producedBlocks += count;
      producedMs += count * intervalMs;
      if (stalledAt !== undefined) {
        stalledAt = { height: stalledAt.height + count, timeMs: stalledAt.timeMs + count * intervalMs };
      }
    },
  };
}
