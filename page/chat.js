import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { ConversationList } from "./chat-list.js";
import { Composer } from "./composer.js";
import {
  ask,
  deleteConversation,
  forget,
  isWriting,
  NEW,
  readConversation,
  renameConversation,
  useChanges,
  useWriting,
} from "./conversations.js";
import { Exchange } from "./exchange.js";
import { html, useKept, useMedia } from "./html.js";
import { modelFacts } from "./model-choice.js";
import { Dialog, Problem } from "./parts.js";

/** What was chosen for a conversation and not asked with yet: `{ model?, system? }` by id, `NEW` for the next one. */
const chosen = new Map();

/** Conversations at the left, the open one beside them; on a narrow screen the list is a window of its own. */
export function ChatPage({ route, state }) {
  const isWide = useMedia("(min-width: 880px)");
  const [isListOpen, setListOpen] = useState(false);
  useEffect(() => setListOpen(false), [route.id]);
  const list = html`<${ConversationList} openId=${route.id} onChoose=${() => setListOpen(false)} />`;
  return html`
    ${isWide && html`<aside class="side" aria-label="Conversations">${list}</aside>`}
    ${isListOpen && !isWide && html`<${Dialog} title="Conversations" onClose=${() => setListOpen(false)}>${list}<//>`}
    <${Conversation}
      id=${route.id}
      state=${state}
      listButton=${
        !isWide &&
        html`<button type="button" class="plain" aria-haspopup="dialog" onClick=${() => setListOpen(true)}>Conversations</button>`
      }
    />
  `;
}

const addressOf = (id) => `#/chat/${encodeURIComponent(id)}`;

function Conversation({ id, state, listButton }) {
  const writing = useWriting();
  const [kept, setKept] = useState(undefined);
  const [error, setError] = useState(undefined);
  const [, redraw] = useState(0);
  const [lastModel, keepLastModel] = useKept("model", undefined);
  const key = id ?? NEW;

  const read = (signal) =>
    readConversation(id, signal).then(
      (conversation) => {
        setKept(conversation);
        setError(undefined);
      },
      (failure) => signal?.aborted || setError(failure),
    );
  const isHere = id === undefined || writing.has(id);
  useEffect(() => {
    setError(undefined);
    if (isHere) return;
    const controller = new AbortController();
    void read(controller.signal);
    return () => controller.abort();
  }, [id, isHere]);
  // Looked at again, it is read again: the terminal may have gone on with it.
  useEffect(() => () => forget(id), [id]);
  useChanges((change) => {
    if (change.id !== id || isWriting(id) || !change.isElsewhere) return;
    forget(id);
    if (change.isDeleted) location.replace("#/chat");
    else void read();
  });

  const conversation = writing.get(key) ?? (id === undefined ? { exchanges: [] } : kept?.id === id ? kept : undefined);
  const title = conversation?.title ?? (id === undefined ? "New conversation" : "");
  useEffect(() => {
    document.title = title ? `${title} · zeph` : "zeph";
  }, [title]);

  const last = conversation?.exchanges.at(-1);
  const isKnown = (choice) =>
    choice && state.models.some((each) => each.id === choice.model && each.provider === choice.provider);
  const pick = chosen.get(key) ?? {};
  const model =
    pick.model ??
    (last?.model ? { provider: last.provider, model: last.model } : undefined) ??
    (isKnown(lastModel) ? lastModel : { provider: state.provider, model: state.model });
  const system = pick.system ?? conversation?.system ?? "";
  const choose = (change) => {
    chosen.set(key, { ...pick, ...change });
    if (change.model) keepLastModel(change.model);
    redraw((before) => before + 1);
  };

  const send = (parts, replaceFrom) => {
    const replaced = replaceFrom === undefined ? undefined : conversation.exchanges[replaceFrom];
    // What never reached the conversation is not there to be replaced.
    const isThere = replaced !== undefined && !(replaced.error && !replaced.isStarted && writing.has(key));
    const before =
      isThere || replaceFrom === undefined
        ? conversation
        : { ...conversation, exchanges: conversation.exchanges.slice(0, replaceFrom) };
    return ask(before, {
      parts,
      ...model,
      system,
      replaceFrom: isThere ? replaceFrom : undefined,
      onId: (given, from) => {
        chosen.set(given, { model, system });
        chosen.delete(from ?? NEW);
        // Only who still looks at it is taken to its own address.
        const isSeen = from === undefined ? /^(#\/chat\/?)?$/.test(location.hash) : location.hash === addressOf(from);
        if (isSeen) location.replace(addressOf(given));
      },
    });
  };

  if (id !== undefined && !conversation)
    return html`<section class="conversation">
      <div class="thread">${
        error
          ? html`<${Problem} error=${error}><a class="button" href="#/chat">Start a new conversation</a><//>`
          : html`<p class="quiet" role="status">Reading the conversation …</p>`
      }</div>
    </section>`;
  const facts = state.models.find((each) => each.id === model.model && each.provider === model.provider);
  const isBusy = last?.isWriting === true;
  return html`<section class="conversation" aria-label=${title}>
    <div class="conversation-head">
      ${listButton}
      <h1>${title}</h1>
      ${id !== undefined && html`<${ConversationMenu} id=${id} title=${title} onRenamed=${read} />`}
    </div>
    <${Thread} conversation=${conversation}>
      ${conversation.exchanges.length === 0 && html`<${Welcome} model=${facts} />`}
      ${conversation.exchanges.map(
        (exchange, index) => html`<${Exchange}
          key=${index}
          exchange=${exchange}
          number=${index + 1}
          canChange=${!isBusy}
          onRetry=${index === conversation.exchanges.length - 1 ? () => send(exchange.parts, index) : undefined}
          onResend=${(parts) => send(parts, index)}
        />`,
      )}
    <//>
    <${Composer}
      state=${state}
      model=${model}
      facts=${facts}
      system=${system}
      isBusy=${isBusy}
      onModel=${(next) => choose({ model: next })}
      onSystem=${(text) => choose({ system: text })}
      onSend=${(parts) => send(parts)}
      onStop=${() => conversation.stop?.()}
    />
  </section>`;
}

/** Stays at the end of a growing answer, unless the reader has scrolled away from it. */
function Thread({ conversation, children }) {
  const ref = useRef(null);
  const isAtEnd = useRef(true);
  const [isAway, setAway] = useState(false);
  const toEnd = () => {
    ref.current.scrollTop = ref.current.scrollHeight;
  };
  useEffect(() => {
    isAtEnd.current = true;
    toEnd();
  }, [conversation.id, conversation.exchanges.length]);
  useLayoutEffect(() => {
    if (isAtEnd.current) toEnd();
  });
  const onScroll = () => {
    const { scrollTop, scrollHeight, clientHeight } = ref.current;
    isAtEnd.current = scrollHeight - scrollTop - clientHeight < 48;
    setAway(!isAtEnd.current);
  };
  return html`<div class="thread-frame">
    <div class="thread" ref=${ref} onScroll=${onScroll} tabindex="0" role="log" aria-live="off" aria-label="Messages">
      <div class="thread-inner">${children}</div>
    </div>
    ${isAway && html`<button type="button" class="to-end" onClick=${toEnd}>To the end ↓</button>`}
  </div>`;
}

function Welcome({ model }) {
  return html`<div class="welcome">
    <p class="welcome-line">What would you like to know?</p>
    ${model && html`<p class="quiet">${model.id} at ${model.provider}${modelFacts(model) && html`<br />${modelFacts(model)}`}</p>`}
    <p class="quiet">Conversations are kept on this computer only, where <code>zeph chats</code> finds them too.</p>
  </div>`;
}

function ConversationMenu({ id, title, onRenamed }) {
  const [asked, setAsked] = useState(undefined);
  const [error, setError] = useState(undefined);
  const menu = useRef(null);
  const open = (what) => {
    menu.current.open = false;
    setError(undefined);
    setAsked(what);
  };
  const exported = (format) => `/page/api/chats/${encodeURIComponent(id)}/export?format=${format}`;
  const rename = (event) => {
    event.preventDefault();
    const next = new FormData(event.target).get("title").trim();
    if (next === "") return;
    renameConversation(id, next).then(() => {
      setAsked(undefined);
      forget(id);
      onRenamed();
    }, setError);
  };
  const remove = () =>
    deleteConversation(id).then(() => {
      setAsked(undefined);
      location.replace("#/chat");
    }, setError);
  const closeOnEscape = (event) => {
    if (event.key !== "Escape" || !menu.current.open) return;
    menu.current.open = false;
    menu.current.querySelector("summary").focus();
  };
  const closeOnLeave = ({ relatedTarget }) => {
    if (!menu.current.contains(relatedTarget)) menu.current.open = false;
  };
  return html`<details class="menu" ref=${menu} onKeyDown=${closeOnEscape} onFocusOut=${closeOnLeave}>
      <summary aria-label="This conversation">⋯</summary>
      <div class="menu-items">
        <button type="button" onClick=${() => open("rename")}>Rename</button>
        <a href=${exported("markdown")} download onClick=${() => open(undefined)}>Export as Markdown</a>
        <a href=${exported("json")} download onClick=${() => open(undefined)}>Export as JSON</a>
        <button type="button" class="danger" onClick=${() => open("delete")}>Delete</button>
      </div>
    </details>
    ${
      asked === "rename" &&
      html`<${Dialog} title="Rename the conversation" onClose=${() => setAsked(undefined)}>
        <form onSubmit=${rename}>
          <input name="title" value=${title} aria-label="Title" maxlength="200" autofocus />
          ${error && html`<${Problem} error=${error} />`}
          <div class="row end"><button class="button main">Rename</button></div>
        </form>
      <//>`
    }
    ${
      asked === "delete" &&
      html`<${Dialog} title="Delete the conversation?" onClose=${() => setAsked(undefined)}>
        <p>“${title}” is removed from this computer, also from <code>zeph chats</code>. This cannot be undone.</p>
        ${error && html`<${Problem} error=${error} />`}
        <div class="row end"><button type="button" class="button danger" onClick=${remove}>Delete</button></div>
      <//>`
    }`;
}
