// The retrieval lab: the neighbours lab, and below it what the cards that were found have in common with the query
// beyond its class: the mean difference in each factor, beside that of all cards that are searched.
import { h, put, s, scaleLinear, sheet, widget } from "../shared/js/kit.js";
import { neighboursLab } from "../shared/js/neighbours.js";

export { decode, nearest } from "../shared/js/neighbours.js";

const COLOURS = ["var(--muted)", "var(--blue)", "var(--orange)", "var(--green)", "var(--pink)"];
const WIDTH = 410, LEFT = 120, RIGHT = 350, ROW = 20, TOP = 26; // a panel; bars lie between LEFT and RIGHT

/** The mean difference of cards from a query in one factor; hues lie on a circle of one turn, places in the plane. */
export function difference({ values, circular }, query, cards) {
  const apart = (card) => {
    const gap = Math.hypot(...values[card].map((value, i) => value - values[query][i]));
    return circular ? Math.min(gap, 1 - gap) : gap;
  };
  return cards.reduce((sum, card) => sum + apart(card), 0) / cards.length;
}

/** A panel of bars for each factor. */
function shared({ factors, encoders, queries, labels }) {
  if (!factors?.length) throw new Error("the factors of its cards are missing; give cards of the set shapes.");
  const gallery = labels.map((_, card) => card).slice(queries), names = encoders.map(({ name }) => name);
  const panels = factors.map((factor) => {
    // Twice what all cards differ from each other reaches every common mean.
    const all = gallery.map((card) => difference(factor, card, gallery));
    const mean = all.reduce((a, b) => a + b, 0) / all.length, bottom = TOP + ROW * names.length;
    const x = scaleLinear([0, 2 * mean], [LEFT, RIGHT]).clamp(true);
    const svg = sheet(WIDTH, bottom + 6, `Mean difference in ${factor.name}`);
    const rows = names.map((name, i) => {
      const y = TOP + ROW * i, fill = COLOURS[i % COLOURS.length];
      const bar = s("rect", { x: LEFT, y: y + 3, height: ROW - 6, fill });
      const value = s("text", { x: WIDTH - 10, y: y + 14, "text-anchor": "end" });
      svg.append(s("text", { x: LEFT - 8, y: y + 14, "text-anchor": "end" }, name), bar, value);
      return { bar, value };
    });
    const chance = s("line", {
      y1: TOP - 2, y2: bottom, stroke: "var(--ink)", "stroke-width": 2, "stroke-dasharray": "2 3",
    });
    const allWords = s("text", { x: WIDTH - 10, y: 14, "text-anchor": "end", class: "muted" });
    svg.append(s("text", { x: 6, y: 14 }, `${factor.name}, in ${factor.unit}`), allWords, chance);
    return { factor, svg, x, rows, chance, allWords };
  });
  return {
    element: h("div", {},
      h("p", { class: "near-title" }, "Mean difference from the query (dotted: that of all cards searched)"),
      h("div", { class: "lab-panels" }, ...panels.map(({ svg }) => svg))),
    show(query, found) {
      const parts = panels.map(({ factor, x, rows, chance, allWords }) => {
        const ofAll = difference(factor, query, gallery.filter((card) => card !== query));
        put(chance, { x1: x(ofAll), x2: x(ofAll) });
        allWords.textContent = `all cards ${ofAll.toFixed(2)}`;
        const means = found.map((list, i) => {
          const mean = difference(factor, query, list.map(({ card }) => card)), { bar, value } = rows[i];
          bar.setAttribute("width", x(mean) - LEFT);
          value.textContent = mean.toFixed(2);
          return `${names[i]} ${mean.toFixed(2)}`;
        });
        return `${factor.name}: ${means.join(", ")} (all cards ${ofAll.toFixed(2)})`;
      });
      return `Mean difference from the query, ${parts.join("; ")}.`;
    },
  };
}

export default widget("Retrieval lab", (data, root) => neighboursLab(data, root, shared));
