import { compareVersions, parseVersion } from "../../protocol/versions.ts";
import type { Check } from "../check.ts";
import { passed } from "../results.ts";

/** The oldest Node zeph runs on; `engines` in package.json says the same. */
const OLDEST = { major: 20, minor: 19, patch: 0 };

/** @param nodeVersion as `process.versions.node` tells it */
export function nodeVersionCheck(nodeVersion: string): Check {
  return {
    name: "node.version",
    async run() {
      const version = parseVersion(nodeVersion);
      if (version !== undefined && compareVersions(version, OLDEST) < 0) {
        return {
          status: "fail",
          detail: `Node ${nodeVersion} is older than zeph needs`,
          hint: `Install Node ${OLDEST.major}.${OLDEST.minor} or later from https://nodejs.org.`,
          code: "internal",
        };
      }
      return passed(`Node ${nodeVersion}`);
    },
  };
}
