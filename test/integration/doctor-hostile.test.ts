import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { CATALOGUE, EXIT, type ZephErrorCode } from "../../src/errors.ts";
import { type DoctorJson, newStage } from "./doctor-stage.ts";

const KEY = "gp-a-key-that-must-not-be-seen-000000";
const PRIVATE_KEY = "7".repeat(64);

const CONFIG = `[[llm.providers]]
type = "compatible"
name = "gonkagate"
base_url = "https://api.gonkagate.com/v1"
model = "a/model"

[[llm.providers]]
type = "gonka"
name = "gonka"
model = "a/model"
gonka_source_url = "https://node.example"
`;

const json = fc.oneof(
  fc.json({ maxDepth: 3 }),
  fc.constantFrom(
    '{"data":[{"id":"a/model"}]}',
    '{"data":[null,5,{"id":{}}]}',
    '{"models":[]}',
    '{"data":{"address":"gonka1w508d6qejxtdg4y5r3zarvary0c5xw7k2gsyg6"}}',
    '{"api_version":{"version":"0.2.13"}}',
    '{"api_version":{"version":"v9.9.9"}}',
    '{"data":{"balance":{"usd":"-5","status":[]}}}',
    '{"balance":"99999999999999999999999999","denom":"ngonka"}',
    '{"active_participants":{},"block":null,"proof_ops":null}',
    `{"error":{"message":"\\u001b]0;owned\\u0007 ${KEY} ${PRIVATE_KEY}","code":{}}}`,
  ),
  fc.string({ maxLength: 40, unit: "binary" }),
);

const answer = fc.record({
  status: fc.constantFrom(200, 200, 200, 204, 301, 400, 401, 402, 403, 404, 405, 410, 413, 429, 500, 502, 503),
  type: fc.constantFrom("application/json", "text/html", "text/plain", ""),
  body: json,
  date: fc.option(fc.constantFrom("Sun, 22 Nov 2026 21:00:00 GMT", "yesterday", ""), { nil: undefined }),
});

describe("servers that answer anything at all", () => {
  it("get a report out of the doctor, and no secret", async () => {
    const stage = await newStage();
    await stage.writeConfig(CONFIG);
    stage.env.ZEPH_COMPATIBLE_GONKAGATE_API_KEY = KEY;
    stage.env.ZEPH_GONKA_PRIVATE_KEY = PRIVATE_KEY;
    await fc.assert(
      fc.asyncProperty(fc.infiniteStream(answer), async (answers) => {
        stage.fetch = async () => {
          const { status, type, body, date } = answers.next().value;
          const headers = { "content-type": type, ...(date === undefined ? {} : { date }) };
          return new Response(status === 204 ? null : body, { status, headers });
        };
        for (const line of ["doctor --json --smoke", "gonka doctor --json"]) {
          const { exitCode, stdout, stderr } = await stage.run(line);
          const report = JSON.parse(stdout) as DoctorJson;
          expect(report.schema_version).toBe(1);
          expect(Object.values(EXIT)).toContain(exitCode);
          expect(exitCode === 0).toBe(report.failures === 0);
          for (const { code } of report.checks)
            if (code !== undefined) expect(CATALOGUE[code as ZephErrorCode]).toBeDefined();
          expect(report.checks.map(({ code }) => code)).not.toContain("internal");
          expect(stdout + stderr).not.toMatch(/must-not-be-seen|7{40}|\u001b/);
        }
      }),
      { numRuns: 25 },
    );
    await stage.clear();
  });
});
