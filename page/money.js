import { call } from "./api.js";
import { Chart } from "./chart.js";
import { count, duration, gnk, short, stepInFull, usd } from "./format.js";
import { html, useKept, useLoaded } from "./html.js";
import { shortName } from "./model-choice.js";
import { Choice, Empty, Loading, Table } from "./parts.js";

const RANGES = { hour: 24, day: 30, month: 12 };
const RANGE_NAMES = { hour: "last 24 hours", day: "last 30 days", month: "last 12 months" };
const SPLITS = [
  ["none", "All"],
  ["model", "Model"],
  ["provider", "Provider"],
  ["client", "Client"],
];
/** What can be plotted: its name, how it is read from a row and how it is written. */
const MEASURES = {
  usd: { name: "USD", of: (row) => row.usd, format: usd },
  gnk: { name: "GNK", of: (row) => row.gnk, format: gnk },
  requests: { name: "Requests", of: (row) => row.requests, format: count },
  tokens: { name: "Tokens", of: (row) => row.inputTokens + row.outputTokens, format: short },
  errors: { name: "Errors", of: (row) => row.errors, format: count },
  p50: { name: "Latency p50", of: (row) => row.p50Ms, format: duration, isLines: true },
  p95: { name: "Latency p95", of: (row) => row.p95Ms, format: duration, isLines: true },
};
/** More would not be told apart by colour; the rest is one series. */
const MAX_SERIES = 7;

const usage = (by, split, signal) => call(`usage?by=${by}&steps=${RANGES[by]}&split=${split}`, { signal });

export function MoneyPage() {
  const [by, setBy] = useKept("money.by", "day");
  const [split, setSplit] = useKept("money.split", "model");
  const [measure, setMeasure] = useKept("money.measure", "usd");
  const days = useLoaded((signal) => usage("day", "none", signal), "days");
  const models = useLoaded((signal) => usage("day", "model", signal), "models");
  const shown = useLoaded((signal) => usage(by, split, signal), `${by} ${split}`);
  if (!days.value || !models.value)
    return html`<h1 class="unseen">Money</h1><${Loading} loaded=${days.error ? days : models} what="the usage" />`;
  const csv = `/page/api/usage.csv?by=${by}&steps=${RANGES[by]}&split=${split}`;
  return html`
    <h1 class="unseen">Money and use</h1>
    <${Tiles} days=${days.value} models=${models.value} />
    <section class="panel" aria-label="Over time">
      <div class="controls">
        <${Choice} label="Steps" value=${by} onChange=${setBy} options=${[
          ["hour", "Hours"],
          ["day", "Days"],
          ["month", "Months"],
        ]} />
        <${Choice} label="Split by" value=${split} onChange=${setSplit} options=${SPLITS} />
        <label class="field">Show
          <select value=${measure} onChange=${({ target }) => setMeasure(target.value)}>
            ${Object.entries(MEASURES).map(([name, each]) => html`<option value=${name} selected=${name === measure}>${each.name}</option>`)}
          </select>
        </label>
        <span class="grow"></span>
        <a class="button" href=${csv} download>CSV</a>
      </div>
      ${
        shown.value
          ? html`<${Plot} usage=${shown.value} by=${by} split=${split} measure=${MEASURES[measure] ?? MEASURES.usd} />
              <${Totals} totals=${shown.value.totals} by=${by} split=${split} />`
          : html`<${Loading} loaded=${shown} what="the usage" />`
      }
    </section>
  `;
}

/** The answers to the questions that come first: today, yesterday, the month, what is left, which model is slow. */
function Tiles({ days, models }) {
  const at = (start) => days.buckets.find((bucket) => bucket.start === start);
  const today = at(days.starts.at(-1));
  const yesterday = at(days.starts.at(-2));
  const sum = days.totals[0];
  const slowest = models.totals.filter(({ p95Ms }) => p95Ms !== undefined).sort((a, b) => b.p95Ms - a.p95Ms)[0];
  const { limit } = days;
  const spent = (row) => (row?.usd ? usd(row.usd) : row?.gnk ? gnk(row.gnk) : usd(0));
  const requests = (row) => `${count(row?.requests ?? 0)} ${row?.requests === 1 ? "request" : "requests"}`;
  return html`<dl class="tiles">
    <${Tile} name="Today" value=${spent(today)} note=${requests(today)} />
    <${Tile} name="Yesterday" value=${spent(yesterday)} note=${requests(yesterday)} />
    <${Tile} name="30 days" value=${spent(sum)} note=${requests(sum)} />
    ${
      limit?.usd !== undefined && limit?.usd !== null
        ? html`<${Tile} name="Left today" value=${usd(limit.leftUsd)} note=${`of a limit of ${usd(limit.usd)} a day`}>
            <meter min="0" max=${limit.usd} value=${limit.usedUsd} aria-label="Used of today's limit"></meter>
          <//>`
        : html`<${Tile} name="Daily limit" value="none" note=${html`<code>max_daily_cents</code> in the config sets one`} />`
    }
    ${slowest && html`<${Tile} name="Slowest model" value=${shortName(slowest.key)} note=${`p95 ${duration(slowest.p95Ms)} in 30 days`} isText />`}
  </dl>`;
}

const Tile = ({ name, value, note, children, isText }) => html`<div class=${isText ? "tile wide" : "tile"}>
  <dt>${name}</dt>
  <dd class=${isText ? "tile-text" : "tile-value"}>${value}</dd>
  <dd class="quiet">${note}${children}</dd>
