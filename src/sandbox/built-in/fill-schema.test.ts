import { describe, expect, it } from "vitest";
import { fillSchema } from "./fill-schema.ts";

const text = 'Book "blue room" in Rome for 3 days, file notes/a.md, see https://example.com/x';

describe("fillSchema", () => {
  it.each([
    [{ type: "string" }, "blue room"],
    [{ type: "integer" }, 3],
    [{ type: "integer", minimum: 10 }, 10],
    [{ type: "number", maximum: 2 }, 2],
    [{ type: "boolean" }, true],
    [{ type: "null" }, null],
    [{ type: ["null", "integer"] }, 3],
    [{ const: "fixed" }, "fixed"],
    [{ enum: ["days", "weeks"] }, "days"],
    [{ enum: ["a1", "b1"] }, "a1"],
    [{ anyOf: [{ type: "null" }, { type: "boolean" }] }, true],
    [{ type: "string", format: "date" }, "2026-01-01"],
    [{ type: "string", maxLength: 4 }, "blue"],
    [{ type: "array", items: { type: "integer" }, minItems: 2 }, [3, 3]],
    [{ type: "object", properties: { city: { type: "string" } } }, { city: "Rome" }],
    [{ properties: { url: {}, path: {} } }, { url: "https://example.com/x", path: "notes/a.md" }],
    [{ allOf: [{ type: "object" }, { properties: { days: { type: "integer" } } }] }, { days: 3 }],
  ])("%j → %j", (schema, value) => {
    expect(fillSchema(schema, text)).toEqual(value);
  });

  it("fills optional properties only when the text names a value", () => {
    const schema = {
      type: "object",
      properties: { city: { type: "string" }, unit: { enum: ["days", "weeks"] }, note: { type: "string" } },
      required: ["city"],
    };
    expect(fillSchema(schema, text)).toEqual({ city: "Rome", unit: "days" });
  });

  it("ends on a schema that has no end, and takes anything for a schema", () => {
    const schema: Record<string, unknown> = { type: "array" };
    schema.items = schema;
    expect(JSON.stringify(fillSchema(schema, text))).toContain("null");
    expect(fillSchema(null, "x")).toBe("x");
  });
});
