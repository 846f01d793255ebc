// A sheet of cards, and the nearest of the one chosen under each encoder; a neighbour that is pressed is the next
// query. Python hands in the features as whole numbers (neighbour_cards.py says why), and they are searched here.
import { button, choice, h, isPlain, oncePerFrame, report, sprite } from "./kit.js";

/** The codes of an encoder, one row of `dimensions` after another, from base64. */
export function decode(text) {
  return Int8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}

/**
 * The k cards from number `first` on that are nearest to card `query`, which is not its own neighbour.
 * Returns [{ card, similarity }], the nearest first and of equals the first in the list.
 */
export function nearest({ codes, dimensions, step }, query, first, k) {
  const found = [], at = query * dimensions;
  for (let card = first; card * dimensions < codes.length; card++) {
    let squared = 0;
    for (let i = 0, row = card * dimensions; i < dimensions; i++) squared += (codes[at + i] - codes[row + i]) ** 2;
    if (card !== query) found.push({ card, squared });
  }
  found.sort((a, b) => a.squared - b.squared);
  return found.slice(0, k).map(({ card, squared }) => ({ card, similarity: 1 - (step * step * squared) / 2 }));
}

/** Cosine similarities near 1 need a digit more to differ. */
const cosine = (s) => s.toFixed(s > 0.99 ? 3 : 2);
const SHEETS = [["queries", "new cards"], ["gallery", "cards that are searched"]];
const STYLE = `
.cl-lab .near-sheet { display: grid; grid-template-columns: repeat(auto-fill, 38px); max-height: 158px;
  overflow-y: auto; position: relative; padding: 4px; border: 1px solid var(--grid); border-radius: 6px; }
.cl-lab .near-sheet[hidden] { display: none; }
.cl-lab .near-option { padding: 3px; cursor: pointer; border-radius: 4px; }
.cl-lab .near-option[aria-selected="true"] { background: var(--focus); }
.cl-lab .near-option:focus-visible { outline-offset: -3px; }
.cl-lab .near-query { display: flex; flex-wrap: wrap; gap: 4px 16px; align-items: center; margin: 10px 0; }
.cl-lab .near-row { display: flex; flex-wrap: wrap; gap: 4px 3px; margin: 0 0 8px; }
.cl-lab .near-title { margin: 0 0 3px; }
.cl-lab .near-card { font: 12px system-ui, sans-serif; font-variant-numeric: tabular-nums; color: var(--ink);
  cursor: pointer; padding: 0; border: 0; background: transparent; border-radius: 4px; }
.cl-lab .near-card .lab-card, .cl-lab .near-frame { border: 3px dashed var(--red); border-radius: 4px;
  background-clip: padding-box; background-origin: padding-box; }
.cl-lab .near-card.same .lab-card, .cl-lab .near-frame.same { border: 3px solid var(--green); }
.cl-lab .near-frame { display: inline-block; width: 12px; height: 10px; vertical-align: -3px; margin-right: 6px; }
`;

/**
 * Draw the lab. `below(data)` may add a part, { element, show(query, found) }: found holds a list of `nearest` for each
 * encoder, and `show` returns a sentence.
 */
