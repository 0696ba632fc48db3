import { mkdtemp, readFile, rm } from "node:fs/promises";
import type { ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parseSpending, usageBuckets } from "../../src/journal/ledger.ts";
import { type CompiledSources, compileSources } from "../support/compile-sources.ts";
import { COPY_KEY, eventually, type ServeCopy, startCopy } from "../support/serve-copy.ts";
import { type ScriptedEndpoint, scriptedEndpoint, sendJson } from "./ai-sdk-scripted-endpoint.ts";

const ANSWER = {
  ...{ id: "chatcmpl-1", object: "chat.completion", created: 1, model: "owner/model" },
  choices: [{ index: 0, message: { role: "assistant", content: "Hello" }, finish_reason: "stop" }],
  usage: { prompt_tokens: 5, completion_tokens: 100, total_tokens: 105 },
};

let sources: CompiledSources;
let home: string;
let upstream: ScriptedEndpoint;
let copy: ServeCopy;
/** Answers that wait for the gate. */
const waiting: ServerResponse[] = [];
let isGateOpen = true;

const openGate = () => {
  isGateOpen = true;
  for (const response of waiting.splice(0)) sendJson(response, 200, JSON.stringify(ANSWER));
};

beforeAll(async () => {
  sources = await compileSources(["cli/main.ts"]);
  home = await mkdtemp(join(tmpdir(), "zeph-workers-"));
  upstream = await scriptedEndpoint((_, response) => {
    if (isGateOpen) sendJson(response, 200, JSON.stringify(ANSWER));
    else waiting.push(response);
  });
  const program = join(sources.folder, "cli/main.js");
  copy = await startCopy({ program, home, upstream: upstream.baseURL, dailyCents: 2, args: ["--workers", "2"] });
  await eventually(async () => (await workerPids()).length === 2);
}, 60_000);

afterAll(async () => {
  await copy?.[Symbol.asyncDispose]();
  await upstream?.[Symbol.asyncDispose]();
  await sources?.remove();
  await rm(home, { recursive: true, force: true });
});

async function workerPids(): Promise<number[]> {
  const text = await readFile(`/proc/${copy.pid}/task/${copy.pid}/children`, "utf8");
  return text.trim().split(" ").filter(Boolean).map(Number);
}

const sampleOf = (metrics: string, start: string) =>
  metrics
    .split("\n")
    .filter((line) => line.startsWith(start))
    .reduce((sum, line) => sum + Number(line.split(" ").at(-1)), 0);

