import { useEffect, useState } from "preact/hooks";
import { forget, listConversations, NEW, useChanges } from "./conversations.js";
import { usd, when } from "./format.js";
import { html } from "./html.js";
import { shortName } from "./model-choice.js";
import { Problem } from "./parts.js";

/** All kept conversations, newest first, with a search over their titles and texts. */
export function ConversationList({ openId, onChoose }) {
  const [query, setQuery] = useState("");
  const [turn, setTurn] = useState(0);
  const [chats, setChats] = useState(undefined);
  const [error, setError] = useState(undefined);
  useEffect(() => {
    const controller = new AbortController();
    // A pause in typing, so that not every letter is searched for.
    const timer = setTimeout(
      () =>
        listConversations(query, controller.signal).then(
          (found) => {
            setChats(found);
            setError(undefined);
          },
          (failure) => controller.signal.aborted || setError(failure),
        ),
      query === "" ? 0 : 120,
    );
    return () => {
      clearTimeout(timer);
      controller.abort();
    };
  }, [query, turn]);
  const startAnew = () => {
    forget(NEW);
    onChoose();
  };
  useChanges(() => setTurn((before) => before + 1));
  return html`
    <div class="side-head">
      <a class="button main" href="#/chat" onClick=${startAnew}>New conversation</a>
      <input type="search" placeholder="Search" aria-label="Search conversations" value=${query} onInput=${({ target }) => setQuery(target.value)} />
    </div>
    ${error && html`<${Problem} error=${error} />`}
    <ul class="chats">
      ${chats?.map(
        (chat) => html`<li key=${chat.id}>
          <a href=${`#/chat/${encodeURIComponent(chat.id)}`} aria-current=${chat.id === openId ? "page" : undefined} onClick=${onChoose}>
            <span class="chat-title">${chat.title}</span>
            <span class="chat-facts"><span>${shortName(chat.model ?? "")}</span><span>${
              chat.costUsd ? `${usd(chat.costUsd)} · ` : ""
            }${when(chat.updatedAt)}</span></span>
          </a>
        </li>`,
      )}
    </ul>
    ${chats?.length === 0 && html`<p class="quiet pad">${query ? "Nothing found." : "No conversation yet."}</p>`}
  `;
}
