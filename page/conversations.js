// The conversations of `zeph chats` as this page sees them, and the answers that are being written now. Those go on while
// another tab of the page is looked at; closing or reloading the page stops them, and what came is kept.
import { useEffect, useState } from "preact/hooks";
import { call, events } from "./api.js";
import { announce } from "./parts.js";

/** Stands for the id of a conversation that has none yet. */
export const NEW = "new";

/** Conversations being answered, by id. */
const writing = new Map();
const listeners = new Set();
/** Tells the other tabs of this page that a conversation changed. */
const channel = new BroadcastChannel("zeph.conversations");

const tell = () => {
  for (const listener of listeners) listener();
};
let isTelling = false;
/** At most one drawing per frame, however fast the words come. */
function tellSoon() {
  if (isTelling) return;
  isTelling = true;
  const now = () => {
    isTelling = false;
    tell();
  };
  if (document.hidden) setTimeout(now, 250);
  else requestAnimationFrame(now);
}

/** Draws again whenever an answer grows. */
export function useWriting() {
  const [, draw] = useState(0);
  useEffect(() => {
    const listener = () => draw((before) => before + 1);
    listeners.add(listener);
    return () => listeners.delete(listener);
  }, []);
  return writing;
}

/** Calls `onChange({ id, isDeleted, isElsewhere })` when this tab or another one changed a conversation. */
export function useChanges(onChange) {
  useEffect(() => {
    const elsewhere = ({ data }) => onChange({ ...data, isElsewhere: true });
    const here = ({ detail }) => onChange({ ...detail, isElsewhere: false });
    channel.addEventListener("message", elsewhere);
    document.addEventListener("conversation", here);
    return () => {
      channel.removeEventListener("message", elsewhere);
      document.removeEventListener("conversation", here);
    };
  });
}

function changed(id, isDeleted = false) {
  channel.postMessage({ id, isDeleted });
  document.dispatchEvent(new CustomEvent("conversation", { detail: { id, isDeleted } }));
}

/**
 * Asks, and follows the answer until it ends. `conversation` is what is shown now; its exchanges from `replaceFrom` on are
 * replaced. `onId(id, from)` is called once the conversation has an id, or another one than it had.
 */
export async function ask(conversation, { parts, provider, model, system, replaceFrom, onId }) {
  const before = conversation.exchanges.slice(0, replaceFrom ?? conversation.exchanges.length);
  const exchange = {
    parts,
    provider,
    model,
    answer: "",
    reasoning: "",
    notices: [],
    isWriting: true,
    startedMs: Date.now(),
  };
  const controller = new AbortController();
  const entry = {
    ...conversation,
    system,
    exchanges: [...before, exchange],
    stop: () => controller.abort(),
  };
  let key = conversation.id ?? NEW;
  writing.set(key, entry);
  tell();
  announce("Asking");
  try {
    const body = { conversationId: conversation.id, provider, model, system, parts, replaceFrom };
    for await (const [event, data] of events("chat", body, controller.signal)) {
      if (event === "start") {
        exchange.isStarted = true;
        if (data.title) entry.title = data.title;
      }
      // An answer to what was changed elsewhere meanwhile is kept in a conversation of its own, told at its end.
      if (data.conversationId && data.conversationId !== key) {
        writing.delete(key);
        const from = entry.id;
        key = data.conversationId;
        entry.id = key;
        writing.set(key, entry);
        onId(key, from);
        if (event === "start") changed(key);
      }
      apply(exchange, event, data);
      tellSoon();
    }
    if (exchange.isWriting) exchange.interrupted = "failed";
  } catch (error) {
    if (controller.signal.aborted) exchange.interrupted = "stopped";
    else exchange.error = error;
  }
  exchange.isWriting = false;
  announce(
    exchange.error
      ? ""
      : exchange.interrupted
        ? "Stopped"
        : exchange.answer.length < 500
          ? exchange.answer
          : "The answer is complete",
  );
  if (exchange.isStarted) changed(key);
  tell();
}

/** Whether an answer of this conversation is being written in this tab. */
export const isWriting = (id) => writing.get(id)?.exchanges.at(-1)?.isWriting === true;

/** Forgets what this tab wrote itself, so that the kept conversation is shown. An answer still being written stays. */
export function forget(id) {
  if (!isWriting(id) && writing.delete(id)) tellSoon();
}

export const readConversation = (id, signal) => call(`chats/${encodeURIComponent(id)}`, { signal });

export const listConversations = (query, signal) =>
  call(`chats?query=${encodeURIComponent(query)}`, { signal }).then(({ chats }) => chats);

export async function renameConversation(id, title) {
  await call(`chats/${encodeURIComponent(id)}`, { method: "PATCH", body: { title } });
  changed(id);
}

export async function deleteConversation(id) {
  await call(`chats/${encodeURIComponent(id)}`, { method: "DELETE" });
  writing.delete(id);
  changed(id, true);
}

function apply(exchange, event, data) {
  switch (event) {
    case "reasoning":
      exchange.reasoning += data.text;
      break;
    case "text":
      exchange.firstSeenMs ??= Date.now();
      exchange.answer += data.text;
      break;
    case "notice":
      exchange.notices.push(data.text);
      break;
    case "end":
      Object.assign(exchange, data, { isWriting: false, atMs: exchange.startedMs });
      break;
    case "error":
      exchange.error = data.error;
      exchange.isWriting = false;
      break;
  }
}
