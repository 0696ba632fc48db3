import { asObject } from "./json/measure-json.ts";
import { readObject } from "./json/read-value.ts";

/** The three numbers of a version; what follows them (`-post2`, `-rc1`, a commit) does not count. */
export interface Version {
  readonly major: number;
  readonly minor: number;
  readonly patch: number;
}

/** `GET /v1/versions`. */
export interface NodeVersions {
  /**
   * Version of the public API, or where its build gave itself no readable one, of the chain node behind it: a network
   * upgrades both in one go. `undefined` when neither can be read.
   */
  readonly apiVersion: Version | undefined;
  /** The same as the node wrote it, to show; or what it wrote instead of one. */
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
  const apiText = versionText(root.api_version);
  const chainVersionText = versionText(root.node_version);
  const readable = [apiText, chainVersionText].find((text) => text !== undefined && parseVersion(text) !== undefined);
  return {
    apiVersion: readable === undefined ? undefined : parseVersion(readable),
    apiVersionText: readable ?? apiText,
    chainVersionText,
  };
}

/** Build-time strings: what is of another type or blank is one the build did not set. */
function versionText(part: unknown): string | undefined {
  const text = asObject(part)?.version ?? part;
  return typeof text === "string" && text.trim() !== "" ? text : undefined;
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
