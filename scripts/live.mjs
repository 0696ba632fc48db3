// Looks at the real network: `npm run live`. Opt-in: it asks only whom your environment variables name, and its one
// tiny chat for each may cost a fraction of a cent. What was last seen, and when: docs/live-checks.md.
import { gonkaFetch, listModels, normalizeBaseURL, RequestSigner, ZephError } from "../dist/index.js";

const { env } = process;
const ADVICE = {
  gateway: "set GONKAGATE_API_KEY (GONKA_BASE_URL for another broker, GONKA_MODEL for a certain model)",
  native: "set GONKA_PRIVATE_KEY, and GONKA_TEST_NODES (url;address,url;address) or ZEPH_GONKA_NODE_URL (one node)",
};

const secrets = [];
const rows = [await gateway(), await native()];
for (const { path, verdict } of rows) console.log(`${path}: ${verdict}`);
const ran = rows.filter(({ verdict }) => verdict !== "not run");
if (ran.length > 0) {
  const date = new Date().toISOString().slice(0, 10);
  console.log("\nFor docs/live-checks.md:");
  for (const { path, verdict, target } of ran) console.log(`| ${date} | ${path} | ${target} | ${verdict} |`);
}
// Nothing checked is no success: a check that is always skipped is no check.
process.exitCode = ran.length === 0 ? 2 : ran.every(({ verdict }) => verdict === "passed") ? 0 : 1;

async function gateway() {
  const apiKey = secret("GONKAGATE_API_KEY") ?? secret("ZEPH_COMPATIBLE_GONKAGATE_API_KEY");
  if (apiKey === undefined) return notRun("gateway");
  const baseURL = normalizeBaseURL(given("GONKA_BASE_URL") ?? "https://api.gonkagate.com/v1");
  return attempt("gateway", new URL(baseURL).host, () =>
    ask("gateway", gonkaFetch({ kind: "broker", baseURL, apiKey })),
  );
}

async function native() {
  const privateKey = secret("GONKA_PRIVATE_KEY") ?? secret("ZEPH_GONKA_PRIVATE_KEY");
  const named = given("GONKA_TEST_NODES");
  const sourceUrl = given("ZEPH_GONKA_NODE_URL");
  if (privateKey === undefined || (named === undefined && sourceUrl === undefined)) return notRun("native");
  const target = named === undefined ? new URL(normalizeBaseURL(sourceUrl)).host : `${named.split(",").length} node(s)`;
  return attempt("native", target, async () => {
    const signer = RequestSigner.fromHex(privateKey);
    say("native", "key", `signs as ${signer.address}`);
    const nodes = named === undefined ? { sourceUrl } : { endpoints: named.split(",").map(toNode) };
    await ask("native", gonkaFetch({ kind: "native", signer, ...nodes }));
  });
}

async function ask(path, gonka) {
  const models = await timed(path, "models", async () => {
    const list = await listModels(gonka);
    return [list, `${list.length} listed`];
  });
  const model = given("GONKA_MODEL") ?? models.find(({ kind }) => kind === "chat")?.id;
  if (model === undefined) throw new ZephError("no_models");
  await timed(path, "chat", async () => {
    const response = await gonka(`${gonka.baseURL}/chat/completions`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ model, messages: [{ role: "user", content: "Say hello." }], max_tokens: 16 }),
    });
    const body = await response.json();
    if (!response.ok) {
      const cause = response.headers.get("x-zeph-error-code") ?? `HTTP ${response.status}`;
      throw new Error(`${cause}: ${body?.error?.message ?? "no reason given"}`);
    }
    const reply = body.choices?.[0]?.message;
    if (reply === undefined) throw new Error("the answer has no choices");
    const usage = body.usage?.total_tokens;
    return [reply, `${model}, HTTP 200, ${usage === undefined ? "no usage told" : `${usage} tokens`}`];
  });
}

async function attempt(path, target, run) {
  try {
    await run();
    return { path, target, verdict: "passed" };
  } catch (error) {
    const words = ZephError.is(error) ? `${error.code}: ${error.message}` : String(error?.message ?? error);
    return { path, target, verdict: `failed: ${hide(words).replaceAll("\n", " ")}` };
  }
}

async function timed(path, step, run) {
  const startedAtMs = performance.now();
  const [value, words] = await run();
  say(path, step, `${words} (${Math.round(performance.now() - startedAtMs)} ms)`);
  return value;
}

function say(path, step, words) {
  console.log(hide(`ok  ${path.padEnd(8)} ${step.padEnd(7)} ${words}`));
}

function notRun(path) {
  console.log(`--  ${path.padEnd(8)} ${ADVICE[path]}`);
  return { path, verdict: "not run" };
}

function toNode(pair) {
  const [url = "", address] = pair.split(";").map((part) => part.trim());
  return { baseURL: normalizeBaseURL(url), ...(address === undefined ? {} : { address }) };
}

function given(name) {
  const text = env[name]?.trim();
  return text === "" ? undefined : text;
}

function secret(name) {
  const value = given(name);
  if (value !== undefined) secrets.push(value);
  return value;
}

/** Whatever a server repeats, no key is printed. */
function hide(text) {
  return secrets.reduce((words, value) => words.replaceAll(value, "[redacted]"), text);
}
