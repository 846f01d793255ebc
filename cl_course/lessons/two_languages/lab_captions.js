// The caption lab: the text in the box goes through the text encoder here, and the nearest cards come to the front. A
// card that is pressed is asked back: which words lie nearest to it?
import { button, h, oncePerFrame, report, sprite, widget } from "../shared/js/kit.js";
import { dot, rows, textEncoder, unit, unpack } from "./text_encoder.js";

export { textEncoder, unpack };

/**
 * A text as the network reads it: numbers of the words it knows, at most `longest`, and the words that are left out.
 *   words: the vocabulary in order, null where no caption had the word; a word's number is its place, counted from 1.
 */
export function read(text, words, longest) {
  const typed = text.toLowerCase().split(/[\s,.]+/).filter(Boolean);
  const known = typed.filter((word) => words.includes(word)), unknown = typed.filter((word) => !words.includes(word));
  return {
    numbers: known.slice(0, longest).map((word) => words.indexOf(word) + 1), unknown, tooLong: known.length > longest,
  };
}

/** What a text names: { factor: value }. A colour behind "on" is the background's. */
export function named(text, factors) {
  const [front, back = ""] = ` ${text.toLowerCase().split(/[\s,.]+/).join(" ")} `.split(" on ");
  const found = {};
  for (const { name, values } of factors) {
    const where = ` ${name === "background" ? back : name === "position" ? `${front} ${back}` : front} `;
    const inside = values.filter((value) => where.includes(` ${value} `));
    if (inside.length) found[name] = inside.reduce((a, b) => (b.length > a.length ? b : a)); // "top left" before "top"
  }
  return found;
}

/** The `count` rows of z that are most similar to a vector of length 1: [{ card, similarity }], the nearest first. */
export function nearest(vector, z, count) {
  const all = z.map((row, card) => ({ card, similarity: dot(row, vector) }));
  return all.sort((a, b) => b.similarity - a.similarity || a.card - b.card).slice(0, count);
}

const LABELS = { class: "kind", hue: "colour", scale: "size", position: "place", background: "background" };
const STYLE = `
.cl-lab .cap-box { display: flex; flex-wrap: wrap; gap: 8px; align-items: center; }
.cl-lab .cap-text { font: inherit; color: var(--ink); background: var(--ground); border: 1px solid var(--muted);
  border-radius: 6px; padding: 6px 10px; flex: 1 1 260px; min-width: 0; min-height: 36px; box-sizing: border-box; }
.cl-lab .cap-examples { display: flex; flex-wrap: wrap; gap: 6px; margin: 8px 0; align-items: center; }
.cl-lab .cap-row { display: flex; flex-wrap: wrap; gap: 6px; margin: 6px 0 10px; }
.cl-lab .cap-card { font: 12px system-ui, sans-serif; font-variant-numeric: tabular-nums; color: var(--ink);
  cursor: pointer; padding: 0; border: 0; background: transparent; border-radius: 4px; }
.cl-lab .cap-card .lab-card, .cl-lab .cap-frame { border: 3px dashed var(--red); border-radius: 4px;
  background-clip: padding-box; background-origin: padding-box; }
.cl-lab .cap-card.right .lab-card, .cl-lab .cap-frame.right { border: 3px solid var(--green); }
.cl-lab .cap-card[aria-pressed="true"] { outline: 2px solid var(--focus); outline-offset: 1px; }
.cl-lab .cap-frame { display: inline-block; width: 12px; height: 10px; vertical-align: -3px; margin-right: 6px; }
.cl-lab .cap-asked { display: flex; flex-wrap: wrap; gap: 8px 20px; align-items: center; }
.cl-lab .cap-asked p { margin: 0 0 4px; }
`;

