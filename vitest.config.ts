import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["src/**/*.test.ts", "test/**/*.test.ts", "examples/**/*.test.ts"],
    // Vitest leaves one core to itself, which on two cores would halve the speed.
    maxWorkers: "100%",
    testTimeout: 30_000,
    // The summary line that CI reads; see test/support/summary-reporter.ts.
    reporters: ["default", "./test/support/summary-reporter.ts"],
    unstubEnvs: true,
  },
});
