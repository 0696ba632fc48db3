import { ZephError } from "../errors/zeph-error.ts";
import { type Endpoint, endpointLabel } from "../protocol/endpoint.ts";

export interface EndpointPoolOptions {
  /** `round-robin` (default): in turn. `latency`: the fastest known first, unknown ones before it so that they get known. */
  readonly order?: "round-robin" | "latency";
}

/** How one endpoint has done so far. Times are milliseconds of the clock that was passed in. */
export interface EndpointStatus {
  readonly endpoint: Endpoint;
  readonly label: string;
  readonly successes: number;
  readonly failures: number;
  /** Moving average of the time to the response headers; undefined until the first success. */
  readonly latencyMs: number | undefined;
  readonly coolsUntilMs: number | undefined;
  readonly lastOutcome: string | undefined;
}

interface Entry {
  endpoint: Endpoint;
  successes: number;
  failures: number;
  latencyMs: number | undefined;
  coolsUntilMs: number;
  failedAtMs: number;
  lastOutcome: string | undefined;
}

const LATENCY_WEIGHT = 0.3;

/**
 * Chooses the endpoint for the next attempt. Failed ones are skipped until they have cooled; when all are cooling, the
 * one that failed longest ago is taken. State only: no timers, no I/O; the caller passes the time in.
 */
export class EndpointPool {
  #entries: Entry[] = [];
  #cursor = 0;
  readonly #order: "round-robin" | "latency";

  constructor(endpoints: readonly Endpoint[], options: EndpointPoolOptions = {}) {
    this.#order = options.order ?? "round-robin";
    this.replace(endpoints);
  }

  get size(): number {
    return this.#entries.length;
  }

  /** Takes a new list; what is known of endpoints that stay is kept. */
  replace(endpoints: readonly Endpoint[]): void {
    const known = new Map(this.#entries.map((entry) => [key(entry.endpoint), entry]));
    const unique = new Map(endpoints.map((endpoint) => [key(endpoint), endpoint]));
    this.#entries = [...unique].map(([id, endpoint]) => {
      const before = known.get(id);
      return before === undefined ? newEntry(endpoint) : { ...before, endpoint };
    });
    this.#cursor = this.#entries.length === 0 ? 0 : this.#cursor % this.#entries.length;
  }

  /**
   * The endpoint to use now. `tried` are endpoints that this request had already; they are avoided while another is
   * free. Throws `no_endpoints` when the pool is empty.
   */
  pick(nowMs: number, tried: ReadonlySet<Endpoint> = new Set()): Endpoint {
    if (this.#entries.length === 0) throw new ZephError("no_endpoints");
    const free = this.#inTurn().filter((entry) => entry.coolsUntilMs <= nowMs);
    const untried = free.filter((entry) => !tried.has(entry.endpoint));
    const candidates = untried.length > 0 ? untried : free;
    const chosen =
      candidates.length === 0
        ? this.#inTurn().reduce((oldest, entry) => (entry.failedAtMs < oldest.failedAtMs ? entry : oldest))
        : this.#order === "latency"
          ? candidates.reduce((best, entry) => ((entry.latencyMs ?? 0) < (best.latencyMs ?? 0) ? entry : best))
          : candidates[0];
    if (chosen === undefined) throw new ZephError("no_endpoints");
    this.#cursor = (this.#entries.indexOf(chosen) + 1) % this.#entries.length;
    return chosen.endpoint;
  }

  /** Is there an endpoint that is neither cooling nor among `tried`? */
  hasFree(nowMs: number, tried: ReadonlySet<Endpoint>): boolean {
    return this.#entries.some((entry) => entry.coolsUntilMs <= nowMs && !tried.has(entry.endpoint));
  }

  succeed(endpoint: Endpoint, latencyMs: number): void {
    const entry = this.#find(endpoint);
    if (entry === undefined) return;
    entry.successes += 1;
    entry.coolsUntilMs = 0;
    entry.latencyMs =
      entry.latencyMs === undefined ? latencyMs : entry.latencyMs + LATENCY_WEIGHT * (latencyMs - entry.latencyMs);
    entry.lastOutcome = "ok";
  }

  fail(endpoint: Endpoint, nowMs: number, cooldownMs: number, outcome: string): void {
    const entry = this.#find(endpoint);
    if (entry === undefined) return;
    entry.failures += 1;
    entry.failedAtMs = nowMs;
    entry.coolsUntilMs = nowMs + cooldownMs;
    entry.lastOutcome = outcome;
  }

  status(nowMs: number): readonly EndpointStatus[] {
    return this.#entries.map(({ endpoint, successes, failures, latencyMs, coolsUntilMs, lastOutcome }) => ({
      endpoint,
      label: endpointLabel(endpoint),
      successes,
      failures,
      latencyMs,
      coolsUntilMs: coolsUntilMs > nowMs ? coolsUntilMs : undefined,
      lastOutcome,
    }));
  }

  #inTurn(): Entry[] {
    return [...this.#entries.slice(this.#cursor), ...this.#entries.slice(0, this.#cursor)];
  }

  #find(endpoint: Endpoint): Entry | undefined {
    return this.#entries.find((entry) => key(entry.endpoint) === key(endpoint));
  }
}

function key(endpoint: Endpoint): string {
  return `${endpoint.baseURL} ${endpoint.address ?? ""}`;
}

function newEntry(endpoint: Endpoint): Entry {
  return {
    endpoint,
    successes: 0,
    failures: 0,
    latencyMs: undefined,
    coolsUntilMs: 0,
    failedAtMs: Number.NEGATIVE_INFINITY,
    lastOutcome: undefined,
  };
}
