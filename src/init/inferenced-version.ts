import { scrub } from "../internal/redact.ts";
import { compareVersions, formatVersion, parseVersion, type Version } from "../protocol/versions.ts";

/**
 * Oldest `inferenced` that set-up is made for: the first with `publish-pubkey`, which a new key needs before any signed
 * request (gonka-ai/gonka commit d8b8e907, release v0.2.12, 2026-04-30). The official documents asked for v0.2.13 in
 * mid-2026. An older one is a warning, never a dead end.
 */
export const MIN_INFERENCED_VERSION: Version = { major: 0, minor: 2, patch: 12 };

/** Where `inferenced` is to be had. */
export const INFERENCED_RELEASES = "https://github.com/gonka-ai/gonka/releases";

export interface InferencedVersion {
  /** As the program writes it; empty when it wrote nothing. */
  readonly text: string;
  readonly fit: "ok" | "too-old" | "unreadable";
}

/** Builds outside a release print a hash, or more around the number; that is no reason to refuse them. */
export function judgeVersion(text: string): InferencedVersion {
  const shown = scrub(text);
  const version = parseVersion(shown);
  if (version === undefined) return { text: shown, fit: "unreadable" };
  return { text: shown, fit: compareVersions(version, MIN_INFERENCED_VERSION) < 0 ? "too-old" : "ok" };
}

export function versionAdvice({ text, fit }: InferencedVersion): string | undefined {
  const wanted = `zeph was made for v${formatVersion(MIN_INFERENCED_VERSION)} and newer: ${INFERENCED_RELEASES}`;
  if (fit === "ok") return undefined;
  return fit === "too-old" ? `inferenced ${text} is old. ${wanted}` : `inferenced does not tell its version. ${wanted}`;
}
