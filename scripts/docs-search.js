// Search in the pages: every word must occur; titles count more than text. Works from a folder, without a server.
const MAX_FOUND = 12;
const input = document.querySelector("input[type=search]");
const list = document.querySelector("#found");
const menu = document.querySelector(".menu");
const root = document.body.dataset.root;

input.addEventListener("input", show);
document.addEventListener("keydown", (event) => {
  if (event.key === "/" && document.activeElement !== input) {
    event.preventDefault();
    input.focus();
  }
  if (event.key === "Escape") {
    input.value = "";
    show();
  }
});

function show() {
  const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
  const found = words.length === 0 ? [] : find(words);
  list.replaceChildren(...found.map(toItem));
  if (words.length > 0 && found.length === 0) list.append(item("Nothing found."));
  list.hidden = words.length === 0;
  menu.hidden = words.length > 0;
}

function find(words) {
  return globalThis.searchIndex
    .map((entry) => ({ entry, rank: rank(entry, words) }))
    .filter(({ rank }) => rank > 0)
    .sort((a, b) => b.rank - a.rank)
    .slice(0, MAX_FOUND)
    .map(({ entry }) => entry);
}

/** 0 when a word is missing. */
function rank({ title, text }, words) {
  const [titleText, bodyText] = [title.toLowerCase(), text.toLowerCase()];
  let sum = 0;
  for (const word of words) {
    if (titleText.includes(word)) sum += titleText === word ? 20 : 5;
    else if (bodyText.includes(word)) sum += 1;
    else return 0;
  }
  return sum;
}

function toItem({ title, href, text }) {
  const link = document.createElement("a");
  link.href = `${root}/${href}`;
  link.textContent = title;
  const excerpt = document.createElement("small");
  excerpt.textContent = text.slice(0, 90);
  return item(link, excerpt);
}

function item(...content) {
  const element = document.createElement("li");
  element.append(...content);
  return element;
}
