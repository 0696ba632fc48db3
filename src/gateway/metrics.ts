import { scrub } from "../base/secret.ts";
import type { GonkaFetch } from "../transport/gonka-fetch.ts";
import type { TransportEvent } from "../transport/policy.ts";
import type { ExchangeRecord } from "./exchange.ts";

/** Seconds. First bytes above 100 s were reported; below 5 ms there is only this computer. */
const SECONDS = [0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600] as const;

/** Names that clients are known to send and the network to refuse. Others are counted as one: callers choose them. */
const COUNTED_PARAMETERS: ReadonlySet<string> = new Set([
  "tags",
  "functions",
  "function_call",
  "guided_json",
  "guided_regex",
  "guided_grammar",
  "guided_choice",
  "structured_outputs",
  "enforced_tokens",
  "allowed_token_ids",
  "ignore_eos",
  "use_beam_search",
  "truncate_prompt_tokens",
  "prompt_logprobs",
  "partial",
  "web_search",
  "enable_search",
  "search_kwargs",
  "mask_sensitive_info",
  "verbosity",
  "web_search_options",
  "modalities",
  "audio",
  "prediction",
  "reasoning_effort",
  "stream_options",
  "tools",
  "messages",
]);

/** Everything `/metrics` tells. No label ever holds a key or an address. */
export interface GatewayMetrics {
  ended(record: ExchangeRecord): void;
  observe(event: TransportEvent): void;
  render(now: { readonly inFlight: number; readonly upstream: GonkaFetch }): string;
}

/**
 * @param providerName name of the first provider
 * @param models names of models that the user chose; they always have a label of their own
 */
export function gatewayMetrics(providerName: string, models: readonly string[]): GatewayMetrics {
  const firstProvider = scrub(providerName);
  const modelLabel = modelLabels(models);
  const requests = counter("zeph_requests_total", "Requests answered.", ["route", "provider", "model", "status"]);
  const outcomes = counter("zeph_outcomes_total", "How answers ended.", ["route", "provider", "outcome"]);
  const durations = histogram("zeph_request_duration_seconds", "Until the last byte.", ["route", "provider"], SECONDS);
  const firstBytes = histogram("zeph_first_byte_seconds", "Until the first byte.", ["route", "provider"], SECONDS);
  const tokens = counter("zeph_tokens_total", "Tokens, as the upstream counted.", ["provider", "model", "direction"]);
  const costs = counter("zeph_cost_usd_total", "Money spent, where the upstream tells.", ["provider", "model"]);
  const removed = counter("zeph_removed_parameters_total", "Fields taken out of requests.", ["parameter"]);
  const attempts = counter("zeph_upstream_attempts_total", "Attempts at the upstream.", ["provider", "outcome"]);
  const waits = counter("zeph_upstream_retries_total", "Attempts after the first.", ["provider"]);
  const all = [requests, outcomes, durations, firstBytes, tokens, costs, removed, attempts, waits];
  return {
    ended(record) {
      const { route, status, outcome, elapsedMs, firstByteMs, usage } = record;
      const provider = record.fallbackProvider === undefined ? firstProvider : scrub(record.fallbackProvider);
      // Only what the upstream has answered for is a model; anything else is a word of the caller's.
      const model = status === 200 ? modelLabel(record.model) : "";
      requests.add([route, provider, model, statusLabel(status)]);
      outcomes.add([route, provider, outcome]);
      durations.observe([route, provider], elapsedMs / 1000);
      if (firstByteMs !== undefined) firstBytes.observe([route, provider], firstByteMs / 1000);
      if (usage?.promptTokens !== undefined) tokens.add([provider, model, "prompt"], usage.promptTokens);
      if (usage?.completionTokens !== undefined) tokens.add([provider, model, "completion"], usage.completionTokens);
      if (usage?.costUsd !== undefined) costs.add([provider, model], usage.costUsd);
      for (const name of record.removed) removed.add([COUNTED_PARAMETERS.has(name) ? name : "other"]);
    },
    observe(event) {
      if (event.type === "attempt-ended") attempts.add([firstProvider, event.record.code]);
      if (event.type === "attempt-started" && event.attempt > 1) waits.add([firstProvider]);
    },
    render: ({ inFlight, upstream }) =>
      [...all.map((series) => series.render()), ...nowLines(inFlight, upstream)].join(""),
  };
}

/**
 * The numbers of several processes as those of one: counters and histograms are added up, and so are requests under way.
 * All have the same endpoints: of each state as many are told as any of them knows.
 */
export function sumMetrics(texts: readonly string[]): string {
  const families = new Map<string, { readonly head: string[]; readonly samples: Map<string, number> }>();
  for (const { name, head, samples } of texts.flatMap(familiesOf)) {
    const family = families.get(name) ?? { head, samples: new Map<string, number>() };
    families.set(name, family);
    for (const [series, value] of samples) {
      const before = family.samples.get(series) ?? 0;
      family.samples.set(series, name === "zeph_endpoints" ? Math.max(before, value) : before + value);
    }
  }
  return [...families.values()]
    .map(({ head, samples }) =>
      [...head, ...[...samples].map(([series, value]) => `${series} ${value}`), ""].join("\n"),
    )
    .join("");
}

/** What only grows, of a process that has ended: without the values of the moment. */
export function countersOf(text: string): string {
  return familiesOf(text)
    .filter(({ head }) => !head.some((line) => line.endsWith(" gauge")))
    .map(({ head, samples }) => [...head, ...samples.map(([series, value]) => `${series} ${value}`), ""].join("\n"))
    .join("");
}

interface Family {
  readonly name: string;
  readonly head: string[];
  readonly samples: (readonly [series: string, value: number])[];
}

