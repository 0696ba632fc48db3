import { describe, expect, it } from "vitest";
import { testCli } from "../../../test/support/cli-context.ts";
import type { CliContext } from "../../base/world.ts";
import type { Flags } from "../command-table.ts";
import { runSandbox } from "./sandbox.ts";

/** Starts the command, does something while it runs, then presses Ctrl-C. */
async function whileRunning(
  flags: Flags<"sandbox">,
  use: (started: { baseURL: string; key: string; stdout: string }) => Promise<void>,
  more: Partial<CliContext> = {},
) {
  const cli = testCli({ homeDir: "/nonexistent", json: more.json === true });
  const interrupt = new AbortController();
  const exitCode = runSandbox({ ...cli.context, ...more, signal: interrupt.signal }, flags);
  exitCode.catch(() => {});
  while (cli.stdout() === "") await Promise.race([new Promise(setImmediate), exitCode]);
  const stdout = cli.stdout();
  const baseURL = /http:\/\/127\.0\.0\.1:\d+\/v1/.exec(stdout)?.[0] ?? "";
  const key = /\bgp-\w{40}\b/.exec(stdout)?.[0] ?? "";
  await use({ baseURL, key, stdout });
  interrupt.abort();
  return { exitCode: await exitCode, stdout: cli.stdout(), stderr: cli.stderr() };
}

const ask = (baseURL: string, key: string, body?: object) =>
  fetch(`${baseURL}${body === undefined ? "/models" : "/chat/completions"}`, {
    headers: { authorization: `Bearer ${key}` },
    ...(body === undefined ? {} : { method: "POST", body: JSON.stringify(body) }),
  });

describe("zeph sandbox", () => {
  it("shows how to use it, logs requests without keys or prompts, and stops on Ctrl-C", async () => {
    const { exitCode, stdout, stderr } = await whileRunning({ pace: "0" }, async ({ baseURL, key }) => {
      const messages = [{ role: "user", content: "say planted words" }];
      const response = await ask(baseURL, key, { model: "sandbox/echo-1", messages });
      expect(await response.text()).toContain("planted words");
      expect((await ask(baseURL, "gp-nobody")).status).toBe(401);
    });
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/ {2}printf %s gp-\w{40} \| zeph init --yes --path gateway --broker custom --base-url http/);
    expect(stdout).toContain("--key-stdin --model sandbox/echo-1");
    expect(stdout).toMatch(/outOfMoney +gp-\w{40} +429 insufficient_quota/);
    expect(stderr).toMatch(/^POST \/v1\/chat\/completions 200 \d+ ms \(key: good\)$/m);
    expect(stderr).toMatch(/^GET \/v1\/models 401 \d+ ms \(key: wrong\)$/m);
    expect(stderr).not.toMatch(/gp-|planted/);
    expect(stderr).toMatch(/\nThe sandbox is stopped\.\n$/);
  });

  it("prints one JSON object with everything in it", async () => {
    const { stdout } = await whileRunning({}, async () => {}, { json: true });
    const { ok, data } = JSON.parse(stdout);
    expect(ok).toBe(true);
    expect(data.broker.baseURL).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/v1$/);
    expect(Object.keys(data.broker.keys)).toContain("rateLimited");
    expect(data.broker.models[0]).toEqual({ id: "sandbox/echo-1", kind: "chat" });
    expect(data.initCommand).toContain(data.broker.baseURL);
  });

  it("starts devshard hosts and a chain, with an account that may open escrows, and logs what they are asked", async () => {
    const { stdout, stderr } = await whileRunning(
      { devshard: true },
      async ({ stdout: shown }) => {
        const { sourceUrl, hosts, account } = JSON.parse(shown).data.devshard;
        const answer = await fetch(`${sourceUrl}/chain-api/productscience/inference/inference/params`);
        const { params } = (await answer.json()) as { params: { devshard_escrow_params: object } };
        expect(params.devshard_escrow_params).toMatchObject({ allowed_creator_addresses: [account.address] });
        expect(await (await fetch(`${hosts[2].url}/healthz`)).json()).toEqual({ status: "ok" });
      },
      { json: true },
    );
    const { devshard } = JSON.parse(stdout).data;
    expect(devshard.configToml).toContain(`access = "devshard"\ngonka_source_url = "${devshard.sourceUrl}"\n`);
    expect(stderr).toMatch(/^chain GET \/chain-api\/productscience\/inference\/inference\/params 200 \d+ ms$/m);
    expect(stderr).toMatch(/^host-3 GET \/healthz 200 \d+ ms$/m);
    expect(stderr).not.toContain(devshard.account.privateKeyHex);
  });

  it("plays the faults it is given on every request", async () => {
    const { stderr } = await whileRunning({ fault: ["status:503"] }, async ({ baseURL, key }) => {
      expect([(await ask(baseURL, key)).status, (await ask(baseURL, key)).status]).toEqual([503, 503]);
    });
    expect(stderr).toContain("(key: good, fault: status)");
  });

  it.each([
    [{ port: "99999" }, "usage"],
    [{ pace: "fast" }, "usage"],
    [{ fault: ["explode"] }, "usage"],
  ])("refuses %j", async (flags, code) => {
    const { context } = testCli({ homeDir: "/nonexistent" });
    await expect(runSandbox(context, flags)).rejects.toMatchObject({ code });
  });
});
