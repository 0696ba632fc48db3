import { expect, it } from "vitest";
import { countersOf, sumMetrics } from "./metrics.ts";

const counter = (...samples: string[]) => `# HELP zeph_x Words.\n# TYPE zeph_x counter\n${samples.join("\n")}\n`;
const gauges = (flight: number, usable: number) =>
  `# HELP zeph_requests_in_flight Now.\n# TYPE zeph_requests_in_flight gauge\nzeph_requests_in_flight ${flight}\n` +
  `# HELP zeph_endpoints Now.\n# TYPE zeph_endpoints gauge\nzeph_endpoints{state="usable"} ${usable}\n`;

it("adds up the numbers of several processes, each series once; endpoints are the same ones for all", () => {
  const one = counter('zeph_x{a="1 2"} 3', 'zeph_x{a="b"} 1.5') + gauges(2, 3);
  const two = counter('zeph_x{a="c"} 1', 'zeph_x{a="1 2"} 4') + gauges(1, 2);
  expect(sumMetrics([one, two, ""])).toBe(
    counter('zeph_x{a="1 2"} 7', 'zeph_x{a="b"} 1.5', 'zeph_x{a="c"} 1') + gauges(3, 3),
  );
});

it("keeps of a process that has ended what only grows", () => {
  expect(countersOf(counter("zeph_x 3") + gauges(2, 3))).toBe(counter("zeph_x 3"));
});