function lab(data, root) {
  if (!data.weights || !data.factors?.length) throw new Error("its text encoder is missing.");
  const pictures = sprite(data), heard = report(), encode = textEncoder(data.weights, data.heads);
  const table = (packed) => rows(unpack(packed), packed.shape[1]).map(unit);
  const z = table(data.z), factors = data.factors.map((factor) => ({ ...factor, z: table(factor.z) }));
  if (z.length !== data.captions.length) throw new Error("cards and captions differ in number.");
  const vocabulary = data.words.filter(Boolean);
  if (!read(data.caption, data.words, data.longest).numbers.length) throw new Error("its first caption has no known word.");
  let chosen = null, wanted = {}, found = []; // what was last understood stays while the box holds no known word

  const redraw = oncePerFrame(paint);
  const box = h("input", {
    type: "text", class: "cap-text", id: `cap-${Math.random().toString(36).slice(2)}`, value: data.caption,
    autocomplete: "off", spellcheck: "false", "data-lm-suppress-shortcuts": "true", oninput: redraw,
    onkeydown: (event) => event.stopPropagation(), // letters are no commands of the notebook
  });
  const examples = data.examples.map((text) => button(text, () => { box.value = text; redraw(); }));
  const cards = Array.from({ length: data.shown }, () => {
    const card = pictures.card(0, 72), text = h("span"), entry = { card, text, now: 0 };
    entry.element = h("button", {
      type: "button", class: "cap-card", "data-lm-suppress-shortcuts": "true", "aria-pressed": "false",
      onclick: () => { chosen = entry.now; redraw(); },
    }, card, text);
    return entry;
  });
  const title = h("p"), own = pictures.card(0, 96), drawn = h("p"), answered = h("p", { class: "cap-answer" });
  root.append(
    pictures.style, h("style", {}, STYLE),
    h("div", { class: "cap-box" }, h("label", { for: box.id }, "Caption"), box),
    h("div", { class: "cap-examples" }, h("span", {}, "Try"), ...examples),
    h("details", {}, h("summary", {}, `All ${vocabulary.length} words it has read`), h("p", {}, vocabulary.join(" "))),
    title,
    h("div", { class: "cap-row", role: "group", "aria-label": "Nearest cards" }, ...cards.map((each) => each.element)),
    h("p", { class: "lab-key" },
      h("span", {}, h("span", { class: "cap-frame right" }), "✓ as the caption says"),
      h("span", {}, h("span", { class: "cap-frame" }), "✗ something differs"),
      h("span", {}, "number: cosine similarity; press a card to ask for its words")),
    h("div", { class: "cap-asked" }, own, h("div", {}, drawn, answered)), heard.element);

  /** For every factor the value whose words lie nearest to a card, and whether it is the drawn one. */
  function words(card) {
    return factors.map(({ name, values, of, z: directions }) => {
      const [{ card: value }] = nearest(z[card], directions, 1);
      return { name, word: values[value], right: value === of[card] };
    });
  }
  const agrees = (card) =>
    factors.filter(({ name }) => name in wanted).map(({ name, values, of }) => values[of[card]] === wanted[name]);

  function paint() {
    const { numbers, unknown, tooLong } = read(box.value, data.words, data.longest);
    if (numbers.length) [found, wanted] = [nearest(encode(numbers), z, data.shown), named(box.value, factors)];
    if (chosen === null || !found.some(({ card }) => card === chosen)) chosen = found[0].card;
    title.textContent = `The ${data.shown} nearest of ${z.length} cards:`;
    found.forEach(({ card, similarity }, i) => {
      const entry = cards[i], right = agrees(card).every(Boolean);
      entry.now = card;
      pictures.turn(entry.card, card);
      entry.element.classList.toggle("right", right);
      entry.element.setAttribute("aria-pressed", String(card === chosen));
      entry.text.textContent = `${right ? "✓" : "✗"} ${similarity.toFixed(2)}`;
      entry.element.setAttribute("aria-label", `Card ${i + 1}: ${data.captions[card]}, ${right ? "as the caption says" :
        "something differs"}, cosine similarity ${similarity.toFixed(2)}: ask for its words`);
    });
    const asked = words(chosen);
    pictures.turn(own, chosen);
    drawn.textContent = `Drawn: ${data.captions[chosen]}.`;
    answered.textContent = `Nearest words: ${asked.map(({ name, word, right }) =>
      `${LABELS[name]} ${word} ${right ? "✓" : "✗"}`).join(", ")}.`;
    heard.say(sentence(numbers, unknown, tooLong, asked));
  }
  function sentence(numbers, unknown, tooLong, asked) {
    const never = unknown.map((word) => `“${word}”`).join(", ");
    const left = never ? ` It has never read ${never}, which is left out.` : "";
    const cut = tooLong ? ` It reads the first ${data.longest} words.` : "";
    if (!numbers.length) return `Type a word that it has read, such as “${vocabulary.at(-1)}”.${left}`;
    const counts = factors.filter(({ name }) => name in wanted).map(({ name, values, of }) =>
      `${name === "background" ? `${wanted[name]} background` : wanted[name]} ` +
      `${found.filter(({ card }) => values[of[card]] === wanted[name]).length}`);
    const many = counts.join(", "), right = asked.filter((each) => each.right).length;
    const kept = many ? ` Of the ${data.shown} nearest cards, so many are as it says: ${many}.` : "";
    return `“${box.value.trim()}”.${kept}${left}${cut} The chosen card was drawn as ${data.captions[chosen]}; ` +
      `${right} of its ${asked.length} nearest words are right.`;
  }
  paint();
  return { alt: () => `Caption lab. ${heard.text}` };
}

export default widget("Caption lab", lab);
