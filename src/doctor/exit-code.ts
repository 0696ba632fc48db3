import { CATALOGUE, EXIT, type ZephErrorCode } from "../errors/catalogue.ts";
import type { CheckReport } from "./check.ts";

/**
 * Exit codes in the order in which a chat would meet their causes: what is wrong on this computer, whether the network
 * takes such requests at all, whether anybody answers, who asks, for what, with which money.
 */
const WORST_FIRST: readonly number[] = [
  EXIT.usage,
  EXIT.configOrVault,
  EXIT.nativeClosed,
  EXIT.unreachable,
  EXIT.authentication,
  EXIT.model,
  EXIT.billing,
  EXIT.rateLimited,
  EXIT.pricing,
  EXIT.failure,
];

/** Found before anything is sent. */
const EARLY: ReadonlySet<ZephErrorCode> = new Set(["budget_reached"]);

/** Nodes compare timestamps after everything else (refusal row 13), so a wrong clock shows last. */
const LATE: ReadonlySet<ZephErrorCode> = new Set(["clock_skew", "chain_stalled"]);

/** The exit code of the worst of these reports; 0 when there are none. */
export function worstExitCode(reports: readonly CheckReport[]): number {
  const ranked = reports
    .map(({ code }) => ({ exitCode: code === undefined ? EXIT.failure : CATALOGUE[code].exitCode, code }))
    .map(({ exitCode, code }) => ({ exitCode, rank: rankOf(exitCode, code) }))
    .sort((a, b) => a.rank - b.rank);
  return ranked[0]?.exitCode ?? EXIT.ok;
}

function rankOf(exitCode: number, code: ZephErrorCode | undefined): number {
  if (code !== undefined && LATE.has(code)) return WORST_FIRST.indexOf(EXIT.billing) + 0.5;
  if (code !== undefined && EARLY.has(code)) return WORST_FIRST.indexOf(EXIT.configOrVault) + 0.5;
  const rank = WORST_FIRST.indexOf(exitCode);
  return rank === -1 ? WORST_FIRST.length : rank;
}
