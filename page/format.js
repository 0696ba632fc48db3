// Numbers and times as the browser's language writes them.

const LOCALE = navigator.languages?.[0] ?? navigator.language;
const cache = new Map();
const format = (options) => {
  const key = JSON.stringify(options);
  if (!cache.has(key)) cache.set(key, new Intl.NumberFormat(LOCALE, options));
  return cache.get(key);
};

export const count = (value) => (value === undefined ? "–" : format({ maximumFractionDigits: 0 }).format(value));

/** Thousands and millions in short: 131k, 1.2M. */
export const short = (value) =>
  value === undefined
    ? "–"
    : Math.abs(value) < 10_000
      ? format({ maximumFractionDigits: Math.abs(value) < 10 ? 1 : 0 }).format(value)
      : `${format({ maximumSignificantDigits: 3 }).format(value / (value < 1e6 ? 1e3 : 1e6))}${value < 1e6 ? "k" : "M"}`;

/** Small amounts keep two digits that count: $0.00012. */
export const usd = (value) =>
  value === undefined
    ? "–"
    : format({
        style: "currency",
        currency: "USD",
        currencyDisplay: "narrowSymbol",
        ...(value !== 0 && Math.abs(value) < 0.1
          ? { maximumSignificantDigits: 2 }
          : { minimumFractionDigits: 2, maximumFractionDigits: 2 }),
      }).format(value);

export const gnk = (value) =>
  value === undefined
    ? "–"
    : `${format(value !== 0 && Math.abs(value) < 0.1 ? { maximumSignificantDigits: 2 } : { maximumFractionDigits: 2 }).format(value)}\u00a0GNK`;

/** A span given in milliseconds. */
export function duration(ms) {
  if (ms === undefined) return "–";
  if (ms < 1000) return `${count(ms)}\u00a0ms`;
  if (ms < 60_000) return `${format({ maximumFractionDigits: ms < 10_000 ? 1 : 0 }).format(ms / 1000)}\u00a0s`;
  return `${count(Math.floor(ms / 60_000))}\u00a0min ${count(Math.floor((ms % 60_000) / 1000))}\u00a0s`;
}

export const decimal = (value, digits = 1) =>
  value === undefined ? "–" : format({ maximumFractionDigits: digits }).format(value);

const dates = new Map();
const date = (options) => {
  const key = JSON.stringify(options);
  if (!dates.has(key)) dates.set(key, new Intl.DateTimeFormat(LOCALE, options));
  return dates.get(key);
};

export const clock = (ms) => date({ hour: "2-digit", minute: "2-digit", second: "2-digit" }).format(ms);
export const moment = (ms) => date({ dateStyle: "medium", timeStyle: "short" }).format(ms);

/** The label of one step of a plot. */
export const step = (ms, by) =>
  date(
    by === "hour"
      ? { hour: "2-digit", minute: "2-digit" }
      : by === "day"
        ? { day: "numeric", month: "short" }
        : { month: "short", year: "2-digit" },
  ).format(ms);

/** Where a step is told in full: Saturday, 28 November. */
export const stepInFull = (ms, by) =>
  date(
    by === "hour"
      ? { weekday: "short", day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" }
      : by === "day"
        ? { weekday: "long", day: "numeric", month: "long" }
        : { month: "long", year: "numeric" },
  ).format(ms);

/** Today's times as the clock, older ones as the day. */
export function when(ms) {
  const isToday = new Date(ms).toDateString() === new Date().toDateString();
  return date(isToday ? { hour: "2-digit", minute: "2-digit" } : { day: "numeric", month: "short" }).format(ms);
}
