// The temperature lab: one view's similarities to its candidates, the softmax that a temperature makes of them, and the
// push on every negative. The rows are recorded; all else is computed here.
import {
  axisLeft, choice, h, oncePerFrame, report, s, scaleBand, scaleLinear, scaleLog, select, sheet, slider, widget,
} from "../shared/js/kit.js";

const COLOURS = { partner: "var(--blue)", "other class": "var(--orange)", "same class": "var(--pink)" };
const ABOUT = {
  easy: "other classes only",
  hard: "the nearest images of other classes",
  "false negative": "easy, with images of the anchor's class",
};

/** A row's softmax at a temperature, the push on each negative, the loss, and how many negatives count in effect. */
export function shares(similarities, kinds, temperature) {
  const softmax = (logits) => {
    const top = Math.max(...logits), e = logits.map((x) => Math.exp(x - top));
    const sum = e.reduce((a, b) => a + b, 0);
    return { p: e.map((x) => x / sum), log: top + Math.log(sum) };
  };
  const logits = similarities.map((x) => x / temperature), partner = kinds.indexOf("partner");
  const { p, log } = softmax(logits);
  const negatives = logits.map((_, i) => i).filter((i) => i !== partner);
  const among = softmax(negatives.map((i) => logits[i])).p; // the negatives alone: their shares of the push
  const entropy = among.reduce((sum, q) => sum - (q > 0 ? q * Math.log(q) : 0), 0);
  return {
    probabilities: p,
    push: p.map((q, i) => (i === partner ? 0 : q / temperature)),
    loss: log - logits[partner],
    entropy,
    effective: Math.exp(entropy),
    same_class: negatives.reduce((sum, i, k) => sum + (kinds[i] === "same class" ? among[k] : 0), 0),
    lost: negatives.reduce((sum, i) => sum + p[i], 0),
  };
}

const WIDTH = 860, LEFT = 70, PANEL = 96, GAP = 26, STRIP = 34;
const LEAST = 1e-3; // of the push that is shown
const KEY = [
  ["partner", "partner"], ["other class", "negative"],
  ["same class", "negative of the anchor's class (outlined)"],
];
const PANELS = [
  ["Similarity s, the same at every temperature", scaleLinear([-1, 1], [PANEL, 0])],
  ["Softmax of s / T: the probability of being taken for the partner (dashed: even shares)",
    scaleLinear([0, 1], [PANEL, 0])],
  ["Push on each negative, p / T, on a logarithmic axis (below 0.001 not shown)", scaleLog([LEAST, 100], [PANEL, 0])],
];

const degree = (temperature) => temperature.toFixed(temperature < 0.1 ? 3 : 2);

function lab(data, root) {
  if (!data.rows?.length)
    throw new Error("its record of similarities is missing; make it with benchmarks/record_similarity_rows.py.");
  const heard = report();
  const row = choice({
    label: "Row", options: data.rows.map((r) => [r.name, r.name]), value: data.row,
    onchange: () => { dress(); paint(); },
  });
  const heat = slider({
    label: "Temperature T", min: 0.01, max: 2, step: 0.01, value: data.temperature, scale: "log",
    spoken: degree, onchange: oncePerFrame(paint),
  });
  const height = 24 + 3 * (PANEL + GAP) + STRIP;
  const picture = sheet(WIDTH, height, "Similarities, softmax and push of one row");
  const swatch = (kind) => h("span", { class: "lab-swatch", style: `background: ${COLOURS[kind]}` });
  const key = h("p", { class: "lab-key" }, ...KEY.map(([kind, text]) => h("span", {}, swatch(kind), text)));
  root.append(h("div", { class: "lab-controls" }, heat.element, row.element), key, picture, heard.element);

  const count = data.rows[0].similarities.length;
  const x = scaleBand(Array.from({ length: count }, (_, i) => i), [LEFT, WIDTH - 6]).padding(0.18);
  const marks = PANELS.map(([name, y], k) => {
    const top = 18 + k * (PANEL + GAP), group = picture.appendChild(s("g", { transform: `translate(0,${top})` }));
    const axis = axisLeft(y).ticks(3);
    if (k === 2) axis.tickValues([0.01, 1, 100]).tickFormat(String);
    select(group.appendChild(s("g", { transform: `translate(${LEFT},0)` }))).call(axis);
    group.append(s("text", { x: LEFT + 6, y: -5, class: "muted" }, name));
    const level = (at, dash = null) => s("line", {
      x1: LEFT, x2: WIDTH - 6, y1: y(at), y2: y(at), stroke: "var(--muted)", "stroke-dasharray": dash,
    });
    if (k < 2) group.append(level(0));
    if (k === 1) group.append(level(1 / count, "4 3"));
    const mark = (i) => (k < 2 ? s("rect", { x: x(i), width: x.bandwidth() })
      : s("circle", { cx: x(i) + x.bandwidth() / 2, r: 4 }));
    return Array.from({ length: count }, (_, i) => group.appendChild(mark(i)));
  });
  const below = height - STRIP, side = Math.min(x.bandwidth() * 1.15, STRIP - 4);
  const thumbs = Array.from({ length: count }, (_, i) => picture.appendChild(s("image", {
    x: x(i) + (x.bandwidth() - side) / 2, y: below, width: side, height: side, preserveAspectRatio: "none",
  })));
  const anchor = picture.appendChild(s("image", { x: 14, y: below - 8, width: 32, height: 32 }));
  picture.append(s("text", { x: 30, y: below - 14, "text-anchor": "middle" }, "anchor"));

  const chosen = () => data.rows.find((r) => r.name === row.value);
  function dress() {
    const { kinds, pictures, anchor: own } = chosen();
    anchor.setAttribute("href", own);
    kinds.forEach((kind, i) => {
      thumbs[i].setAttribute("href", pictures[i]);
      for (const panel of marks) {
        panel[i].setAttribute("fill", COLOURS[kind]);
        panel[i].setAttribute("stroke", kind === "same class" ? "var(--ink)" : "none"); // not by colour alone
      }
    });
  }
  function paint() {
    const { similarities, kinds } = chosen(), at = shares(similarities, kinds, heat.value);
    [similarities, at.probabilities].forEach((values, k) => {
      const y = PANELS[k][1];
      values.forEach((value, i) => {
        marks[k][i].setAttribute("y", Math.min(y(value), y(0)));
        marks[k][i].setAttribute("height", Math.abs(y(value) - y(0)));
      });
    });
    at.push.forEach((value, i) => {
      marks[2][i].setAttribute("cy", PANELS[2][1](Math.max(value, LEAST)));
      marks[2][i].setAttribute("visibility", value < LEAST ? "hidden" : "visible");
    });
    heard.say(sentence(at, kinds));
  }
  function sentence(at, kinds) {
    const negatives = kinds.length - 1;
    const own = Math.round(100 * at.same_class);
    const same = at.same_class > 0 ? ` Negatives of the anchor's own class get ${own}% of the push.` : "";
    return `Row ${row.value} (${ABOUT[row.value] ?? "recorded"}), T = ${degree(heat.value)}: the partner gets ` +
      `probability ${(1 - at.lost).toFixed(3)}, so the loss is ${at.loss.toFixed(2)} ` +
      `(chance ${Math.log(negatives + 1).toFixed(2)}). The push on all negatives together is ` +
      `${(at.lost / heat.value).toFixed(2)}; in effect ${at.effective.toFixed(1)} of ${negatives} negatives ` +
      `count.${same}`;
  }
  dress();
  paint();
  return { alt: () => `Temperature lab. ${heard.text}` };
}

export default widget("Temperature lab", lab);
