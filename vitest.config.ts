import { availableParallelism } from "node:os";
import { defineConfig } from "vitest/config";

const INCLUDED = ["src/**/*.test.ts", "test/**/*.test.ts", "examples/**/*.test.ts"];

/** They change the whole process: its environment, its globals, or what another file has loaded. */
const ALONE = ["src/ai-sdk/access.test.ts", "src/wire/without-wasm.test.ts", "test/integration/peers-*.test.ts"];

export default defineConfig({
  test: {
    // A third of the time is spent waiting for processes and servers. (A percentage above 100 counts as 100.)
    maxWorkers: Math.ceil(availableParallelism() * 1.5),
    // The summary line that CI reads; see test/support/summary-reporter.ts.
    reporters: ["default", "./test/support/summary-reporter.ts"],
    projects: [
      // One process loads the code once for all of its files, which takes a third of the time away.
      { extends: true, test: { name: "together", include: INCLUDED, exclude: ALONE, isolate: false } },
      { extends: true, test: { name: "alone", include: ALONE, isolate: true } },
    ],
    testTimeout: 90_000,
    unstubEnvs: true,
    unstubGlobals: true,
    restoreMocks: true,
  },
});
