// Coding agents that npm has, started by `zeph launch` on the sandbox: a prompt, a tool's round trip, an end by Ctrl-C.
//   node agents.mjs            all that are installed here
//   node agents.mjs codex pi   these
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { startSandbox } from "../dist/sandbox/index.js";

const bin = fileURLToPath(new URL("node_modules/.bin", import.meta.url));
const zeph = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));
const RUN = "run the command `echo hi-from-tool`";
const STAY = "run the command `tail -s 59 -f /dev/null`";
/** How each agent takes a prompt without a terminal, with its tools allowed. */
const AGENTS = {
  claude: (prompt) => ["-p", prompt, "--allowedTools", "Bash"],
  codex: (prompt) => ["exec", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox", prompt],
  opencode: (prompt) => ["run", prompt],
  qwen: (prompt) => ["-y", "-p", prompt],
  pi: (prompt) => ["-p", prompt],
};
const path = [bin, process.env.PATH].join(delimiter);

const home = mkdtempSync(join(tmpdir(), "zeph-compat-"));
const sandbox = await startSandbox();
const { baseURL, keys } = sandbox.broker;
mkdirSync(join(home, "tmp"));
mkdirSync(join(home, "work"));
mkdirSync(join(home, ".config/zeph"), { recursive: true });
writeFileSync(
  join(home, ".config/zeph/config.toml"),
  `[[llm.providers]]\ntype = "compatible"\nname = "box"\nbase_url = "${baseURL}"\nmodel = "sandbox/echo-1"\n`,
);

function launch(agent, prompt) {
  const child = spawn(process.execPath, [zeph, "launch", agent, "--", ...AGENTS[agent](prompt)], {
    cwd: join(home, "work"),
    env: { PATH: path, HOME: home, TMPDIR: join(home, "tmp"), ZEPH_COMPATIBLE_BOX_API_KEY: keys.good },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  child.stdout.on("data", (text) => (output += text));
  child.stderr.on("data", (text) => (output += text));
  const ended = new Promise((resolve) => child.once("close", (code) => resolve({ code, output })));
  return { child, ended };
}

/** Processes of this run, wherever they hang. */
function left() {
  const pids = existsSync("/proc") ? readdirSync("/proc").filter((name) => /^\d+$/.test(name)) : [];
  return pids.filter((pid) => {
    try {
      return readFileSync(`/proc/${pid}/environ`, "latin1").includes(`HOME=${home}\0`);
    } catch {
      return false;
    }
  });
}

async function until(isSo, what) {
  for (let tries = 0; tries < 600; tries += 1) {
    if (isSo()) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`${what} did not happen`);
}

const isStaying = () =>
  execFileSync("ps", ["-A", "-o", "args="], { encoding: "utf8" }).split("\n").includes("tail -s 59 -f /dev/null");

async function check(agent) {
  const prompted = await launch(agent, "count to 5").ended;
  assert.match(prompted.output, /1, 2, 3, 4, 5/, prompted.output);
  assert.equal(prompted.code, 0);
  const called = await launch(agent, RUN).ended;
  assert.match(called.output, /The tool answered:[\s\S]*hi-from-tool/, called.output);
  assert.match(called.output, /\d+ requests? · /);
  const cancelled = launch(agent, STAY);
  await until(isStaying, "the command");
  cancelled.child.kill("SIGINT");
  const { code } = await cancelled.ended;
  // The agent's own: Claude Code says "Execution error" and now and then ends with 0.
  if (agent !== "claude") assert.notEqual(code, 0);
  await until(() => left().length === 0 && !isStaying(), "the end of every process");
  assert.deepEqual(
    readdirSync(join(home, "tmp")).filter((name) => name.startsWith("zeph-launch-")),
    [],
  );
}

const wanted = process.argv.slice(2);
const isThere = (agent) => path.split(delimiter).some((folder) => existsSync(join(folder, agent)));
try {
  for (const agent of wanted.length > 0 ? wanted : Object.keys(AGENTS)) {
    if (wanted.length === 0 && !isThere(agent)) {
      process.stdout.write(`--  ${agent} is not installed here\n`);
      continue;
    }
    await check(agent);
    process.stdout.write(`ok  ${agent}: a prompt, a tool, Ctrl-C\n`);
  }
} finally {
  await sandbox.stop();
  rmSync(home, { recursive: true, force: true });
}
