// The map lab: a point for each picture. The one that is chosen is shown large, with its nearest by cosine similarity,
// and lines lead to them: where they are far away on the map, the map has torn neighbours apart.
import { draggable, h, oncePerFrame, place, put, report, s, sheet, sprite, widget } from "../shared/js/kit.js";
import { decode, nearest } from "../shared/js/neighbours.js";

const SIDE = 420, EDGE = 14;
const STYLE = `
.cl-lab .map-sheet { touch-action: none; cursor: pointer; border: 1px solid var(--grid); border-radius: 6px; }
.cl-lab .map-side { flex: 1 1 300px; min-width: 0; }
.cl-lab .map-name { margin: 4px 0 10px; overflow-wrap: anywhere; }
.cl-lab .map-row { display: flex; flex-wrap: wrap; gap: 6px; }
.cl-lab .map-card { font: 12px system-ui, sans-serif; font-variant-numeric: tabular-nums; color: var(--ink);
  cursor: pointer; padding: 0; border: 0; background: transparent; border-radius: 4px; }
`;

/** The point nearest to another in a direction (dx, dy), each -1, 0 or 1; sideways counts double. -1: there is none. */
export function towards(points, from, dx, dy) {
  let best = -1, least = Infinity;
  points.forEach(([x, y], i) => {
    const along = (x - points[from][0]) * dx + (y - points[from][1]) * dy;
    const across = Math.abs((x - points[from][0]) * dy) + Math.abs((y - points[from][1]) * dx);
    if (i !== from && along > 0 && along + 2 * across < least) [best, least] = [i, along + 2 * across];
  });
  return best;
}

function lab(data, root) {
  const { names, k } = data, codes = decode(data.codes ?? ""), total = names?.length ?? 0;
  if (!total || codes.length !== total * data.dimensions) throw new Error("its features and pictures differ in number.");
  const points = data.points.map(([x, y]) => [EDGE + (SIDE - 2 * EDGE) * x, EDGE + (SIDE - 2 * EDGE) * (1 - y)]);
  const pictures = sprite(data), heard = report(), redraw = oncePerFrame(paint);
  let chosen = 0;

  const svg = sheet(SIDE, SIDE, `Map of ${total} pictures by their features`);
  svg.removeAttribute("role"); // it holds a control
  svg.classList.add("map-sheet");
  const dots = points.map(([cx, cy]) => s("circle", { cx, cy, r: 3.5, fill: "var(--blue)", "fill-opacity": 0.6 }));
  const lines = Array.from({ length: k }, () => s("line", { stroke: "var(--orange)", "stroke-width": 1.5 }));
  const mark = s("circle", { r: 8, fill: "none", stroke: "var(--red)", "stroke-width": 3, "pointer-events": "all" });
  svg.append(...lines, ...dots, mark);
  draggable(mark, svg, {
    label: "Chosen picture", move: pick,
    nudge(dx, dy) {
      const next = towards(points, chosen, dx, dy);
      if (next >= 0) choose(next);
    },
  });
  svg.addEventListener("click", (event) => { pick(...place(event, svg)); mark.focus({ preventScroll: true }); });
  const large = pictures.card(0, 144), name = h("p", { class: "map-name" });
  const cards = Array.from({ length: k }, () => {
    const card = pictures.card(0, 64), text = h("span"), entry = { card, text, now: 0 };
    entry.element = h("button", { type: "button", class: "map-card", "data-lm-suppress-shortcuts": "true",
      onclick: () => choose(entry.now) }, card, text);
    return entry;
  });
  root.append(pictures.style, h("style", {}, STYLE),
    h("div", { class: "lab-panels" }, svg,
      h("div", { class: "map-side" }, large, name, h("p", { class: "lab-key" },
        h("span", {}, "its nearest by cosine similarity; press one to go there")),
      h("div", { class: "map-row", role: "group", "aria-label": "Nearest pictures" },
        ...cards.map(({ element }) => element)))),
    h("p", { class: "muted" }, "Press a point, drag the ring, or move it by the arrow keys."), heard.element);

  function pick(x, y) {
    let best = 0, least = Infinity;
    points.forEach(([px, py], i) => {
      const apart = (px - x) ** 2 + (py - y) ** 2;
      if (apart < least) [best, least] = [i, apart];
    });
    choose(best);
  }
  function choose(next) {
    chosen = next;
    redraw();
  }
  function paint() {
    const found = nearest({ codes, dimensions: data.dimensions, step: data.step }, chosen, 0, k);
    const [cx, cy] = points[chosen];
    put(mark, { cx, cy, "aria-valuemin": 1, "aria-valuemax": total, "aria-valuenow": chosen + 1,
      "aria-valuetext": names[chosen] });
    pictures.turn(large, chosen);
    name.textContent = names[chosen];
    found.forEach(({ card, similarity }, i) => {
      const [x2, y2] = points[card];
      put(lines[i], { x1: cx, y1: cy, x2, y2 });
      cards[i].now = card;
      pictures.turn(cards[i].card, card);
      cards[i].text.textContent = similarity.toFixed(2);
      cards[i].element.setAttribute("aria-label", `${names[card]}, cosine similarity ${similarity.toFixed(2)}: go there`);
    });
    const range = `${found[0].similarity.toFixed(2)} to ${found.at(-1).similarity.toFixed(2)}`;
    heard.say(`${names[chosen]}, one of ${total} pictures: its ${k} nearest have a cosine similarity of ${range}.`);
  }
  paint();
  return { alt: () => `${root.getAttribute("aria-label")}. ${heard.text}` };
}

export default widget("Map lab", lab);