/** Metrics in the form that {@link block} writes. */
function familiesOf(text: string): readonly Family[] {
  const families: Family[] = [];
  for (const line of text.split("\n")) {
    const [, name] = /^# HELP (\S+)/.exec(line) ?? [];
    if (name !== undefined) families.push({ name, head: [], samples: [] });
    const family = families.at(-1);
    if (line.startsWith("#")) family?.head.push(line);
    else if (line !== "") {
      const end = line.lastIndexOf(" ");
      family?.samples.push([line.slice(0, end), Number(line.slice(end + 1))]);
    }
  }
  return families;
}

/** Models that are not configured and have a label all the same, in the order in which they were answered for. */
const MAX_OTHER_MODELS = 30;
const PLAIN_MODEL = /^[A-Za-z0-9][\w.:/@+-]{0,127}$/;

/** Words of the user's config, and a few ids that look like ids; whatever else callers and upstreams make up is one word. */
function modelLabels(configured: readonly string[]): (model: string | undefined) => string {
  const own = new Set(configured.map((model) => scrub(model)));
  const others = new Set<string>();
  return (model = "") => {
    if (model === "" || own.has(model) || others.has(model)) return model;
    if (others.size >= MAX_OTHER_MODELS || !PLAIN_MODEL.test(model)) return "other";
    others.add(model);
    return model;
  };
}

const KNOWN_STATUSES: ReadonlySet<number> = new Set([
  200, 400, 401, 402, 403, 404, 405, 408, 409, 410, 413, 415, 422, 426, 429, 499, 500, 501, 502, 503, 504, 529,
]);

function statusLabel(status: number): string {
  return KNOWN_STATUSES.has(status) ? String(status) : `${Math.floor(status / 100)}xx`;
}

function nowLines(inFlight: number, upstream: GonkaFetch): readonly string[] {
  const endpoints = upstream.endpoints();
  const cooling = endpoints.filter(({ coolsUntilMs }) => coolsUntilMs !== undefined).length;
  return [
    gauge("zeph_requests_in_flight", "Requests under way.", [["", inFlight]]),
    gauge("zeph_endpoints", "Endpoints of the provider, by state.", [
      ['state="usable"', endpoints.length - cooling],
      ['state="cooling"', cooling],
    ]),
  ];
}

/** A set of label values, in the order of the metric's label names. */
type Labels = readonly string[];

/** One metric in Prometheus' text form. */
interface Series {
  render(): string;
}

interface Counter extends Series {
  add(labels: Labels, amount?: number): void;
}

interface Histogram extends Series {
  observe(labels: Labels, value: number): void;
}

/** More label sets than this are counted together: a metric must not grow with what callers make up. */
const MAX_LABEL_SETS = 200;
const OTHER = "other";

/** A number that only grows. */
function counter(name: string, help: string, labelNames: readonly string[]): Counter {
  const values = new Map<string, number>();
  const keyOf = boundedKeys(labelNames);
  return {
    add(labels, amount = 1) {
      const key = keyOf(labels);
      values.set(key, (values.get(key) ?? 0) + amount);
    },
    render: () =>
      block(
        name,
        help,
        "counter",
        [...values].map(([key, value]) => `${name}${braces(key)} ${value}`),
      ),
  };
}

/** Counts of values up to each bound, with their sum. */
function histogram(name: string, help: string, labelNames: readonly string[], bounds: readonly number[]): Histogram {
  const values = new Map<string, { counts: number[]; sum: number; count: number }>();
  const keyOf = boundedKeys(labelNames);
  return {
    observe(labels, value) {
      const key = keyOf(labels);
      let entry = values.get(key);
      if (entry === undefined) {
        entry = { counts: bounds.map(() => 0), sum: 0, count: 0 };
        values.set(key, entry);
      }
      entry.sum += value;
      entry.count += 1;
      const bucket = bounds.findIndex((bound) => value <= bound);
      if (bucket !== -1) entry.counts[bucket] = (entry.counts[bucket] ?? 0) + 1;
    },
    render() {
      const lines = [...values].flatMap(([key, { counts, sum, count }]) => {
        let below = 0;
        const buckets = bounds.map((bound, index) => {
          below += counts[index] ?? 0;
          return `${name}_bucket${braces(key, `le="${bound}"`)} ${below}`;
        });
        return [
          ...buckets,
          `${name}_bucket${braces(key, 'le="+Inf"')} ${count}`,
          `${name}_sum${braces(key)} ${sum}`,
          `${name}_count${braces(key)} ${count}`,
        ];
      });
      return block(name, help, "histogram", lines);
    },
  };
}

/** A value of this moment. */
function gauge(name: string, help: string, values: readonly (readonly [labels: string, value: number])[]): string {
  return block(
    name,
    help,
    "gauge",
    values.map(([labels, value]) => `${name}${braces(labels)} ${value}`),
  );
}

function boundedKeys(labelNames: readonly string[]): (labels: Labels) => string {
  /** Rendered labels by their plain values: every request asks for the same few. */
  const known = new Map<string, string>();
  const render = (labels: Labels) =>
    labelNames.map((name, index) => `${name}="${escapeLabel(labels[index] ?? "")}"`).join(",");
  const other = render(labelNames.map(() => OTHER));
  return (labels) => {
    const plain = labels.join("\0");
    const key = known.get(plain);
    if (key !== undefined) return key;
    if (known.size >= MAX_LABEL_SETS) return other;
    const rendered = render(labels);
    known.set(plain, rendered);
    return rendered;
  };
}

function escapeLabel(value: string): string {
  return value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}

function braces(labels: string, more = ""): string {
  const all = [labels, more].filter((each) => each !== "").join(",");
  return all === "" ? "" : `{${all}}`;
}

function block(name: string, help: string, type: string, lines: readonly string[]): string {
  return [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`, ...lines, ""].join("\n");
}
