// Runs an example: `npm run example -- openai-sdk`. Against a sandbox it starts, unless your own key is set.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { startSandbox } from "../dist/sandbox/index.js";
import { transpileExamples } from "./transpile-examples.mjs";

const [name = "", ...rest] = process.argv.slice(2);
const folder = transpileExamples();
const file = join(folder, `${name.replace(/\.[jt]s$/, "")}.js`);
const isLive = process.env.GONKAGATE_API_KEY !== undefined || process.env.GONKA_PRIVATE_KEY !== undefined;
const sandbox = isLive ? undefined : await startSandbox({ network: true });
try {
  if (name === "" || !existsSync(file)) throw new Error("Name an example of the examples folder, such as openai-sdk.");
  console.error(isLive ? "With your own key." : "Against a sandbox. Set GONKAGATE_API_KEY to ask the real network.");
  const env = { ...process.env, ...(sandbox === undefined ? {} : sandboxEnvironment(sandbox)) };
  const child = spawn(process.execPath, [file, ...rest], { env, stdio: "inherit" });
  process.exitCode = (await once(child, "exit"))[0] ?? 1;
} catch (error) {
  console.error(error.message);
  process.exitCode = 2;
} finally {
  await sandbox?.stop();
  rmSync(folder, { recursive: true, force: true });
}

function sandboxEnvironment({ broker, network }) {
  return {
    GONKA_BASE_URL: broker.baseURL,
    GONKAGATE_API_KEY: broker.keys.good,
    GONKA_MODEL: broker.models[0].id,
    GONKA_SOURCE_URL: network.sourceUrl,
    GONKA_PRIVATE_KEY: network.createAccount().privateKeyHex,
  };
}
