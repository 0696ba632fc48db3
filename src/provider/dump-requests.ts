import { join } from "node:path";
import type { GonkaFetch } from "../client/gonka-fetch.ts";
import { writeFileAtomic } from "../internal/atomic-file.ts";
import type { Clock } from "../internal/clock.ts";
import { redactUrl } from "../internal/redact.ts";

export interface DumpOptions {
  readonly folder: string;
  readonly providerName: string;
  readonly clock: Pick<Clock, "nowMs">;
}

/**
 * The same connection, with each request's body written into a private file of its own first (0600). Headers are left
 * out: they carry the key. Throws `file_unwritable` where the folder cannot be written: then nothing is sent.
 */
export function dumpRequests(gonka: GonkaFetch, { folder, providerName, clock }: DumpOptions): GonkaFetch {
  let count = 0;
  return Object.assign(
    async (input: string | URL | Request, init?: RequestInit) => {
      const { body } = init ?? {};
      if (typeof body === "string") {
        const time = new Date(clock.nowMs()).toISOString();
        const url = redactUrl(input instanceof Request ? input.url : input);
        const text = JSON.stringify({ time, provider: providerName, url, body: toJson(body) }, undefined, 2);
        count += 1;
        const name = `${time.replace(/[:.]/g, "-")}-${String(count).padStart(3, "0")}.json`;
        await writeFileAtomic(join(folder, name), `${text}\n`);
      }
      return gonka(input, init);
    },
    { baseURL: gonka.baseURL, endpoints: gonka.endpoints },
  );
}

function toJson(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return body;
  }
}
