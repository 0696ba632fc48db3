import { useEffect, useState } from "preact/hooks";
import { call } from "./api.js";
import { clock, count, duration, gnk, moment, usd } from "./format.js";
import { html, useLoaded, useMedia } from "./html.js";
import { shortName } from "./model-choice.js";
import { Empty, Loading, Problem, Table } from "./parts.js";

/** As many as the endpoint keeps. */
const MAX_REQUESTS = 500;

/** What passes through the endpoint, while it passes; one request opened tells its story. */
export function RequestsPage({ route }) {
  const isWide = useMedia("(min-width: 1000px)");
  const [filter, setFilter] = useState("");
  const [isOnlyFailures, setOnlyFailures] = useState(false);
  const live = useLiveRequests();
  if (!live.requests) return html`<h1 class="unseen">Requests</h1><${Loading} loaded=${live} what="the requests" />`;
  const words = filter.toLowerCase().split(/\s+/);
  const rows = live.requests.filter(
    (request) =>
      (!isOnlyFailures || isFailure(request)) &&
      words.every((word) =>
        `${request.client} ${request.dialect} ${request.model} ${request.provider} ${request.status ?? ""}`
          .toLowerCase()
          .includes(word),
      ),
  );
  const story =
    route.id &&
    html`<${Story} key=${route.id} id=${route.id} phase=${live.requests.find(({ id }) => id === route.id)?.phase} />`;
  if (story && !isWide)
    return html`<h1 class="unseen">Requests</h1><p><a href="#/requests">← All requests</a></p>${story}`;
  return html`<h1 class="unseen">Requests</h1>
    <div class="controls">
      <input type="search" aria-label="Filter the requests" placeholder="Filter: client, model, status" value=${filter} onInput=${({ target }) => setFilter(target.value)} />
      <label class="check"><input type="checkbox" checked=${isOnlyFailures} onChange=${({ target }) => setOnlyFailures(target.checked)} /> only failures</label>
      <span class="grow"></span>
      <${PromptsSwitch} live=${live} />
      <span class=${`live ${live.isLive ? "on" : ""}`} role="status">${live.isLive ? "live" : "connecting …"}</span>
    </div>
    <div class=${`split ${story ? "with-story" : ""}`}>
      ${
        live.requests.length === 0
          ? html`<${Empty} title="Nothing has passed yet">
              <p>Point a client at this endpoint, for instance with <code>zeph launch</code> or <code>zeph connect</code>, and its requests appear here while they run.</p>
            <//>`
          : rows.length === 0
            ? html`<p class="quiet">No request matches.</p>`
            : html`<${RequestTable} rows=${rows} openId=${route.id} />`
      }
      ${story && html`<aside class="panel story-panel" aria-label="One request">${story}</aside>`}
    </div>`;
}

/** Followed over an event stream, only while somebody looks. */
function useLiveRequests() {
  const [requests, setRequests] = useState(undefined);
  const [promptsKept, setPromptsKept] = useState(false);
  const [error, setError] = useState(undefined);
  const [isLive, setLive] = useState(false);
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    const controller = new AbortController();
    let source;
    const merge = (fresh) =>
      setRequests((before = []) => {
        const known = new Map(before.map((each) => [each.id, each]));
        for (const each of fresh) known.set(each.id, each);
        return [...known.values()].sort((a, b) => b.atMs - a.atMs).slice(0, MAX_REQUESTS);
      });
    const follow = () => {
      source?.close();
      setLive(false);
      if (document.hidden) return;
      source = new EventSource("/page/api/requests/live");
      // Read once the stream is open: what happens between the two is in either.
      source.onopen = () =>
        call("requests", { signal: controller.signal }).then(
          (told) => {
            setError(undefined);
            setPromptsKept(told.promptsKept === true);
            merge(told.requests);
            setLive(true);
          },
          (failure) => controller.signal.aborted || setError(failure),
        );
      source.onerror = () => setLive(false);
      source.addEventListener("request", ({ data }) => merge([JSON.parse(data)]));
    };
    call("requests", { signal: controller.signal }).then(
      (told) => {
        setPromptsKept(told.promptsKept === true);
        merge(told.requests);
      },
      (failure) => controller.signal.aborted || setError(failure),
    );
    follow();
    document.addEventListener("visibilitychange", follow);
    return () => {
      controller.abort();
      source?.close();
      document.removeEventListener("visibilitychange", follow);
    };
  }, [turn]);
  return { requests, error, isLive, promptsKept, setPromptsKept, reload: () => setTurn((before) => before + 1) };
}

function PromptsSwitch({ live }) {
  const [error, setError] = useState(undefined);
  const change = ({ target }) => {
    const keep = target.checked;
    call("requests/prompts", { method: "PUT", body: { keep } }).then(
      () => {
        setError(undefined);
        live.setPromptsKept(keep);
      },
      (failure) => {
        target.checked = !keep;
        setError(failure);
      },
    );
  };
  return html`<label class="check" title="Until zeph serve ends, in memory only. Off, no prompt is stored.">
      <input type="checkbox" checked=${live.promptsKept} onChange=${change} /> keep prompts for this run
    </label>
    ${error && html`<${Problem} error=${error} />`}`;
}

const isFailure = ({ status, error }) => error !== undefined || (status ?? 0) >= 400;

function RequestTable({ rows, openId }) {
  // Beside an open request there is room for less.
  const isShort = openId !== undefined;
  return html`<${Table}
    caption="Requests, newest first"
    rows=${rows}
    keyOf=${({ id }) => id}
    rowClass=${({ id }) => (id === openId ? "linked open" : "linked")}
    columns=${[
      {
        name: "at",
        title: "Time",
        of: (row) =>
          html`<a href=${`#/requests/${encodeURIComponent(row.id)}`} class="nowrap" aria-current=${row.id === openId ? "true" : undefined}>${clock(row.atMs)}</a>`,
      },
      { name: "client", title: "Client", of: (row) => html`<span class="clip">${row.client || "unknown"}</span>` },
      {
        name: "model",
        title: "Model",
        of: (row) =>
          html`<span class="clip" title=${`${row.model} at ${row.provider}`}>${shortName(row.model ?? "")} <span class="quiet">${row.provider}</span></span>`,
      },
      { name: "dialect", title: "Dialect", isExtra: true, of: (row) => row.dialect },
      { name: "status", title: "Status", of: (row) => html`<${Status} request=${row} />` },
      { name: "first", title: "First byte", isExtra: true, isNumber: true, of: (row) => duration(row.firstByteMs) },
      { name: "total", title: "Took", isNumber: true, of: (row) => duration(row.totalMs) },
      {
        name: "tokens",
        title: "Tokens",
        isExtra: true,
        isNumber: true,
        of: (row) => (row.inputTokens === undefined ? "–" : `${count(row.inputTokens)} → ${count(row.outputTokens)}`),
      },
      { name: "cost", title: "Cost", isNumber: true, of: cost },
      {
        name: "changed",
        title: "Changed",
        isExtra: true,
        of: (row) =>
          row.changed.length === 0
            ? "–"
            : html`<span class="badge" title=${row.changed.join("\n")}>${count(row.changed.length)}</span>`,
      },
    ].filter(({ isExtra }) => !(isShort && isExtra))}
  />`;
}

const cost = ({ costUsd, costGnk }) =>
  costUsd !== undefined ? usd(costUsd) : costGnk !== undefined ? gnk(costGnk) : "–";

function Status({ request }) {
  if (request.phase !== "done")
    return html`<span class="state running">${request.phase === "open" ? "waiting" : "answering"}</span>`;
  if (isFailure(request)) return html`<span class="state bad">${request.status ?? "broke off"}</span>`;
  return html`<span class="state good">${request.status ?? "done"}</span>`;
}

/** What `zeph explain` tells of a request. */
function Story({ id, phase }) {
  // Asked again when the request has come further.
  const loaded = useLoaded((signal) => call(`requests/${encodeURIComponent(id)}`, { signal }), `${id} ${phase}`);
  if (!loaded.value) return html`<${Loading} loaded=${loaded} what="the request" />`;
  const { request, story, prompt } = loaded.value;
  return html`<div class="story">
    <div class="row">
      <h2>${shortName(request.model ?? "") || "Request"}</h2>
      <${Status} request=${request} />
      <span class="grow"></span>
      <a class="plain" href="#/requests" aria-label="Close this request">✕</a>
    </div>
    <p class="quiet">${moment(request.atMs)} · ${request.client || "unknown client"} · <code>${request.id}</code></p>
    ${request.error && html`<${Problem} error=${typeof request.error === "string" ? { message: request.error } : request.error} />`}
    <dl class="pairs">
      <dt>Model</dt><dd>${request.model} at ${request.provider}</dd>
      <dt>Dialect</dt><dd>${request.dialect}</dd>
      <dt>First byte</dt><dd>${duration(request.firstByteMs)}</dd>
      <dt>In all</dt><dd>${duration(request.totalMs)}</dd>
      <dt>Tokens</dt><dd>${request.inputTokens === undefined ? "–" : `${count(request.inputTokens)} in, ${count(request.outputTokens)} out`}</dd>
      <dt>Cost</dt><dd>${cost(request)}</dd>
    </dl>
    ${
      request.changed.length > 0 &&
      html`<h3>Changed on the way</h3><ul class="changes">${request.changed.map((each) => html`<li>${each}</li>`)}</ul>`
    }
    ${story.map(({ title, text }, index) => html`<section key=${index}><h3>${title}</h3><p class="as-written">${text}</p></section>`)}
    ${prompt !== undefined && html`<h3>Prompt</h3><pre class="prompt" tabindex="0" role="region" aria-label="Prompt">${prompt}</pre>`}
  </div>`;
}
