// Shows zeph at work without an account: starts the sandbox, sets zeph up as a user would, and asks by every path.
// Everything happens in a temporary home folder; nothing of yours is read or written.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const cli = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));

if (process.argv.includes("--page")) {
  // `npm run demo -- --page`: the page, with a sandbox behind it, until Ctrl-C.
  const serving = spawn(process.execPath, [cli, "serve", "--demo"], { stdio: "inherit" });
  process.on("SIGINT", () => {});
  const [code] = await once(serving, "exit");
  process.exit(code ?? 1);
}

const home = mkdtempSync(join(tmpdir(), "zeph-demo-"));
const env = {
  PATH: process.env.PATH,
  HOME: home,
  USERPROFILE: home,
  TERM: process.env.TERM,
  NO_COLOR: process.env.NO_COLOR,
  FORCE_COLOR: process.env.FORCE_COLOR,
};
for (const name of Object.keys(env)) if (env[name] === undefined) delete env[name];

const sandbox = spawn(process.execPath, [cli, "sandbox", "--network", "--devshard", "--json", "--pace", "60"], {
  env,
  stdio: ["ignore", "pipe", "ignore"],
});
try {
  heading("A sandbox broker, network and devshard start on this computer");
  const { broker, network, devshard } = await firstJson(sandbox.stdout);
  say(`broker    ${broker.baseURL}`);
  for (const node of network.nodes) say(`node      ${node.baseURL}  ${node.address}`);
  for (const host of devshard.hosts) say(`host      ${host.url}     ${host.address}`);

  heading("Gateway: a broker's key");
  await zeph(
    [
      "init",
      "--yes",
      "--path",
      "gateway",
      "--broker",
      "custom",
      "--name",
      "sandbox",
      "--base-url",
      broker.baseURL,
      "--key-stdin",
      "--model",
      "auto",
    ],
    broker.keys.good,
  );
  await zeph(["ask", "--provider", "sandbox", "Write 24 words about a friendly network."]);

  heading("Native: requests signed with your own key, checked by every node");
  await zeph(
    [
      "init",
      "--yes",
      "--path",
      "native",
      "--source-url",
      network.sourceUrl,
      "--key-stdin",
      "--model",
      "auto",
      "--no-default",
    ],
    network.account.privateKeyHex,
  );
  await zeph(["ask", "--provider", "gonka", "Count to 12."]);

  heading("Devshard: chats paid from an escrow of your own, as the network is today");
  const config = join(home, "devshard.toml");
  writeFileSync(config, devshard.configToml);
  env.ZEPH_GONKA_PRIVATE_KEY = devshard.account.privateKeyHex;
  const escrow = (...args) => zeph(["--config", config, "--vault", "env", ...args]);
  await escrow("devshard", "check");
  await escrow("devshard", "open", "--amount", "5", "--yes");
  await escrow("ask", "Count to 12.");
  await escrow("devshard", "audit", "1");
  await escrow("devshard", "close", "--yes");

  heading("All three work. For the real network");
  say("npm link        once, so that `zeph` is on your path (or use: node dist/cli/main.js)");
  say("zeph init       choose Gonka via GonkaGate and paste your gp-… key; keys: https://gonkagate.com/en/register");
  say("zeph            chat");
  say("");
  say(
    "Gonka's main network closed directly signed requests on 2026-07-23; what is signed directly is for private and test networks,",
  );
  say("and escrows are for accounts that the network has listed (docs/guides/devshard.md).");
} finally {
  sandbox.kill();
  await once(sandbox, "exit");
  rmSync(home, { recursive: true, force: true });
}

function heading(text) {
  console.log(`\n── ${text}\n`);
}

function say(text) {
  console.log(`   ${text}`);
}

/** Shows the command and runs it. The key goes through standard input, as it should. */
async function zeph(args, stdin = "") {
  const shown = args.map((argument) => (/[\s…]/.test(argument) ? JSON.stringify(argument) : argument)).join(" ");
  console.log(`$ zeph ${shown}${stdin === "" ? "" : "   (key on standard input)"}`);
  const child = spawn(process.execPath, [cli, ...args], { env, stdio: ["pipe", "inherit", "inherit"] });
  child.stdin.end(stdin);
  const [code] = await once(child, "exit");
  if (code !== 0) {
    process.exitCode = 1;
    throw new Error(`zeph ${args[0]} ended with exit code ${code}`);
  }
  console.log("");
}

/** The sandbox prints one JSON object when it is ready. */
async function firstJson(stream) {
  let text = "";
  for await (const chunk of stream) {
    text += chunk;
    try {
      return JSON.parse(text).data;
    } catch {
      // The object has not arrived whole yet.
    }
  }
  throw new Error("the sandbox did not start");
}
