import type { Tally } from "./tally.ts";
export function checkTranscript(tally: Tally, section: object, labels: readonly string[]): void {
  tally.known("http", section, []);
  labels.slice();
}
