import { createRequire } from "node:module";
import type FastCheck from "fast-check";

/** How many times the runs a property asks for. */
const FACTOR = Number(process.env.FUZZ_FACTOR ?? 50);

// By require, because the fuzz configuration puts this file in the place of the import.
const fastCheck: typeof FastCheck = createRequire(import.meta.url)("fast-check");

/** fast-check with many more runs per property: what `npm run fuzz` gives the tests instead of it. */
const moreRuns: typeof FastCheck = {
  ...fastCheck,
  assert: ((property: FastCheck.IRawProperty<unknown>, parameters: FastCheck.Parameters<unknown> = {}) =>
    fastCheck.assert(property, {
      ...parameters,
      numRuns: (parameters.numRuns ?? 100) * FACTOR,
    })) as typeof FastCheck.assert,
};

export default moreRuns;
