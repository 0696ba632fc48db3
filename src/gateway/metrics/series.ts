/** A set of label values, in the order of the metric's label names. */
type Labels = readonly string[];

/** One metric in Prometheus' text form. */
export interface Series {
  render(): string;
}

export interface Counter extends Series {
  add(labels: Labels, amount?: number): void;
}

export interface Histogram extends Series {
  observe(labels: Labels, value: number): void;
}

/** More label sets than this are counted together: a metric must not grow with what callers make up. */
const MAX_LABEL_SETS = 200;
const OTHER = "other";

/** A number that only grows. */
export function counter(name: string, help: string, labelNames: readonly string[]): Counter {
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
export function histogram(
  name: string,
  help: string,
  labelNames: readonly string[],
  bounds: readonly number[],
): Histogram {
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
export function gauge(
  name: string,
  help: string,
  values: readonly (readonly [labels: string, value: number])[],
): string {
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
