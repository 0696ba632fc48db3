// 10 000 signed requests over five faulty nodes, judged by the ledger of the sandbox network:
//   node scripts/soak-native.mjs [requests] [seed]
// The test of the same name runs 1 000 of them with every `npm test`.
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

const [requests = "10000", seed = String(Date.now() % 1_000_000_000)] = process.argv.slice(2);
console.log(`${requests} requests, seed ${seed}`);
const { status } = spawnSync(
  process.execPath,
  ["node_modules/vitest/vitest.mjs", "run", "test/integration/native-soak.test.ts"],
  {
    cwd: fileURLToPath(new URL("..", import.meta.url)),
    stdio: "inherit",
    env: { ...process.env, ZEPH_SOAK_REQUESTS: requests, ZEPH_SOAK_SEED: seed },
  },
);
process.exit(status ?? 1);