describe("zeph serve --workers", () => {
  it("keeps one limit among all workers, counts each answer once, and adds the numbers up", async () => {
    isGateOpen = false;
    // Two cents are twenty answers, whichever worker is asked.
    const asked = Array.from({ length: 50 }, () => copy.chat());
    let refused = 0;
    for (const each of asked) {
      void each.then(({ status }) => {
        if (status === 402) refused += 1;
      });
    }
    await eventually(() => refused === 30 && waiting.length === 20);
    openGate();
    const statuses = (await Promise.all(asked)).map(({ status }) => status);
    expect(statuses.filter((status) => status === 200)).toHaveLength(20);
    expect(upstream.seen).toHaveLength(20);
    const after = await copy.chat();
    expect([after.status, after.headers.get("x-zeph-error-code")]).toEqual([402, "budget_reached"]);
    expect(await after.text()).toContain("2.0 of 2 cents are spent today");
    for (let round = 0; round < 4; round += 1) {
      const metrics = await (await copy.get("/metrics")).text();
      expect(
        sampleOf(metrics, 'zeph_requests_total{route="chat",provider="box",model="owner/model",status="200"}'),
      ).toBe(20);
      expect(sampleOf(metrics, 'zeph_requests_total{route="chat",provider="box",model="",status="402"}')).toBe(31);
      expect(sampleOf(metrics, 'zeph_endpoints{state="usable"}')).toBe(1);
      expect(metrics.match(/^# TYPE zeph_requests_total /gm)).toHaveLength(1);
    }
    const ledger = join(home, ".local/state/zeph/spent.jsonl");
    await eventually(async () => {
      const lines = parseSpending(await readFile(ledger, "utf8").catch(() => ""));
      const [day] = usageBuckets(lines, { by: "all", split: [] });
      return day?.requests === 51 && day.errors === 31 && Math.abs((day.usd ?? 0) - 0.02) < 1e-9;
    });
  });

  it("lets any worker find what another answered", async () => {
    await using free = await startCopy({
      ...{ program: join(sources.folder, "cli/main.js"), upstream: upstream.baseURL, dailyCents: 0 },
      ...{ home: join(home, "free"), args: ["--workers", "2", "--quiet"] },
    });
    const first = (await (
      await free.post("/responses", { input: "My name is Ada.", model: "owner/model" })
    ).json()) as {
      readonly id: string;
      readonly output: readonly { readonly id: string }[];
    };
    for (let round = 0; round < 6; round += 1) {
      const kept = await free.get(`/v1/responses/${first.id}`);
      expect(kept.status).toBe(200);
      const next = await free.post("/responses", {
        input: "And?",
        model: "owner/model",
        previous_response_id: first.id,
      });
      expect(next.status).toBe(200);
      const sent = JSON.stringify(upstream.seen.at(-1)?.body.messages);
      expect(sent).toContain("My name is Ada.");
      const item = { type: "item_reference", id: first.output.at(-1)?.id };
      const again = await free.post("/responses", {
        input: [item, { role: "user", content: "?" }],
        model: "owner/model",
      });
      expect(again.status).toBe(200);
    }
    expect(
      (await fetch(`${free.baseURL}/responses/${first.id}`, { method: "DELETE", headers: { "x-api-key": COPY_KEY } }))
        .status,
    ).toBe(200);
    for (let round = 0; round < 4; round += 1) expect((await free.get(`/v1/responses/${first.id}`)).status).toBe(404);
    expect(await free.end("SIGINT")).toBe(0);
  });

  it("replaces a worker that dies, and says so; the others go on", async () => {
    const [victim = 0] = await workerPids();
    process.kill(victim, "SIGKILL");
    await eventually(() => copy.stderr().includes(`worker ${victim} ended (SIGKILL); another takes its place`));
    await eventually(async () => (await workerPids()).length === 2);
    for (let round = 0; round < 4; round += 1) expect((await copy.get("/health")).status).toBe(200);
    expect((await copy.chat()).status).toBe(402);
    const metrics = await (await copy.get("/metrics")).text();
    expect(sampleOf(metrics, 'zeph_requests_total{route="chat",provider="box",model="owner/model",status="200"}')).toBe(
      20,
    );
  });

  it("writes whole lines without a secret, and ends with its workers", async () => {
    const pids = await workerPids();
    expect(await copy.end("SIGTERM")).toBe(0);
    for (const line of copy.stderr().trim().split("\n")) {
      if (line.startsWith("{")) expect(JSON.parse(line)).toMatchObject({ time: expect.any(String) });
    }
    expect(
      copy
        .stderr()
        .split("\n")
        .filter((line) => line.includes('"route":"chat"')).length,
    ).toBeGreaterThan(50);
    expect(copy.stdout() + copy.stderr()).not.toMatch(/planted/);
    for (const pid of pids) expect(() => process.kill(pid, 0)).toThrow();
  });

  it("ends with the words and the code of a worker that cannot begin", async () => {
    const program = join(sources.folder, "cli/main.js");
    const start = (args: readonly string[]) =>
      startCopy({ program, home: join(home, "bad"), upstream: upstream.baseURL, dailyCents: 0, args });
    await expect(start(["--workers", "0"])).rejects.toThrow(/--workers takes a whole number/);
    await expect(start(["--workers", "2", "--provider", "nobody"])).rejects.toThrow(/nobody/);
    await expect(start(["--workers", "2", "--host", "203.0.113.7"])).rejects.toThrow(/cannot listen on 203\.0\.113\.7/);
  });
});
