import { Ledger } from "./ledger.ts";
import type { SignedDiff } from "./messages.ts";
import { refusalOf } from "./refusals.ts";
import { DEVSHARD_VERSIONS, type DevshardConfig, devshardRules } from "./rules.ts";
import { replayDiff } from "./strict.ts";

/**
 * What most likely makes two sides compute different roots for a diff: the diff is tried under the settings that differ
 * between versions and networks, and the first under which the other root comes out is named.
 *
 * @param before the ledger before the diff; it is not changed
 * @param diff with the root of the other side
 */
export function mismatchCause(before: Ledger, diff: Omit<SignedDiff, "userSig">): string | undefined {
  const snapshot = before.snapshot();
  const { config } = before;
  for (const { words, changes } of suspects(config)) {
    const other = { ...config, ...changes };
    const ledger = Ledger.restore(other, snapshot, devshardRules(other.version));
    if (refusalOf(() => replayDiff(ledger, diff)) === undefined) return words;
  }
  if (config.autoSealEvery > 0 && diff.nonce % config.autoSealEvery === 0) {
    return `it is a nonce at which inferences are sealed, so the settings for sealing (${config.sealGraceNonces} nonces, ${config.sealGraceSeconds} s) may differ`;
  }
  if (diff.txs.some(({ kind }) => kind === "confirm" || kind === "finish")) {
    return "a signature in it may be by another key than the slot's own, which one side knows a grant for and the other does not";
  }
  return undefined;
}

interface Suspect {
  readonly words: string;
  readonly changes: Partial<DevshardConfig>;
}

function suspects({
  version,
  group,
  voteThreshold,
  autoSealEvery,
  feePerNonce,
  tokenPrice,
}: DevshardConfig): Suspect[] {
  const versions = DEVSHARD_VERSIONS.filter((name) => name !== version).map((name) => ({
    words: `the other side takes this devshard for version ${name}, not ${version}`,
    changes: { version: name },
  }));
  const thresholds = group.flatMap((_, slots) =>
    slots === voteThreshold
      ? []
      : [
          {
            words: `the other side lets ${slots} votes not decide, not ${voteThreshold}`,
            changes: { voteThreshold: slots },
          },
        ],
  );
  return [
    ...versions,
    ...(feePerNonce === 1_000n
      ? []
      : [{ words: "the other side takes the default fee per nonce", changes: { feePerNonce: 1_000n } }]),
    ...(tokenPrice === 1n
      ? []
      : [{ words: "the other side takes the default price of a token", changes: { tokenPrice: 1n } }]),
    ...(autoSealEvery === 150
      ? []
      : [{ words: "the other side seals at every 150th nonce, as is the default", changes: { autoSealEvery: 150 } }]),
    ...thresholds,
  ];
}
