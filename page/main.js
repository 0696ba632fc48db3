import { Component, render } from "preact";
import { useEffect, useState } from "preact/hooks";
import { call, openSession } from "./api.js";
import { ChatPage } from "./chat.js";
import { useChanges } from "./conversations.js";
import { usd } from "./format.js";
import { html } from "./html.js";
import { Problem } from "./parts.js";

const PAGES = [
  ["chat", "Chat"],
  ["requests", "Requests"],
  ["money", "Money"],
  ["network", "Network"],
  ["compare", "Compare"],
];

/** Pages other than the chat are loaded when they are first looked at. */
const LATER = {
  requests: () => import("./requests.js").then(({ RequestsPage }) => RequestsPage),
  money: () => import("./money.js").then(({ MoneyPage }) => MoneyPage),
  network: () => import("./network.js").then(({ NetworkPage }) => NetworkPage),
  compare: () => import("./compare.js").then(({ ComparePage }) => ComparePage),
};

function App() {
  const route = useRoute();
  const [state, setState] = useState(undefined);
  const [error, setError] = useState(undefined);
  const refresh = () =>
    call("state").then((fresh) => {
      setState(fresh);
      setError(undefined);
    }, setError);
  useEffect(() => {
    start().then(refresh, setError);
  }, []);
  useChanges(() => state && refresh());
  useEffect(() => {
    if (state) void refresh();
  }, [route.page]);
  useEffect(() => {
    const name = PAGES.find(([page]) => page === route.page)?.[1];
    if (route.page !== "chat") document.title = `${name} · zeph`;
  }, [route.page]);
  if (error?.status === 401) return html`<${Locked} error=${error} />`;
  return html`
    <a class="skip" href="#main" onClick=${toMain}>To the content</a>
    <${Top} page=${route.page} state=${state} />
    <main id="main" tabindex="-1" class=${`page-${route.page}`}>
      ${error && html`<${Problem} error=${error}><button type="button" onClick=${() => location.reload()}>Try again</button><//>`}
      ${state && html`<${Guarded} key=${route.page}><${Page} route=${route} state=${state} /><//>`}
    </main>
    <div id="said" class="unseen" role="status" aria-live="polite"></div>
  `;
}

function Top({ page, state }) {
  const [theme, keepTheme] = useKeptTheme();
  return html`<header class="top">
    <a class="brand" href="#/chat" aria-label="zeph, to the chat"><${Wind} />zeph</a>
    <nav class="tabs" aria-label="Pages">
      ${PAGES.map(
        ([name, title]) =>
          html`<a key=${name} href=${`#/${name}`} aria-current=${page === name ? "page" : undefined}>${title}</a>`,
      )}
    </nav>
    <div class="top-end">
      ${state?.demo && html`<span class="badge">demo</span>`}
      ${state?.limit && html`<${Limit} limit=${state.limit} />`}
      <button type="button" class="plain theme" aria-label=${`Colours: ${theme}`} title=${`Colours: ${theme}`} onClick=${() => keepTheme(NEXT_THEME[theme])}>
        <span aria-hidden="true">${THEME_SIGN[theme]}</span>
      </button>
    </div>
  </header>`;
}

function Limit({ limit }) {
  if (limit.usd === undefined || limit.usd === null)
    return html`<a class="limit" href="#/money"><b>${usd(limit.usedUsd)}</b> today</a>`;
  return html`<a class="limit" href="#/money" title=${`Daily limit ${usd(limit.usd)}`}>
    <b>${usd(limit.leftUsd)}</b> left today
    <meter min="0" max=${limit.usd} value=${limit.usedUsd} aria-label="Used of today's limit"></meter>
  </a>`;
}

/** Shown without a session: what to type to get one. */
function Locked({ error }) {
  return html`<main id="main" class="locked">
    <${Wind} />
    <h1>This page needs a new link</h1>
    <p>Each start of <code>zeph serve</code> prints a link that works once. In a terminal, type</p>
    <pre><code>zeph open</code></pre>
    <p>and this page opens again.</p>
    <p class="quiet">${error.message}</p>
  </main>`;
}

/** A fault of one page leaves the others where they are. */
class Guarded extends Component {
  static getDerivedStateFromError(error) {
    return { error };
  }
  render({ children }, { error }) {
    if (!error) return children;
    const told = {
      message: "This page cannot be drawn. That is a fault of zeph.",
      hint: "Reload it; zeph serve goes on.",
    };
    return html`<${Problem} error=${{ ...told, code: error.message }}>
      <button type="button" class="button" onClick=${() => location.reload()}>Reload</button>
    <//>`;
  }
}

function Page({ route, state }) {
  const [pages, setPages] = useState({});
  const { page } = route;
  const [error, setError] = useState(undefined);
  useEffect(() => {
    if (page === "chat" || pages[page]) return;
    LATER[page]().then((View) => setPages((before) => ({ ...before, [page]: View })), setError);
  }, [page]);
  if (error) return html`<${Problem} error=${error} />`;
  const View = page === "chat" ? ChatPage : pages[page];
  return View ? html`<${View} key=${page} route=${route} state=${state} />` : null;
}

/** The page's place: `#/requests/abc?only=errors` is `{ page: "requests", id: "abc", query }`. */
function useRoute() {
  const [route, setRoute] = useState(readRoute);
  useEffect(() => {
    const onChange = () => setRoute(readRoute());
    addEventListener("hashchange", onChange);
    return () => removeEventListener("hashchange", onChange);
  }, []);
  return route;
}

function readRoute() {
  const [path = "", query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [page = "", id] = path.split("/");
  const isKnown = PAGES.some(([name]) => name === page);
  return {
    page: isKnown ? page : "chat",
    id: isKnown && id ? decodeURIComponent(id) : undefined,
    query: new URLSearchParams(query),
  };
}

/** A link's token is spent at once and leaves the address, so that neither history nor a copied address holds it. */
async function start() {
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  if (token === null) return;
  history.replaceState(null, "", "#/chat");
  // A link opened twice: the session of the first time still holds, and if not, the next call says so.
  await openSession(token).catch((error) => {
    if (error.code === "unreachable") throw error;
  });
}

const NEXT_THEME = { "as the system": "light", light: "dark", dark: "as the system" };
const THEME_SIGN = { "as the system": "◐", light: "☀", dark: "☾" };

function useKeptTheme() {
  const kept = document.documentElement.dataset.theme;
  const [theme, setTheme] = useState(kept ?? "as the system");
  return [
    theme,
    (next) => {
      setTheme(next);
      if (next === "as the system") delete document.documentElement.dataset.theme;
      else document.documentElement.dataset.theme = next;
      try {
        if (next === "as the system") localStorage.removeItem("zeph.theme");
        else localStorage.setItem("zeph.theme", next);
      } catch {
        // A browser that keeps nothing.
      }
    },
  ];
}

function toMain(event) {
  event.preventDefault();
  document.getElementById("main").focus();
}

const Wind = () => html`<svg class="wind" viewBox="0 0 32 32" aria-hidden="true">
  <path d="M5 12h13a3.4 3.4 0 1 0-3.4-3.4M5 17.5h18.5a3.7 3.7 0 1 1-3.7 3.7M5 23h8.4a3 3 0 1 1-3 3" />
</svg>`;

render(html`<${App} />`, document.getElementById("app"));
