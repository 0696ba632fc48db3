import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Sandbox, startSandbox } from "../../src/sandbox/index.ts";
import { newStage, type Stage } from "./doctor-stage.ts";

let stage: Stage;
let sandbox: Sandbox;

beforeEach(async () => {
  stage = await newStage();
  sandbox = await startSandbox();
  await stage.writeConfig(`[[llm.providers]]
type = "compatible"
name = "gonkagate"
base_url = "${sandbox.broker.baseURL}"
model = "sandbox/echo-1"
`);
});

afterEach(async () => {
  await sandbox.stop();
  await stage.clear();
});

const useKey = (kind: keyof Sandbox["broker"]["keys"]) =>
  stage.store("ZEPH_COMPATIBLE_GONKAGATE_API_KEY", sandbox.broker.keys[kind]);

describe("zeph explain", () => {
  it("tells the story of the last failed question", async () => {
    await useKey("outOfMoney");
    expect((await stage.run(["ask", "my secret prompt"])).exitCode).toBe(14);
    const { stdout, exitCode } = await stage.run("explain");
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/^The key is good, but the account has no credit\.$/m);
    expect(stdout).toMatch(/^gonkagate for sandbox\/echo-1, \d+ s ago \(\w{6}, request id \S+\)$/m);
    expect(stdout).toMatch(/^ {2}1\. {2}gonkagate {2}HTTP 429 {2}insufficient_quota {2}\d+ ms/m);
    expect(stdout).toMatch(/^It said: You exceeded your current quota/m);
    expect(stdout).toContain("It is about money, not about the rate");
    expect(stdout).toContain("Nothing was charged.");
    expect(stdout).toMatch(/^→ Top up/m);
    expect(stdout).not.toContain("secret prompt");
  });

  it("lists every attempt with its time", async () => {
    await useKey("good");
    sandbox.broker.faults.always({ kind: "status", status: 503, code: "service_unavailable", on: "/chat/completions" });
    expect((await stage.run(["ask", "hello"])).exitCode).toBe(10);
    const { stdout } = await stage.run("explain --json");
    const { data } = JSON.parse(stdout) as { data: { id: string; attempts: { status: number }[]; story: object } };
    expect(data.attempts.map(({ status }) => status)).toEqual([503, 503, 503]);
    expect(data.story).toMatchObject({ charged: "Nothing was charged." });
    const again = await stage.run(`explain ${data.id} --json`);
    expect(JSON.parse(again.stdout)).toMatchObject({ data: { id: data.id } });
    expect(await stage.run("explain nothere")).toMatchObject({ exitCode: 2 });
    expect((await stage.run("explain nothere")).stderr).toContain(data.id);
  });

  it("has nothing to tell when nothing failed", async () => {
    await useKey("good");
    expect((await stage.run(["ask", "hello"])).exitCode).toBe(0);
    const { stdout, stderr, exitCode } = await stage.run("explain --last");
    expect({ stdout, exitCode }).toEqual({ stdout: "", exitCode: 0 });
    expect(stderr).toBe("No request has failed yet.\n");
  });
});
