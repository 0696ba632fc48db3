import { describe, expect, it } from "vitest";
import { loadParticipantsSample, SHAPES } from "../../../test/support/participants-sample.ts";
import { thrownBy } from "../../../test/support/thrown-by.ts";
import { eligibleEndpoints } from "./eligible-endpoints.ts";
import { parseParticipants } from "./parse-participants.ts";

const sample = loadParticipantsSample();

describe.each(SHAPES)("participants in the %s shape", (shape) => {
  const { active, excluded } = parseParticipants(sample[shape]);

  it("are read with exact numbers", () => {
    expect(active.epochId).toBe(BigInt(sample.expected.epoch));
    expect(active.createdAtBlockHeight).toBe(BigInt(sample.expected.proof_height));
    expect(active.participants.map(({ weight }) => weight)).toEqual([900n, 600n, 500n]);
    expect(excluded.map(({ reason }) => reason)).toEqual(["invalidated"]);
  });

  it("give the endpoints that are not excluded", () => {
    const { endpoints, skipped } = eligibleEndpoints(active.participants, { excluded });
    expect(endpoints).toEqual(
      sample.expected.endpoints_after_exclusion.map(([url, address]) => ({ baseURL: `${url}/v1`, address })),
    );
    expect(skipped).toEqual([{ address: excluded[0]?.address, reason: "excluded from this epoch (invalidated)" }]);
  });
});

describe("parseParticipants", () => {
  it("takes absent and null lists for empty ones", () => {
    for (const participants of [undefined, null, []]) {
      const response = { active_participants: { participants, epoch_id: "7" }, excluded_participants: participants };
      expect(parseParticipants(response)).toMatchObject({ active: { participants: [], epochId: 7n }, excluded: [] });
    }
  });

  it.each([
    null,
    {},
    { active_participants: [] },
    { active_participants: { participants: [{ weight: 1 }] } },
    { active_participants: { participants: [{ index: "a", weight: -1 }] } },
    { active_participants: { participants: [{ index: "a", models: "m" }] } },
    { active_participants: { epoch_id: 1.5 } },
    { active_participants: {}, excluded_participants: [{}] },
  ])("refuses %j", (value) => {
    expect(thrownBy(() => parseParticipants(value)).code).toBe("bad_response");
  });
});

describe("eligibleEndpoints", () => {
  const participant = {
    address: "gonka1y2a9p56kv044327uycmqdexl7zs82fs5ryv5le",
    inferenceUrl: "http://node.example:8000//",
    models: ["Qwen/x"],
    weight: 1n,
  };
  const reasonFor = (change: Partial<typeof participant>, rules = {}) =>
    eligibleEndpoints([{ ...participant, ...change }], rules).skipped[0]?.reason;

  it("takes a node that is listed twice for one", () => {
    const twice = [participant, { ...participant, inferenceUrl: "http://other.example" }];
    const { endpoints, skipped } = eligibleEndpoints(twice);
    expect(endpoints).toHaveLength(1);
    expect(skipped).toEqual([{ address: participant.address, reason: "is listed twice" }]);
  });

  it("normalises the URL to exactly one /v1", () => {
    expect(eligibleEndpoints([participant]).endpoints).toEqual([
      { baseURL: "http://node.example:8000/v1", address: participant.address },
    ]);
  });

  it("takes an empty allow-list for everyone, and obeys one that is not empty", () => {
    expect(reasonFor({}, { allowedTransferAddresses: [] })).toBeUndefined();
    expect(reasonFor({}, { allowedTransferAddresses: [participant.address] })).toBeUndefined();
    expect(reasonFor({}, { allowedTransferAddresses: ["gonka1other"] })).toContain("list of transfer agents");
  });

  it("knows who serves a model, letter by letter", () => {
    expect(reasonFor({}, { model: "Qwen/x" })).toBeUndefined();
    expect(reasonFor({}, { model: "qwen/x" })).toContain("model");
  });

  it.each(["", "node.example:8000", "ftp://node.example", "http://", "http://u:p@node.example"])(
    "leaves out a node with the URL %j",
    (inferenceUrl) => {
      expect(reasonFor({ inferenceUrl })).toContain("URL");
    },
  );

  it("leaves out a node whose address is none, or of another network", () => {
    expect(reasonFor({ address: "gonka1node1placeholder000000000000000000000" })).toContain("address");
    expect(reasonFor({}, { prefix: "cosmos" })).toContain("address");
  });
});