export function neighboursLab(data, root, below = () => null) {
  if (!data.encoders?.length) throw new Error("its features are missing; give at least one encoder's.");
  const { labels, classes, queries, k } = data, total = labels.length, pictures = sprite(data), heard = report();
  const encoders = data.encoders.map((encoder) => ({ ...encoder, codes: decode(encoder.codes) }));
  if (encoders.some(({ codes, dimensions }) => codes.length !== total * dimensions)) {
    throw new Error("features and cards differ in number.");
  }
  const classOf = (card) => classes[labels[card]], origin = (card) => (card < queries ? "new" : "searched");
  let query = 0, walked = [];

  const redraw = oncePerFrame(paint);
  const options = labels.map((_, card) => {
    const [place, among] = card < queries ? [card + 1, queries] : [card - queries + 1, total - queries];
    return h("div", {
      role: "option", class: "near-option", tabindex: "-1", "data-lm-suppress-shortcuts": "true",
      "aria-label": `${classOf(card)}, ${origin(card)} card ${place} of ${among}`,
      onclick: () => { choose(card); options[card].focus({ preventScroll: true }); },
    }, pictures.card(card, 32));
  });
  const sheets = SHEETS.map(([key, name]) => h(
    "div", { role: "listbox", class: "near-sheet", "aria-label": `Query: ${name}`, onkeydown: keyPressed },
    ...(key === "queries" ? options.slice(0, queries) : options.slice(queries))));
  const which = choice({ label: "Choose a query among", options: SHEETS, value: "queries", onchange: showSheet });
  const back = button("Back", () => { if (walked.length) { query = walked.pop(); enter(); } });
  const own = pictures.card(0, 96), name = h("p", { class: "near-title" });
  const rows = encoders.map((encoder) => {
    const title = h("p", { class: "near-title" }), cards = Array.from({ length: k }, () => {
      const card = pictures.card(0, 64), text = h("span");
      const element = h("button", {
        type: "button", class: "near-card", "data-lm-suppress-shortcuts": "true", onclick: () => choose(entry.now),
      }, card, text), entry = { card, text, element, now: 0 };
      return entry;
    });
    const row = h("div", { class: "near-row" }, ...cards.map(({ element }) => element));
    const element = h("div", { role: "group", "aria-label": `Nearest under ${encoder.name}` }, title, row);
    return { name: encoder.name, title, cards, element };
  });
  const extra = below({ ...data, encoders });
  root.append(
    pictures.style, h("style", {}, STYLE), h("div", { class: "lab-controls" }, which.element), ...sheets,
    h("div", { class: "near-query" }, own, h("div", {}, name, back), h("p", { class: "lab-key" },
      h("span", {}, h("span", { class: "near-frame same" }), "✓ the query's class"),
      h("span", {}, h("span", { class: "near-frame" }), "✗ another class"),
      h("span", {}, "number: cosine similarity to the query; press a card to search with it"))),
    ...rows.map(({ element }) => element),
    ...(extra ? [extra.element] : []), heard.element);

  function showSheet(key) {
    which.set(key);
    sheets.forEach((sheet, i) => { sheet.hidden = SHEETS[i][0] !== key; });
  }
  function choose(card) {
    if (card === query) return;
    walked = [...walked.slice(-99), query];
    query = card;
    enter();
  }
  /** Show the query where it lies in its sheet; each sheet has one card that the tabulator key reaches. */
  function enter() {
    showSheet(query < queries ? "queries" : "gallery");
    const sheet = query < queries ? 0 : 1, inside = sheet === 0 ? options.slice(0, queries) : options.slice(queries);
    options.forEach((option, card) => option.setAttribute("aria-selected", card === query));
    inside.forEach((option) => option.setAttribute("tabindex", option === options[query] ? "0" : "-1"));
    const { offsetTop: top, offsetHeight: height } = options[query], box = sheets[sheet];
    if (top < box.scrollTop) box.scrollTop = top - 4;
    if (top + height > box.scrollTop + box.clientHeight) box.scrollTop = top + height - box.clientHeight + 4;
    redraw();
  }
  function keyPressed(event) {
    const [first, end] = event.currentTarget === sheets[0] ? [0, queries] : [queries, total];
    const columns = getComputedStyle(event.currentTarget).gridTemplateColumns.split(" ").length;
    const from = options.indexOf(event.target);
    const to = {
      ArrowLeft: from - 1, ArrowRight: from + 1, ArrowUp: from - columns, ArrowDown: from + columns,
      Home: first, End: end - 1, Enter: from, " ": from,
    }[event.key];
    if (to === undefined || from < 0 || !isPlain(event)) return;
    event.preventDefault();
    event.stopPropagation();
    if (to < first || to >= end) return;
    choose(to);
    options[to].focus({ preventScroll: true });
  }

  function paint() {
    const found = encoders.map((encoder) => nearest(encoder, query, queries, k));
    pictures.turn(own, query);
    name.textContent = `Query: ${classOf(query)}, a ${origin(query)} card`;
    back.setAttribute("aria-disabled", String(!walked.length));
    const right = found.map((list, row) => {
      list.forEach(({ card, similarity }, place) => {
        const entry = rows[row].cards[place], same = labels[card] === labels[query];
        entry.now = card;
        pictures.turn(entry.card, card);
        entry.element.classList.toggle("same", same);
        entry.text.textContent = `${same ? "✓" : "✗"} ${cosine(similarity)}`;
        entry.element.setAttribute("aria-label", `${classOf(card)}, ${same ? "the query's class" : "another class"}, ` +
          `cosine similarity ${cosine(similarity)}: make it the query`);
      });
      const count = list.filter(({ card }) => labels[card] === labels[query]).length;
      rows[row].title.textContent = `${rows[row].name}: ${count} of ${k} of the query's class`;
      return `${rows[row].name} ${count}`;
    });
    const more = extra ? ` ${extra.show(query, found)}` : "";
    heard.say(`Query: ${classOf(query)}, a ${origin(query)} card. Cards of its class among the ${k} nearest of ` +
      `${total - queries} searched cards: ${right.join(", ")}.${more}`);
  }
  options[queries].setAttribute("tabindex", "0");
  enter();
  paint();
  return { alt: () => `${root.getAttribute("aria-label")}. ${heard.text}` };
}
