import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

/** The property tests with many more runs each: `npm run fuzz`, or `npm run fuzz -- src/config` for one folder. */
export default defineConfig({
  resolve: { alias: { "fast-check": fileURLToPath(new URL("test/support/more-runs.ts", import.meta.url)) } },
  test: {
    include: ["src/**/*.prop.test.ts", "test/**/*-properties.test.ts"],
    testTimeout: 30 * 60_000,
    reporters: ["default", "./test/support/summary-reporter.ts"],
    unstubEnvs: true,
  },
});
