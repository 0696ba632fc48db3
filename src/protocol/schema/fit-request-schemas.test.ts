import { describe, expect, it } from "vitest";
import { fitToolParameters } from "./fit-request-schemas.ts";

const withReference = () => ({
  type: "object",
  properties: { a: { $ref: "#/$defs/A" } },
  $defs: { A: { type: "string" } },
});

describe("parameters of a tool that come again", () => {
  it("are the given object when nothing is wrong with them, every time", () => {
    for (let turn = 0; turn < 3; turn += 1) {
      const given = { type: "object", properties: { city: { type: "string" } } };
      expect(fitToolParameters(given, "keep").schema).toBe(given);
    }
  });

  it("are mended alike, with the same words about it", () => {
    const first = fitToolParameters(withReference(), "keep");
    const again = fitToolParameters(withReference(), "keep");
    expect(first.schema).toEqual({ type: "object", properties: { a: { type: "string" } } });
    expect([again.schema, again.dropped]).toEqual([first.schema, first.dropped]);
  });

  it("are judged anew for a model with other rules", () => {
    const given = () => ({ type: "object", properties: { a: { type: ["string", "null"] } } });
    expect(fitToolParameters(given(), "keep").schema).toEqual(given());
    expect(fitToolParameters(given(), "avoid").schema).not.toEqual(given());
    expect(fitToolParameters(given(), "keep").schema).toEqual(given());
  });

  it("of many kinds are all judged right, however many are remembered", () => {
    for (let round = 0; round < 2; round += 1) {
      for (let kind = 0; kind < 700; kind += 1) {
        const good = { type: "object", properties: { [`p${kind}`]: { type: "number" } } };
        expect(fitToolParameters(good, "keep").schema).toBe(good);
      }
    }
  });
});
