import { rm } from "node:fs/promises";
import { join } from "node:path";
import { zephFolders } from "../config/paths.ts";
import { writeFileAtomic } from "../internal/atomic-file.ts";
import { changingFile } from "../internal/lock-file.ts";
import { readRegularText } from "../internal/regular-file.ts";
import type { SetupWorld } from "./setup.ts";

/** Larger ones were not written by us. */
const MAX_BYTES = 1 * 1024 * 1024;

/** How fast a provider has been. */
export interface Latency {
  readonly answers: number;
  /** Until the response headers; newer answers count more. */
  readonly averageMs: number;
  readonly lastAtMs: number;
}

export type Latencies = Readonly<Record<string, Latency>>;

/** What is remembered of the providers' speed, in zeph's state folder (0600). */
export interface LatencyMemory {
  readonly path: string;
  read(): Promise<Latencies>;
  note(provider: string, elapsedMs: number): Promise<void>;
  /** Forgets everything. Throws nothing when there is nothing. */
  reset(): Promise<void>;
}

/** An answer waits for no longer. */
const LOCK_WAIT_MS = 3_000;

/** Part of the newest answer in the average. */
const NEWEST = 0.3;

/** Opens the memory of speeds. What cannot be read is empty; what cannot be written is not remembered. */
export function latencyMemory(
  world: Pick<SetupWorld, "env" | "homeDir" | "platform"> & { readonly clock: Pick<SetupWorld["clock"], "nowMs"> },
): LatencyMemory {
  const path = join(zephFolders(world).state, "latencies.json");
  async function read(): Promise<Latencies> {
    try {
      return parseLatencies(JSON.parse((await readRegularText(path, { maxBytes: MAX_BYTES })) ?? ""));
    } catch {
      // Missing or damaged: nothing is known yet.
      return {};
    }
  }
  return {
    path,
    read,
    async note(provider, elapsedMs) {
      const add = async () => {
        const known = await read();
        const { answers = 0, averageMs = elapsedMs } = known[provider] ?? {};
        const latency: Latency = {
          answers: answers + 1,
          averageMs: Math.round(averageMs + NEWEST * (elapsedMs - averageMs)),
          lastAtMs: world.clock.nowMs(),
        };
        await writeFileAtomic(path, `${JSON.stringify({ ...known, [provider]: latency })}\n`);
      };
      await changingFile(path, add, { waitMs: LOCK_WAIT_MS }).catch(() => {
        // A full or read-only disk, or a busy one, must not keep an answer from the user.
      });
    },
    reset: () => rm(path, { force: true }),
  };
}

function parseLatencies(value: unknown): Latencies {
  if (typeof value !== "object" || value === null) return {};
  return Object.fromEntries(Object.entries(value).filter((entry): entry is [string, Latency] => isLatency(entry[1])));
}

function isLatency(value: unknown): value is Latency {
  if (typeof value !== "object" || value === null) return false;
  const { answers, averageMs, lastAtMs } = value as Partial<Record<keyof Latency, unknown>>;
  return [answers, averageMs, lastAtMs].every((number) => typeof number === "number" && number >= 0);
}

/** Fastest first. Those nobody has asked yet come before them, in their order: else they would never be asked. */
export function fastestFirst(names: readonly string[], latencies: Latencies): readonly string[] {
  return [...names].sort((a, b) => (latencies[a]?.averageMs ?? -1) - (latencies[b]?.averageMs ?? -1));
}
