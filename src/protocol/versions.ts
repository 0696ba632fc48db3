import { optional, readObject, readText } from "./json/read-value.ts";

/** The three numbers of a version; what follows them (`-post2`, `-rc1`, a commit) does not count. */
export interface Version {
  readonly major: number;
  readonly minor: number;
  readonly patch: number;
}

/** `GET /v1/versions`. */
export interface NodeVersions {
  /** Version of the public API; `undefined` when the build gave itself no readable one. */
  readonly apiVersion: Version | undefined;
  /** As written by the node, to show. */
  readonly apiVersionText: string | undefined;
  /** Of the chain node behind it. */
  readonly chainVersionText: string | undefined;
}

/**
 * First version whose public API answers signed inference requests with 410 and whose chain refuses their transactions
 * (gonka-ai/gonka ee730031, upgrade v0.2.14; on the main network since 2026-07-23).
 */
export const CLASSIC_INFERENCE_RETIRED: Version = { major: 0, minor: 2, patch: 14 };

/** Reads `GET /v1/versions`. Throws `bad_response`. */
export function parseVersions(value: unknown): NodeVersions {
  const root = readObject(value, "versions");
  const textOf = (field: string) => {
    const part = optional(root[field], field, readObject);
    return optional(part?.version, `${field}.version`, readText);
  };
  const apiVersionText = textOf("api_version");
  return {
    apiVersion: apiVersionText === undefined ? undefined : parseVersion(apiVersionText),
    apiVersionText,
    chainVersionText: textOf("node_version"),
  };
}

/** Finds a version in text such as `v0.2.13`, `release/v0.2.9-post2` or `0.2.13-4-g8a35022`. */
export function parseVersion(text: string): Version | undefined {
  const [, major, minor, patch] = /(?<![\d.])v?(\d{1,6})\.(\d{1,6})\.(\d{1,6})/.exec(text) ?? [];
  if (major === undefined || minor === undefined || patch === undefined) return undefined;
  return { major: Number(major), minor: Number(minor), patch: Number(patch) };
}

/** Negative, zero or positive, as `a` is older than, equal to or newer than `b`. */
export function compareVersions(a: Version, b: Version): number {
  return a.major - b.major || a.minor - b.minor || a.patch - b.patch;
}

/**
 * True when a node of this API version takes no signed inference requests any more, so that no prompt should be sent to
 * it. An unknown version says nothing, and counts as not retired.
 */
export function isClassicInferenceRetired(apiVersion: Version | undefined): boolean {
  return apiVersion !== undefined && compareVersions(apiVersion, CLASSIC_INFERENCE_RETIRED) >= 0;
}

export function formatVersion({ major, minor, patch }: Version): string {
  return `${major}.${minor}.${patch}`;
}
