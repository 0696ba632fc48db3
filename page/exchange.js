import { useEffect, useRef, useState } from "preact/hooks";
import { count, duration, gnk, moment, usd } from "./format.js";
import { html } from "./html.js";
import { harmless, Markdown } from "./markdown.js";
import { shortName } from "./model-choice.js";
import { CopyButton, Problem } from "./parts.js";

/** A question and its answer, with what it took. */
export function Exchange({ exchange, number, canChange, onRetry, onResend }) {
  const [isEditing, setEditing] = useState(false);
  const text = exchange.parts
    .filter(({ type }) => type === "text")
    .map((part) => part.text)
    .join("\n\n");
  const images = exchange.parts.filter(({ type, dataUrl }) => type === "image" && /^data:image\//.test(dataUrl ?? ""));
  return html`<article class="exchange" aria-label=${`Question ${number}`}>
    ${
      isEditing
        ? html`<${Edit}
            text=${text}
            onCancel=${() => setEditing(false)}
            onSend=${(next) => {
              setEditing(false);
              onResend([...images, { type: "text", text: next }]);
            }}
          />`
        : html`<div class="question">
            <div class="bubble" dir="auto">
              ${images.map(({ dataUrl }, index) => html`<img key=${index} src=${dataUrl} alt=${`Image ${index + 1} of the question`} />`)}
              ${text && html`<p>${harmless(text)}</p>`}
            </div>
            <div class="actions">
              <${CopyButton} text=${text} label="Copy the question" />
              ${canChange && html`<button type="button" class="plain" onClick=${() => setEditing(true)}>Edit</button>`}
            </div>
          </div>`
    }
    <div class="answer" aria-busy=${exchange.isWriting === true}>
      ${exchange.reasoning && html`<${Reasoning} exchange=${exchange} />`}
      ${exchange.answer && html`<${Markdown} text=${exchange.answer} />`}
      ${exchange.isWriting && !exchange.answer && !exchange.reasoning && html`<p class="waiting" role="status"><span></span><span></span><span></span><span class="unseen">Waiting for the first word</span></p>`}
      ${exchange.notices?.map((notice) => html`<p class="notice">${notice}</p>`)}
      ${exchange.interrupted && !exchange.error && html`<p class="notice">${exchange.interrupted === "failed" ? "The answer broke off here." : "Stopped here."}</p>`}
      ${
        exchange.error &&
        html`<${Problem} error=${exchange.error}>
          ${canChange && onRetry && html`<button type="button" class="button" onClick=${onRetry}>Try again</button>`}
        <//>`
      }
      ${!exchange.isWriting && html`<${Facts} exchange=${exchange} />`}
      ${
        !exchange.isWriting &&
        html`<div class="actions">
          ${exchange.answer && html`<${CopyButton} text=${exchange.answer} label="Copy the answer" />`}
          ${canChange && onRetry && !exchange.error && html`<button type="button" class="plain" onClick=${onRetry}>Retry</button>`}
        </div>`
      }
    </div>
  </article>`;
}

function Reasoning({ exchange }) {
  const isThinking = exchange.isWriting && !exchange.answer;
  return html`<details class="reasoning">
    <summary>${isThinking ? "Thinking …" : "Thought before answering"}</summary>
    <${Markdown} text=${exchange.reasoning} />
  </details>`;
}

/** Model, tokens, cost and times, in one quiet line. */
function Facts({ exchange }) {
  const { usage } = exchange;
  const facts = [
    exchange.model &&
      html`<span title=${`${exchange.model} at ${exchange.provider}`}>${shortName(exchange.model)} · ${exchange.provider}</span>`,
    usage &&
      html`<span title=${usage.reasoningTokens ? `${count(usage.reasoningTokens)} of them for thinking` : undefined}>${count(usage.inputTokens)} → ${count(usage.outputTokens)} tokens</span>`,
    exchange.costUsd !== undefined && html`<span>${usd(exchange.costUsd)}</span>`,
    exchange.costGnk !== undefined && html`<span>${gnk(exchange.costGnk)}</span>`,
    exchange.firstWordMs !== undefined && html`<span>first word after ${duration(exchange.firstWordMs)}</span>`,
    exchange.totalMs !== undefined && html`<span>${duration(exchange.totalMs)} in all</span>`,
    exchange.finishReason === "length" && html`<span class="warn">cut at the model's length limit</span>`,
    exchange.atMs && html`<span>${moment(exchange.atMs)}</span>`,
  ].filter(Boolean);
  return facts.length > 0 && html`<p class="facts">${facts}</p>`;
}

function Edit({ text, onSend, onCancel }) {
  const [value, setValue] = useState(text);
  const field = useRef(null);
  useEffect(() => field.current.focus(), []);
  const submit = (event) => {
    event.preventDefault();
    if (value.trim() !== "") onSend(value);
  };
  const onKeyDown = (event) => {
    if (event.key === "Escape") onCancel();
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) submit(event);
  };
  return html`<form class="edit" onSubmit=${submit}>
    <textarea ref=${field} aria-label="Your question, changed" rows="3" value=${value} onInput=${({ target }) => setValue(target.value)} onKeyDown=${onKeyDown}></textarea>
    <p class="quiet">Sending replaces this question, its answer and what follows.</p>
    <div class="row end">
      <button type="button" class="button" onClick=${onCancel}>Cancel</button>
      <button class="button main">Send again</button>
    </div>
  </form>`;
}
