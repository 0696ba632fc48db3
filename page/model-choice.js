import { useState } from "preact/hooks";
import { gnk, short, usd } from "./format.js";
import { html } from "./html.js";
import { Dialog } from "./parts.js";

/** What a model costs and holds, in one line. */
export function modelFacts(model) {
  if (!model) return "";
  const price = priceOf(model);
  return [
    model.contextTokens && `${short(model.contextTokens)} window`,
    price && `${price} per million tokens`,
    model.takesImages && "images",
  ]
    .filter(Boolean)
    .join(" · ");
}

/** A button that shows the chosen model and opens the list of all models of all providers. `value` is `{ provider, model }`. */
export function ModelButton({ value, models, providers, onChange, label = "Model" }) {
  const [isOpen, setOpen] = useState(false);
  return html`<button
      type="button"
      class="model-button"
      aria-haspopup="dialog"
      title=${`${value.model} at ${value.provider}`}
      onClick=${() => setOpen(true)}
    ><span class="unseen">${label}: </span><b>${shortName(value.model)}</b> <span>${value.provider}</span><span aria-hidden="true"> ▾</span></button>
    ${
      isOpen &&
      html`<${ModelDialog}
        value=${value}
        models=${models}
        providers=${providers}
        onClose=${() => setOpen(false)}
        onChange=${(next) => {
          setOpen(false);
          onChange(next);
        }}
      />`
    }`;
}

/** The last part of a model's name says which it is; the whole stands in the list. */
export const shortName = (id) => id.slice(id.lastIndexOf("/") + 1);

function ModelDialog({ value, models, providers, onChange, onClose }) {
  const [query, setQuery] = useState("");
  const words = query.toLowerCase().split(/\s+/);
  const isMatch = ({ id, provider }) => words.every((word) => `${provider} ${id}`.toLowerCase().includes(word));
  const groups = providers
    .map((provider) => ({ provider, of: models.filter((model) => model.provider === provider.name && isMatch(model)) }))
    .filter(({ of }) => of.length > 0);
  const chooseFirst = (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    const first = groups[0]?.of[0];
    if (first) onChange({ provider: first.provider, model: first.id });
  };
  return html`<${Dialog} title="Choose a model" onClose=${onClose} wide>
    <input type="search" autofocus aria-label="Find a model" placeholder="Find a model or a provider" value=${query} onInput=${({ target }) => setQuery(target.value)} onKeyDown=${chooseFirst} />
    <div class="models">
      ${groups.map(
        ({ provider, of }) => html`<section key=${provider.name} aria-label=${provider.label}>
          <h3>${provider.label}${provider.isDefault ? html` <span class="badge">default</span>` : ""}</h3>
          ${of.map((model) => {
            const isChosen = model.provider === value.provider && model.id === value.model;
            return html`<button
              key=${model.id}
              type="button"
              class="model"
              aria-pressed=${isChosen}
              onClick=${() => onChange({ provider: model.provider, model: model.id })}
            ><b>${model.id}</b><span>${modelFacts(model) || "no price known"}</span></button>`;
          })}
        </section>`,
      )}
      ${groups.length === 0 && html`<p class="quiet">No model matches.</p>`}
    </div>
  <//>`;
}

function priceOf({ inputUsdPerMillion: input, outputUsdPerMillion: output, inputNgonkaPerToken: ngonka }) {
  if (input !== undefined && output !== undefined)
    return input === output ? usd(input) : `${usd(input)} in, ${usd(output)} out`;
  return ngonka === undefined ? undefined : gnk(ngonka / 1000);
}
