import { useState } from "preact/hooks";
import { call } from "./api.js";
import { count, duration, gnk, moment, short, usd } from "./format.js";
import { html, useLoaded } from "./html.js";
import { shortName } from "./model-choice.js";
import { Loading, Problem, Table } from "./parts.js";

/** Who offers what at which price, and the state of the nodes and escrows that this computer knows of. */
export function NetworkPage() {
  const loaded = useLoaded((signal) => call("network", { signal }), "");
  if (!loaded.value) return html`<h1 class="unseen">Network</h1><${Loading} loaded=${loaded} what="the network" />`;
  const { models, brokers, nodes, escrows } = loaded.value;
  return html`<h1 class="unseen">Network</h1>
    <${Prices} models=${models} />
    <${Nodes} known=${nodes} />
    <${Escrows} escrows=${escrows} />
    <${Brokers} brokers=${brokers} />`;
}

function Prices({ models }) {
  const providers = [
    ...new Map(models.flatMap(({ offers }) => offers.map((offer) => [offer.provider, offer.label]))).entries(),
  ];
  const offerOf = (model, name) => model.offers.find(({ provider }) => provider === name);
  const sum = (offer) =>
    offer?.inputUsdPerMillion !== undefined && offer?.outputUsdPerMillion !== undefined
      ? offer.inputUsdPerMillion + offer.outputUsdPerMillion
      : undefined;
  const cheapest = (model) => Math.min(...model.offers.map((offer) => sum(offer) ?? Number.POSITIVE_INFINITY));
  return html`<section class="panel" aria-labelledby="prices">
    <h2 id="prices">Prices, side by side</h2>
    <p class="quiet">Per million tokens, in and out, in USD; the network's own price in GNK. The lowest of a row is marked.</p>
    ${
      models.length === 0
        ? html`<p class="quiet">No price list is known yet.</p>`
        : html`<${Table}
            caption="Models and their prices by provider"
            rows=${models}
            keyOf=${({ id }) => id}
            columns=${[
              { name: "id", title: "Model", of: ({ id }) => html`<span title=${id}>${shortName(id)}</span>` },
              {
                name: "window",
                title: "Window",
                isNumber: true,
                of: ({ offers }) => short(offers.find(({ contextTokens }) => contextTokens)?.contextTokens),
              },
              ...providers.map(([name, label]) => ({
                name,
                title: label,
                isNumber: true,
                of: (model) => {
                  const offer = offerOf(model, name);
                  if (!offer) return html`<span class="quiet">–</span>`;
                  if (sum(offer) === undefined)
                    return html`<span class="quiet">${offer.ngonkaPerToken === undefined ? "offered" : gnk(offer.ngonkaPerToken / 1000)}</span>`;
                  const isCheapest = model.offers.length > 1 && sum(offer) === cheapest(model);
                  return html`<span class=${isCheapest ? "best" : ""} title=${offer.asOf ? `as of ${offer.asOf}` : undefined}>${usd(offer.inputUsdPerMillion)} · ${usd(offer.outputUsdPerMillion)}${isCheapest && html`<span class="unseen"> (lowest)</span>`}</span>`;
                },
              })),
            ]}
          />`
    }
  </section>`;
}

function Brokers({ brokers }) {
  return html`<section class="panel" aria-labelledby="brokers">
    <h2 id="brokers">Brokers</h2>
    <div class="brokers">
      ${[...brokers]
        .sort((a, b) => Number(b.keyStored) - Number(a.keyStored))
        .map(
          ({ name, label, baseUrl, keyStored, facts }) => html`<article key=${name} class="broker">
          <h3>${label} ${keyStored && html`<span class="badge good">key stored</span>`}</h3>
          <p class="quiet address">${baseUrl}</p>
          ${
            facts.length > 0 &&
            html`<details><summary>${count(facts.length)} ${facts.length === 1 ? "fact" : "facts"}</summary>
              <ul>${facts.map(({ text, asOf }) => html`<li>${text} ${asOf && html`<time class="quiet nowrap" datetime=${asOf}>${asOf}</time>`}</li>`)}</ul>
            </details>`
          }
        </article>`,
        )}
    </div>
  </section>`;
}

