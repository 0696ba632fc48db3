import { spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { startSandbox } from "../src/sandbox/index.ts";

/** scripts/live.mjs against the built package, with these variables and no others. */
async function live(env: Readonly<Record<string, string>>) {
  const script = fileURLToPath(new URL("../scripts/live.mjs", import.meta.url));
  const child = spawn(process.execPath, [script], { env, stdio: ["ignore", "pipe", "pipe"] });
  const [printed, complained, [exitCode]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, "close"),
  ]);
  return { printed: printed + complained, exitCode };
}

it("npm run live asks nobody without its variables, and does not call that a success", async () => {
  const { printed, exitCode } = await live({});
  expect(printed).toMatch(/gateway: not run\nnative: not run\n$/);
  for (const name of ["GONKAGATE_API_KEY", "GONKA_TEST_NODES", "ZEPH_GONKA_NODE_URL"]) expect(printed).toContain(name);
  expect(exitCode).toBe(2);
});

it("npm run live lists models and chats once on either path, and prints no key", async () => {
  const { broker, network, stop } = await startSandbox({ network: true });
  const gateway = { GONKAGATE_API_KEY: broker.keys.good, GONKA_BASE_URL: broker.baseURL };
  const privateKey = network.createAccount().privateKeyHex;
  try {
    const both = await live({ ...gateway, GONKA_PRIVATE_KEY: privateKey, ZEPH_GONKA_NODE_URL: network.sourceUrl });
    expect(both.printed).toMatch(/gateway: passed\nnative: passed\n/);
    expect(both.exitCode).toBe(0);
    expect(broker.requests.filter(({ method }) => method === "POST")).toHaveLength(1);
    const wrong = await live({ ...gateway, GONKAGATE_API_KEY: broker.keys.wrong });
    expect(wrong.printed).toMatch(/gateway: failed: invalid_api_key: .*\nnative: not run\n/);
    expect(wrong.exitCode).toBe(1);
    for (const key of [privateKey, broker.keys.good, broker.keys.wrong]) {
      expect(both.printed + wrong.printed).not.toContain(key);
    }
  } finally {
    await stop();
  }
}, 30_000);
