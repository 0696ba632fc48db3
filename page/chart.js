import { useState } from "preact/hooks";
import { stepInFull, step as stepLabel } from "./format.js";
import { html, useWidth } from "./html.js";

const HEIGHT = 260;
const EDGE = { top: 12, right: 8, bottom: 26, left: 58 };

/**
 * Bars over time, one on top of the other, or lines. `series`: `[{ key, name, color (1 to 8), values }]` with a value or
 * undefined per start. The step under the pointer, or chosen with the arrow keys, is told in words above.
 */
export function Chart({ title, starts, by, series, format, isLines }) {
  const [frame, width] = useWidth();
  const [at, setAt] = useState(undefined);
  const chosen = at !== undefined && at < starts.length ? at : undefined;
  const sums = starts.map((_, index) =>
    isLines
      ? Math.max(0, ...series.map(({ values }) => values[index] ?? 0))
      : series.reduce((sum, { values }) => sum + (values[index] ?? 0), 0),
  );
  const ticks = scale(Math.max(0, ...sums));
  const top = ticks.at(-1);
  const inner = Math.max(10, width - EDGE.left - EDGE.right);
  const band = inner / starts.length;
  const x = (index) => EDGE.left + index * band;
  const y = (value) => EDGE.top + (HEIGHT - EDGE.top - EDGE.bottom) * (1 - value / top);
  const every = Math.max(1, Math.ceil(starts.length / Math.max(1, Math.floor(inner / 64))));

  const onPointer = ({ clientX }) => {
    const left = frame.current.getBoundingClientRect().left;
    const index = Math.floor((clientX - left - EDGE.left) / band);
    setAt(index >= 0 && index < starts.length ? index : undefined);
  };
  const onKeyDown = (event) => {
    const move = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (move === undefined) return;
    event.preventDefault();
    setAt(Math.min(starts.length - 1, Math.max(0, (chosen ?? starts.length - (move > 0 ? 1 : 0)) + move)));
  };
  return html`<figure class="chart">
    <figcaption class="legend">
      ${
        series.length > 1 || series[0]?.name
          ? html`<ul>${series.map(({ key, name, color }) => html`<li key=${key}><span class=${`key s${color}`}></span>${name}</li>`)}</ul>`
          : null
      }
      <p class="readout" role="status">${
        chosen === undefined
          ? html`<span class="quiet">${starts.length > 0 ? `${stepInFull(starts[0], by)} to now` : ""}</span>`
          : html`<b>${stepInFull(starts[chosen], by)}</b> ${isLines ? "" : format(sums[chosen])}${
              series.length > 1 || isLines
                ? series
                    .filter(({ values }) => values[chosen])
                    .map(({ key, name, values }) => html`<span key=${key}> · ${name} ${format(values[chosen])}</span>`)
                : ""
            }`
      }</p>
    </figcaption>
    <div
      ref=${frame}
      class="plot"
      tabindex="0"
      role="group"
      aria-label=${`${title}. Arrow keys read one step after the other; the table below has all.`}
      onKeyDown=${onKeyDown}
      onPointerMove=${onPointer}
      onPointerDown=${onPointer}
      onPointerLeave=${() => setAt(undefined)}
      onBlur=${() => setAt(undefined)}
    >
      ${
        width > 0 &&
        html`<svg width=${width} height=${HEIGHT} aria-hidden="true">
          ${ticks.map(
            (tick) => html`<g key=${tick}>
              <line class="grid" x1=${EDGE.left} x2=${width - EDGE.right} y1=${y(tick)} y2=${y(tick)} />
              <text class="tick" x=${EDGE.left - 8} y=${y(tick) + 4} text-anchor="end">${format(tick)}</text>
            </g>`,
          )}
          ${chosen !== undefined && html`<rect class="chosen" x=${x(chosen)} y=${EDGE.top} width=${band} height=${HEIGHT - EDGE.top - EDGE.bottom} />`}
          ${isLines ? lines(series, x, y, band) : bars(starts, series, x, y, band)}
          ${starts.map(
            (start, index) =>
              (starts.length - 1 - index) % every === 0 &&
              html`<text key=${start} class="tick" x=${x(index) + band / 2} y=${HEIGHT - 8} text-anchor="middle">${stepLabel(start, by)}</text>`,
          )}
        </svg>`
      }
    </div>
  </figure>`;
}

function bars(starts, series, x, y, band) {
  const gap = Math.min(6, band * 0.22);
  return starts.map((start, index) => {
    let below = 0;
    return html`<g key=${start}>
      ${series.map(({ key, color, values }) => {
        const value = values[index];
        if (!value) return null;
        const from = y(below);
        below += value;
        const height = Math.max(1, from - y(below));
        return html`<rect key=${key} class=${`s${color}`} x=${x(index) + gap / 2} y=${from - height} width=${Math.max(1, band - gap)} height=${height} />`;
      })}
    </g>`;
  });
}

/** A line breaks where there is no value; a point stands on every value, so that single ones are seen. */
function lines(series, x, y, band) {
  return series.map(({ key, color, values }) => {
    const points = values.map((value, index) => (value === undefined ? undefined : [x(index) + band / 2, y(value)]));
    const path = points
      .map((point, index) => point && `${points[index - 1] ? "L" : "M"}${point[0]} ${point[1]}`)
      .filter(Boolean)
      .join("");
    return html`<g key=${key} class=${`line s${color}`}>
      <path d=${path} />
      ${points.map((point, index) => point && html`<circle key=${index} cx=${point[0]} cy=${point[1]} r="2.5" />`)}
    </g>`;
  });
}

/** Round marks from nothing to at least the largest value, about four of them. */
function scale(largest) {
  if (!(largest > 0)) return [0, 1];
  const raw = largest / 4;
  const power = 10 ** Math.floor(Math.log10(raw));
  const size = [1, 2, 2.5, 5, 10].find((each) => each * power >= raw) * power;
  return Array.from({ length: Math.ceil(largest / size - 1e-9) + 1 }, (_, index) => index * size);
}