function Nodes({ known }) {
  const [nodes, setNodes] = useState(known);
  const [isProbing, setProbing] = useState(false);
  const [error, setError] = useState(undefined);
  const probe = () => {
    setProbing(true);
    call("network/probe", { method: "POST" })
      .then((told) => {
        setNodes(told.nodes);
        setError(undefined);
      }, setError)
      .finally(() => setProbing(false));
  };
  const slowest = Math.max(1, ...nodes.map(({ latencyMs }) => latencyMs ?? 0));
  return html`<section class="panel" aria-labelledby="nodes">
    <div class="row"><h2 id="nodes">Nodes</h2><span class="grow"></span>
      <button type="button" class="button" disabled=${isProbing} onClick=${probe}>${isProbing ? "Measuring …" : "Measure now"}</button></div>
    ${error && html`<${Problem} error=${error} />`}
    ${
      nodes.length === 0
        ? html`<p class="quiet">No node is known. Nodes belong to the native path: <code>zeph init --path native</code>.</p>`
        : html`<${Table}
            caption="Nodes and their state"
            rows=${nodes}
            keyOf=${({ address, host }) => `${address} ${host}`}
            sortedBy=${{ name: "latency", down: false }}
            columns=${[
              {
                name: "host",
                title: "Node",
                of: ({ host, address }) =>
                  html`<span class="address">${host}</span><span class="quiet nowrap" title=${address}>${inShort(address)}</span>`,
              },
              {
                name: "latency",
                title: "Latency",
                isNumber: true,
                sort: ({ latencyMs }) => latencyMs ?? Number.MAX_VALUE,
                of: ({ latencyMs }) =>
                  latencyMs === undefined
                    ? "–"
                    : html`${duration(latencyMs)} <meter class="bar" min="0" max=${slowest} value=${latencyMs} aria-label="Latency beside the slowest"></meter>`,
              },
              {
                name: "proof",
                title: "Proof",
                sort: ({ proof }) => proof,
                of: ({ proof }) => html`<${Proof} proof=${proof} />`,
              },
              { name: "models", title: "Models", of: ({ models }) => models?.map(shortName).join(", ") || "–" },
              {
                name: "error",
                title: "Trouble",
                of: ({ error: trouble }) => (typeof trouble === "object" ? trouble?.message : trouble) ?? "–",
              },
            ]}
          />`
    }
  </section>`;
}
/** An address by its ends; the whole one stands in the tip. */
const inShort = (address) => ((address?.length ?? 0) > 20 ? `${address.slice(0, 11)}…${address.slice(-5)}` : address);

/** A verdict, and after a comma what it rests on. */
function Proof({ proof }) {
  const [verdict, ...rest] = proof.split(", ");
  const kind = { verified: "good", failed: "bad" }[verdict] ?? "";
  return html`<span class=${`state ${kind}`}>${verdict}</span> <span class="quiet">${rest.join(", ")}</span>`;
}

function Escrows({ escrows }) {
  return html`<section class="panel" aria-labelledby="escrows">
    <h2 id="escrows">Escrows</h2>
    ${
      escrows.length === 0
        ? html`<p class="quiet">No escrow is open on this computer. <code>zeph devshard</code> opens one.</p>`
        : html`<${Table}
            caption="Escrows and their state"
            rows=${escrows}
            keyOf=${({ id }) => id}
            columns=${[
              { name: "id", title: "Escrow", of: ({ id }) => id },
              { name: "model", title: "Model", of: ({ model }) => (model ? shortName(model) : "–") },
              { name: "balance", title: "Balance", isNumber: true, of: ({ balanceGnk }) => gnk(balanceGnk) },
              {
                name: "nonce",
                title: "Nonces",
                isNumber: true,
                of: ({ nonce, nonceLimit }) =>
                  nonceLimit === undefined ? count(nonce) : `${count(nonce)} of ${count(nonceLimit)}`,
              },
              {
                name: "deadline",
                title: "Deadline",
                of: ({ deadline }) => (typeof deadline === "number" ? moment(deadline) : (deadline ?? "–")),
              },
              { name: "state", title: "State", of: ({ state }) => state },
            ]}
          />`
    }
  </section>`;
}
