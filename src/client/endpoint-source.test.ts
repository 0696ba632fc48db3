import { describe, expect, it } from "vitest";
import { ZephError } from "../errors/zeph-error.ts";
import { manualClock } from "../internal/manual-clock.ts";
import type { Discovery } from "./discover-endpoints.ts";
import { type CachedEndpoints, endpointSource } from "./endpoint-source.ts";

const FOUND: Discovery = {
  endpoints: [{ baseURL: "https://a.example/v1", address: "gonka1a" }],
  skipped: [],
  retired: false,
  apiVersionText: "0.2.13",
  label: "self-consistent",
  reasons: [],
  epochId: 1n,
};
const signal = new AbortController().signal;

function source(answers: readonly (Discovery | ZephError)[], cached?: CachedEndpoints) {
  const clock = manualClock();
  const saved: CachedEndpoints[] = [];
  const stale: number[] = [];
  let asked = 0;
  const list = endpointSource({
    clock,
    ttlMs: 60_000,
    onStale: (ageMs) => stale.push(ageMs),
    cache: { load: async () => cached, save: async (value) => void saved.push(value) },
    discover: async () => {
      const answer = answers[asked];
      asked += 1;
      if (answer === undefined) throw new Error("asked more often than expected");
      if (answer instanceof ZephError) throw answer;
      return answer;
    },
  });
  return { list: () => list(signal), clock, saved, stale, asked: () => asked };
}

describe("endpointSource", () => {
  it("asks once for its time to live, and once for requests that come together", async () => {
    const { list, clock, asked, saved } = source([FOUND, FOUND]);
    await Promise.all([list(), list(), list()]);
    await clock.advance(59_999);
    await list();
    expect(asked()).toBe(1);
    await clock.advance(1);
    await list();
    expect(asked()).toBe(2);
    expect(saved).toHaveLength(2);
  });

  it("uses what another process found a moment ago", async () => {
    const readAtMs = manualClock().nowMs() - 1000;
    const { list, asked } = source([], { readAtMs, endpoints: FOUND.endpoints });
    expect(await list()).toEqual(FOUND.endpoints);
    expect(asked()).toBe(0);
  });

  it("goes on with an old list when the source fails, and says how old it is", async () => {
    const { list, clock, stale } = source([FOUND, new ZephError("unreachable")]);
    await list();
    await clock.advance(3_600_000);
    expect(await list()).toEqual(FOUND.endpoints);
    expect(stale).toEqual([3_600_000]);
  });

  it("does not go on with a list of yesterday, nor after a proof that does not hold", async () => {
    const old = source([FOUND, new ZephError("unreachable")]);
    await old.list();
    await old.clock.advance(25 * 3_600_000);
    await expect(old.list()).rejects.toMatchObject({ code: "unreachable" });
    const forged = source([FOUND, new ZephError("proof_invalid")]);
    await forged.list();
    await forged.clock.advance(3_600_000);
    await expect(forged.list()).rejects.toMatchObject({ code: "proof_invalid" });
  });

  it("does not trust a list from the future", async () => {
    const readAtMs = manualClock().nowMs() + 60_000;
    const { list, asked } = source([FOUND], { readAtMs, endpoints: FOUND.endpoints });
    await list();
    expect(asked()).toBe(1);
  });

  it("names a retired network, and a network without usable nodes", async () => {
    await expect(source([{ ...FOUND, retired: true, endpoints: [] }]).list()).rejects.toMatchObject({
      code: "native_closed",
    });
    const skipped = [{ address: "gonka1b", reason: "has no http(s) URL" }];
    await expect(source([{ ...FOUND, endpoints: [], skipped }]).list()).rejects.toMatchObject({
      code: "no_endpoints",
      detail: "gonka1b: has no http(s) URL",
    });
  });

  it("lets a caller leave without ending the discovery for others", async () => {
    const controller = new AbortController();
    let answer = (_found: Discovery) => {};
    const list = endpointSource({ clock: manualClock(), discover: () => new Promise((resolve) => (answer = resolve)) });
    const leaving = list(controller.signal);
    const staying = list(signal);
    controller.abort(new Error("left"));
    await expect(leaving).rejects.toThrow("left");
    answer(FOUND);
    expect(await staying).toEqual(FOUND.endpoints);
  });
});
