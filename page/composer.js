import { useEffect, useRef, useState } from "preact/hooks";
import { html } from "./html.js";
import { ModelButton, modelFacts } from "./model-choice.js";
import { Dialog } from "./parts.js";

/** Larger images are refused here, before they are read: no model takes them. */
const MAX_IMAGE_BYTES = 20_000_000;

/** What is not sent yet outlives a look at another page. */
const draft = { text: "", images: [] };

/** Where a question is written: Enter sends, Shift+Enter begins a line, Escape stops an answer. */
export function Composer({ state, model, facts, system, isBusy, onModel, onSystem, onSend, onStop }) {
  const [text, setText] = useState(draft.text);
  const [images, setImages] = useState(draft.images);
  const [trouble, setTrouble] = useState("");
  const [isSystemOpen, setSystemOpen] = useState(false);
  const field = useRef(null);
  const picker = useRef(null);
  const takesImages = facts?.takesImages === true;
  Object.assign(draft, { text, images });

  useEffect(() => {
    // On a phone the keyboard would cover what there is to read.
    if (matchMedia("(pointer: fine)").matches) field.current.focus();
  }, []);
  useEffect(() => {
    if (!isBusy) return;
    const onKey = (event) =>
      event.key === "Escape" && !document.querySelector("dialog[open], details.menu[open]") && onStop();
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, [isBusy, onStop]);

  const add = async (files) => {
    const wanted = [...files].filter(({ type }) => /^image\/(?:png|jpeg|webp|gif)$/.test(type));
    if (wanted.length === 0) return;
    if (!takesImages) return setTrouble("This model takes no images. Choose one that does.");
    const [tooLarge] = wanted.filter(({ size }) => size > MAX_IMAGE_BYTES);
    if (tooLarge) return setTrouble(`${tooLarge.name} is larger than 20 MB.`);
    setTrouble("");
    const read = await Promise.all(wanted.map(async (file) => ({ name: file.name, dataUrl: await dataUrlOf(file) })));
    setImages((before) => [...before, ...read]);
  };
  const submit = (event) => {
    event?.preventDefault();
    if (isBusy || (text.trim() === "" && images.length === 0)) return;
    if (images.length > 0 && !takesImages)
      return setTrouble("This model takes no images. Choose one that does, or remove them.");
    onSend([
      ...images.map(({ dataUrl }) => ({ type: "image", dataUrl })),
      ...(text.trim() === "" ? [] : [{ type: "text", text }]),
    ]);
    setText("");
    setImages([]);
    setTrouble("");
    field.current.focus();
  };
  const onKeyDown = (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) submit(event);
  };
  return html`<form
    class="composer"
    onSubmit=${submit}
    onDragOver=${(event) => event.preventDefault()}
    onDrop=${(event) => {
      event.preventDefault();
      void add(event.dataTransfer.files);
    }}
  >
    <div class="composer-box">
      ${
        images.length > 0 &&
        html`<ul class="thumbs">
          ${images.map(
            ({ name, dataUrl }, index) => html`<li key=${index}>
              <img src=${dataUrl} alt=${name} />
              <button type="button" aria-label=${`Remove ${name}`} onClick=${() => setImages(images.filter((_, at) => at !== index))}>✕</button>
            </li>`,
          )}
        </ul>`
      }
      ${trouble && html`<p class="trouble" role="alert">${trouble}</p>`}
      <textarea
        ref=${field}
        rows=${Math.min(10, text.split("\n").length)}
        aria-label="Your question"
        placeholder="Ask something"
        value=${text}
        onInput=${({ target }) => setText(target.value)}
        onKeyDown=${onKeyDown}
        onPaste=${(event) => add(event.clipboardData.files)}
      ></textarea>
      <div class="composer-tools">
        <${ModelButton} value=${model} models=${state.models} providers=${state.providers} onChange=${onModel} />
        <button type="button" class="plain" aria-haspopup="dialog" onClick=${() => setSystemOpen(true)}>System<span class="wide-only"> text</span>${system ? html` <span class="dot" role="img" aria-label="set"></span>` : ""}</button>
        <button
          type="button"
          class="plain"
          disabled=${!takesImages}
          title=${takesImages ? "Add an image; pasting and dropping work too" : "This model takes no images"}
          onClick=${() => picker.current.click()}
        >Image</button>
        <input ref=${picker} class="unseen" tabindex="-1" aria-hidden="true" type="file" accept="image/png,image/jpeg,image/webp,image/gif" multiple onChange=${({
          target,
        }) => {
          void add(target.files);
          target.value = "";
        }} />
        <span class="grow"></span>
        ${
          isBusy
            ? html`<button type="button" class="button main stop" onClick=${onStop}>Stop</button>`
            : html`<button class="button main" disabled=${text.trim() === "" && images.length === 0}>Send</button>`
        }
      </div>
    </div>
    <p class="composer-facts">${modelFacts(facts)}</p>
    ${
      isSystemOpen &&
      html`<${Dialog} title="System text" onClose=${() => setSystemOpen(false)}>
        <p class="quiet">Sent before every question of this conversation: who the model is and how it should answer.</p>
        <textarea class="tall" rows="8" aria-label="System text" value=${system} onInput=${({ target }) => onSystem(target.value)}></textarea>
        <div class="row end"><button type="button" class="button main" onClick=${() => setSystemOpen(false)}>Done</button></div>
      <//>`
    }
  </form>`;
}

function dataUrlOf(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
  });
}
