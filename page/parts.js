import { useEffect, useRef, useState } from "preact/hooks";
import { html } from "./html.js";

/** Says something to a screen reader, without showing it. */
export function announce(text) {
  const region = document.getElementById("said");
  if (region) region.textContent = text;
}

/** What went wrong and what to do next, in the terminal's words. */
export function Problem({ error, children }) {
  return html`<div class="problem" role="alert">
    <p class="problem-what">${error.message}</p>
    ${error.hint && html`<p class="problem-next">${codeIn(error.hint)}</p>`}
    ${
      error.code &&
      html`<p class="problem-facts">
        <code>${error.code}</code>${error.status ? ` · status ${error.status}` : ""}${error.requestId ? ` · request ${error.requestId}` : ""}
      </p>`
    }
    ${children && html`<div class="row">${children}</div>`}
  </div>`;
}

/** What a page shows until its first answer is there, or instead of it: `loaded` is what `useLoaded` gives. */
export function Loading({ loaded, what }) {
  if (loaded.error)
    return html`<${Problem} error=${loaded.error}><button type="button" onClick=${loaded.reload}>Try again</button></${Problem}>`;
  return html`<p class="quiet" role="status">Reading ${what} …</p>`;
}

export function Empty({ title, children }) {
  return html`<div class="empty"><h2>${title}</h2>${children}</div>`;
}

export function CopyButton({ text, label = "Copy" }) {
  const [copied, setCopied] = useState(false);
  useEffect(() => {
    if (!copied) return;
    const timer = setTimeout(() => setCopied(false), 1500);
    return () => clearTimeout(timer);
  }, [copied]);
  const copy = async () => {
    await navigator.clipboard.writeText(text);
    setCopied(true);
    announce("Copied");
  };
  return html`<button type="button" class="plain" aria-label=${label} onClick=${copy}>${copied ? "Copied" : "Copy"}</button>`;
}

/** A modal window; Escape and a click beside it close it. */
export function Dialog({ title, onClose, children, wide }) {
  const ref = useRef(null);
  useEffect(() => {
    ref.current.showModal();
  }, []);
  return html`<dialog
    ref=${ref}
    class=${wide ? "wide" : ""}
    aria-label=${title}
    onClose=${onClose}
    onClick=${(event) => event.target === ref.current && ref.current.close()}
  >
    <div class="dialog-body">
      <div class="dialog-head">
        <h2>${title}</h2>
        <button type="button" class="plain" aria-label="Close" onClick=${() => ref.current.close()}>✕</button>
      </div>
      ${children}
    </div>
  </dialog>`;
}

/** A few buttons of which one is chosen. `options` are `[value, label]`. */
export function Choice({ label, value, options, onChange }) {
  return html`<fieldset class="choice">
    <legend class="unseen">${label}</legend>
    ${options.map(
      ([each, text]) => html`<label class=${each === value ? "on" : ""}>
        <input type="radio" name=${label} value=${each} checked=${each === value} onChange=${() => onChange(each)} />${text}
      </label>`,
    )}
  </fieldset>`;
}

/**
 * A table whose rows become cards on a narrow screen. A column: `{ name, title, of(row), text(row), isNumber, sort(row) }`;
 * with `sort` its head is a button.
 */
export function Table({ caption, columns, rows, sortedBy, keyOf, rowClass }) {
  const [order, setOrder] = useState(sortedBy ?? { name: undefined, down: true });
  const column = columns.find(({ name }) => name === order.name);
  const value = (row) => column.sort?.(row) ?? Number.NEGATIVE_INFINITY;
  const sorted = column
    ? [...rows].sort((a, b) => (value(a) < value(b) ? -1 : value(a) > value(b) ? 1 : 0) * (order.down ? -1 : 1))
    : rows;
  return html`<div class="table-frame" role="region" aria-label=${caption} tabindex="0">
    <table class="cards" role="table">
      <caption class="unseen">${caption}</caption>
      <thead role="rowgroup">
        <tr role="row">
          ${columns.map(({ name, title, sort, isNumber }) => {
            const isSorted = order.name === name;
            return html`<th
              role="columnheader"
              scope="col"
              class=${isNumber ? "number" : ""}
              aria-sort=${isSorted ? (order.down ? "descending" : "ascending") : undefined}
            >
              ${
                sort
                  ? html`<button
                      type="button"
                      class="head"
                      onClick=${() => setOrder({ name, down: isSorted ? !order.down : true })}
                    >${title}<span aria-hidden="true">${isSorted ? (order.down ? " ↓" : " ↑") : ""}</span></button>`
                  : title
              }
            </th>`;
          })}
        </tr>
      </thead>
      <tbody role="rowgroup">
        ${sorted.map(
          (row) => html`<tr role="row" key=${keyOf(row)} class=${rowClass?.(row) ?? ""}>
            ${columns.map(({ title, of, isNumber }, index) => {
              const shown = of(row);
              if (index === 0) return html`<th role="rowheader" scope="row">${shown}</th>`;
              // A card leaves out what is not known.
              const kind = `${isNumber ? "number" : ""} ${shown === "–" ? "none" : ""}`;
              return html`<td role="cell" data-title=${title} class=${kind}>${shown}</td>`;
            })}
          </tr>`,
        )}
      </tbody>
    </table>
  </div>`;
}

/** Commands in backquotes as code. */
function codeIn(text) {
  return text.split("`").map((part, index) => (index % 2 === 1 ? html`<code>${part}</code>` : part));
}
