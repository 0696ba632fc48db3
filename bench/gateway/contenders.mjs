// Starts what is compared, each in a process of its own.
import { fork } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const LOCAL_KEY = "sk-zeph-bench-local-key";
const UPSTREAM_PORT = 18_490;

function start(script, args, env = {}) {
  const child = fork(script, args, {
    execArgv: ["--import", new URL("./tell-usage.mjs", import.meta.url).href],
    env: { PATH: process.env.PATH, NODE_ENV: "production", ...env },
    stdio: ["ignore", "ignore", "ignore", "ipc"],
  });
  return {
    stop: () => child.kill("SIGTERM"),
    usage: () =>
      new Promise((resolve) => {
        const take = (message) => {
          if (message.usage === undefined) return;
          child.off("message", take);
          const { user, system } = message.usage.cpuMicros;
          resolve({
            cpuMs: (user + system) / 1000,
            userMs: user / 1000,
            systemMs: system / 1000,
            rssBytes: message.usage.rssBytes,
          });
        };
        child.on("message", take);
        child.send("usage");
      }),
  };
}

/** A home with nothing but one provider in it. */
function zephHome() {
  const home = mkdtempSync(join(tmpdir(), "zeph-bench-"));
  mkdirSync(join(home, ".config/zeph"), { recursive: true });
  const record = `[[llm.providers]]\ntype = "compatible"\nname = "bench"\nbase_url = "http://127.0.0.1:${UPSTREAM_PORT}/v1"\nmodel = "bench/model-1"\n`;
  writeFileSync(join(home, ".config/zeph/config.toml"), record);
  return home;
}

async function untilAnswers(port) {
  for (let tries = 0; tries < 300; tries += 1) {
    const answered = await fetch(`http://127.0.0.1:${port}/`).then(
      () => true,
      () => false,
    );
    if (answered) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`nothing listens on port ${port}`);
}

const PORTKEY = here("../node_modules/@portkey-ai/gateway/build/start-server.js");

/**
 * Everything, ready to be asked. `headers` are what each wants besides the body. `dist` and `before` are builds'
 * cli/main.js; Portkey takes part where it is installed.
 */
export async function startContenders({ zephArguments = [], dist = here("../../dist/cli/main.js"), before } = {}) {
  const key = { authorization: "Bearer gp-bench-key" };
  const upstream = start(here("./upstream.mjs"), [String(UPSTREAM_PORT)]);
  const zeph = (name, port, build) => ({
    name,
    port,
    headers: { authorization: `Bearer ${LOCAL_KEY}` },
    process: start(build, ["serve", "--port", String(port), ...zephArguments], {
      HOME: zephHome(),
      ZEPH_VAULT_BACKEND: "env",
      ZEPH_COMPATIBLE_BENCH_API_KEY: "gp-bench-key",
      ZEPH_LOCAL_GATEWAY_API_KEY: LOCAL_KEY,
    }),
  });
  const contenders = [
    { name: "upstream directly", port: UPSTREAM_PORT, headers: key, process: upstream },
    {
      name: "plain proxy",
      port: 18_491,
      headers: key,
      process: start(here("./plain-proxy.mjs"), ["18491", String(UPSTREAM_PORT)]),
    },
    zeph("zeph serve", 18_492, dist),
    ...(before === undefined ? [] : [zeph("zeph serve before", 18_494, before)]),
    ...(existsSync(PORTKEY)
      ? [
          {
            name: "Portkey 1.15.2",
            port: 18_493,
            headers: {
              ...key,
              "x-portkey-provider": "openai",
              "x-portkey-custom-host": `http://127.0.0.1:${UPSTREAM_PORT}/v1`,
            },
            process: start(PORTKEY, ["--port=18493", "--headless"]),
          },
        ]
      : []),
  ];
  await Promise.all(contenders.map(({ port }) => untilAnswers(port)));
  return {
    contenders,
    stop() {
      for (const each of contenders) each.process.stop();
    },
  };
}
