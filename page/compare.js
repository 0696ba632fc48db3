import { useEffect, useRef, useState } from "preact/hooks";
import { events } from "./api.js";
import { count, decimal, duration, usd } from "./format.js";
import { html } from "./html.js";
import { Markdown } from "./markdown.js";
import { ModelButton, shortName } from "./model-choice.js";
import { announce, Problem } from "./parts.js";

/** The same question to two or three models, side by side; kept while other pages are looked at. */
const kept = { question: "", entries: undefined, runs: undefined };

export function ComparePage({ state }) {
  const [question, setQuestion] = useState(kept.question);
  const [entries, setEntries] = useState(kept.entries ?? firstEntries(state));
  const [runs, setRuns] = useState(kept.runs);
  const [isBusy, setBusy] = useState(false);
  const [error, setError] = useState(undefined);
  const controller = useRef(undefined);
  Object.assign(kept, { question, entries, runs });
  // Whoever leaves does not want to pay for the rest.
  useEffect(() => () => controller.current?.abort(), []);

  const run = async (event) => {
    event?.preventDefault();
    if (isBusy || question.trim() === "") return;
    const now = entries.map((entry) => ({ ...entry, text: "" }));
    const show = () => setRuns([...now]);
    const change = (index, change) => {
      now[index] = { ...now[index], ...change };
    };
    controller.current = new AbortController();
    setBusy(true);
    setError(undefined);
    show();
    announce("Asking");
    try {
      for await (const [name, data] of events("compare", { question, entries }, controller.current.signal)) {
        if (name === "first") change(data.index, { firstWordMs: data.ms });
        else if (name === "text") change(data.index, { text: now[data.index].text + data.text });
        else if (name === "end") change(data.index, { ...data, isDone: true });
        else if (name === "error") change(data.index, { error: data.error, isDone: true });
        show();
      }
      announce("The comparison is complete");
    } catch (failure) {
      if (!controller.current.signal.aborted) setError(failure);
    }
    setBusy(false);
  };
  const set = (index, entry) => setEntries(entries.map((each, at) => (at === index ? entry : each)));
  return html`<h1 class="unseen">Compare</h1>
    <form class="panel compare-form" onSubmit=${run}>
      <textarea
        rows="3"
        aria-label="The question for all"
        placeholder="One question for two or three models"
        value=${question}
        onInput=${({ target }) => setQuestion(target.value)}
        onKeyDown=${(event) => event.key === "Enter" && !event.shiftKey && !event.isComposing && run(event)}
      ></textarea>
      <div class="row wrap">
        ${entries.map(
          (entry, index) => html`<span key=${index} class="row tight">
            <${ModelButton} label=${`Model ${index + 1}`} value=${entry} models=${state.models} providers=${state.providers} onChange=${(next) => set(index, next)} />
            ${entries.length > 2 && html`<button type="button" class="plain" aria-label=${`Without model ${index + 1}`} onClick=${() => setEntries(entries.filter((_, at) => at !== index))}>✕</button>`}
          </span>`,
        )}
        ${entries.length < 3 && html`<button type="button" class="plain" onClick=${() => setEntries([...entries, entries[0]])}>+ a third</button>`}
        <span class="grow"></span>
        ${
          isBusy
            ? html`<button type="button" class="button main stop" onClick=${() => controller.current.abort()}>Stop</button>`
            : html`<button class="button main" disabled=${question.trim() === ""}>Compare</button>`
        }
      </div>
      <p class="quiet">Each is asked once, then tried with a tool and with JSON mode; all of it is charged as usual. In the terminal: <code>zeph compare</code>.</p>
    </form>
    ${error && html`<${Problem} error=${error} />`}
    ${runs && html`<div class="runs">${runs.map((entry, index) => html`<${Run} key=${index} run=${entry} all=${runs} isBusy=${isBusy} />`)}</div>`}`;
}

function Run({ run, all, isBusy }) {
  const best = (of, isMore) => {
    const values = all.map(of).filter((value) => value !== undefined);
    return (
      values.length > 1 &&
      of(run) !== undefined &&
      of(run) === (isMore ? Math.max(...values) : Math.min(...values)) &&
      new Set(values).size > 1
    );
  };
  const line = (title, value, isBest) =>
    html`<dt>${title}</dt><dd class=${isBest ? "best" : ""}>${value}${isBest ? html`<span class="unseen"> (best)</span>` : ""}</dd>`;
  return html`<article class="panel run" aria-busy=${isBusy && !run.isDone} aria-label=${`${run.model} at ${run.provider}`}>
    <h2>${shortName(run.model)} <span class="quiet">${run.provider}</span></h2>
    <dl class="pairs">
      ${line(
        "First word",
        duration(run.firstWordMs),
        best((each) => each.firstWordMs),
      )}
      ${line(
        "In all",
        duration(run.totalMs),
        best((each) => each.totalMs),
      )}
      ${line(
        "Tokens per second",
        decimal(run.tokensPerSecond),
        best((each) => each.tokensPerSecond, true),
      )}
      ${line("Tokens", run.outputTokens === undefined ? "–" : count(run.outputTokens))}
      ${line(
        "Cost",
        usd(run.costUsd),
        best((each) => each.costUsd),
      )}
      ${line("Tool call", html`<${Ability} value=${run.toolCall} />`)}
      ${line("JSON mode", html`<${Ability} value=${run.jsonMode} />`)}
    </dl>
    ${run.error && html`<${Problem} error=${run.error} />`}
    ${run.text && html`<${Markdown} text=${run.text} />`}
  </article>`;
}

const ABILITIES = { yes: ["good", "yes"], no: ["bad", "no"], error: ["bad", "failed"] };
function Ability({ value }) {
  const [kind, text] = ABILITIES[value] ?? ["", "–"];
  return kind ? html`<span class=${`state ${kind}`}>${text}</span>` : text;
}

/** The default model, and one that differs from it. */
function firstEntries({ provider, model, models }) {
  const other = models.find((each) => each.id !== model || each.provider !== provider) ?? { provider, id: model };
  return [
    { provider, model },
    { provider: other.provider, model: other.id },
  ];
}
