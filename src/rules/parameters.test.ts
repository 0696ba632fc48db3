import { describe, expect, it } from "vitest";
import {
  ACCEPTED_PARAMETERS,
  DROPPED_PARAMETERS,
  FORCED_PARAMETERS,
  PASSED_PARAMETERS,
  parameterRejection,
  TRANSLATED_PARAMETERS,
} from "./parameters.ts";

describe("the network's allow-list", () => {
  it("holds the 50 names of v0.2.14, each in one class", () => {
    const classes = [PASSED_PARAMETERS, FORCED_PARAMETERS, DROPPED_PARAMETERS, TRANSLATED_PARAMETERS];
    expect(classes.map((names) => names.length)).toEqual([33, 3, 10, 4]);
    expect(new Set(classes.flat()).size).toBe(50);
    expect(ACCEPTED_PARAMETERS).toEqual(new Set(classes.flat()));
  });

  it.each(["tags", "guided_json", "functions", "verbosity", "ignore_eos", "prompt_logprobs", "web_search"])(
    "does not hold %s",
    (name) => {
      expect(ACCEPTED_PARAMETERS.has(name)).toBe(false);
    },
  );

  it("words a rejection so that the name can be read out of it", () => {
    expect(parameterRejection("tags")).toMatch(/"tags" is currently rejected by the Gonka network/);
  });
});