</div>`;

function Plot({ usage: { starts, buckets, totals }, by, split, measure }) {
  if (totals.length === 0)
    return html`<${Empty} title="Nothing yet"><p>Requests through <code>zeph serve</code>, <code>zeph chat</code> and this page appear here.</p><//>`;
  const keys = [...totals].sort((a, b) => (measure.of(b) ?? 0) - (measure.of(a) ?? 0)).map(({ key }) => key);
  const own = keys.slice(0, keys.length > MAX_SERIES + 1 ? MAX_SERIES : keys.length);
  const rest = new Set(keys.slice(own.length));
  const valuesOf = (isOf) =>
    starts.map((start) => {
      const values = buckets.filter((bucket) => bucket.start === start && isOf(bucket.key)).map(measure.of);
      const known = values.filter((value) => value !== undefined && value !== null);
      return known.length === 0 ? undefined : measure.isLines ? Math.max(...known) : known.reduce((a, b) => a + b, 0);
    });
  // A key has the same colour whatever is shown.
  const colors = new Map(
    totals
      .map(({ key }) => key)
      .sort()
      .map((key, index) => [key, (index % 8) + 1]),
  );
  const series = [
    ...own.map((key) => ({
      key,
      name: keyName(key, split),
      color: colors.get(key),
      values: valuesOf((each) => each === key),
    })),
    ...(rest.size > 0
      ? [{ key: "rest", name: `${rest.size} others`, color: 9, values: valuesOf((each) => rest.has(each)) }]
      : []),
  ];
  return html`<${Chart} title=${`${measure.name}, ${RANGE_NAMES[by]}`} starts=${starts} by=${by} series=${series} format=${measure.format} isLines=${measure.isLines} />
    <details class="figures">
      <summary>These figures as a table</summary>
      <${Table}
        caption=${`${measure.name} per ${by}`}
        rows=${starts.map((start, index) => ({ start, index })).reverse()}
        keyOf=${({ start }) => start}
        columns=${[
          { name: "start", title: by, of: ({ start }) => stepInFull(start, by) },
          ...series.map(({ key, name, values }) => ({
            name: key,
            title: name || measure.name,
            isNumber: true,
            of: ({ index }) => (values[index] === undefined ? "–" : measure.format(values[index])),
          })),
        ]}
      />
    </details>`;
}

function Totals({ totals, by, split }) {
  if (totals.length === 0) return null;
  const number = (name, title, of, format) => ({ name, title, isNumber: true, sort: of, of: (row) => format(of(row)) });
  return html`<h2>${split === "none" ? "In all" : `By ${split}`}, ${RANGE_NAMES[by]}</h2>
    <${Table}
      key=${split}
      caption=${`Use by ${split}, ${RANGE_NAMES[by]}`}
      rows=${totals}
      keyOf=${({ key }) => key}
      sortedBy=${{ name: "usd", down: true }}
      columns=${[
        { name: "key", title: split === "none" ? "" : split, of: ({ key }) => keyName(key, split) || "Everything" },
        number("requests", "Requests", (row) => row.requests, count),
        number("input", "Tokens in", (row) => row.inputTokens, short),
        number("output", "Tokens out", (row) => row.outputTokens, short),
        number("usd", "USD", (row) => row.usd, usd),
        number(
          "gnk",
          "GNK",
          (row) => row.gnk,
          (value) => (value ? gnk(value) : "–"),
        ),
        number("errors", "Errors", (row) => row.errors, count),
        number("p50", "p50", (row) => row.p50Ms, duration),
        number("p95", "p95", (row) => row.p95Ms, duration),
      ]}
    />
    <p class="quiet">p50 and p95: half and 95 % of the answers were complete within this time.</p>`;
}

const keyName = (key, split) =>
  split === "none" ? "" : key === "" ? "unknown" : split === "model" ? shortName(key) : key;
