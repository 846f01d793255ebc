// Target lab: DINO's targets on recorded scores of a teacher. The learner moves temperature and centre; the page centres,
// sharpens, and says what is left: two ways to collapse, and one number that sees both.
import {
  axisBottom, axisLeft, h, line, oncePerFrame, player, put, report, s, scaleLinear, select, sheet, slider, widget,
} from "../shared/js/kit.js";

const CELL = 15, ROW = 8, TOP = 24, LEFT = 6;
const COLLAPSED = 0.05; // of ln K: below it a target tells nothing of its card

/** Whole numbers of 16 bits in base64, times their step. */
export function unpack({ codes, step }) {
  const bytes = Uint8Array.from(atob(codes), (letter) => letter.charCodeAt(0));
  return Array.from(new Int16Array(bytes.buffer), (code) => code * step);
}

/** Rows of `width` numbers. */
export function rows(values, width) {
  return Array.from({ length: values.length / width }, (_, i) => values.slice(i * width, (i + 1) * width));
}

/** The centre after `step` steps, from the mean scores of their batches: it starts at 0, as in the package. */
export function centreAt(means, momentum, step) {
  const centre = new Array(means[0].length).fill(0);
  for (const now of means.slice(0, step))
    now.forEach((value, j) => { centre[j] = momentum * centre[j] + (1 - momentum) * value; });
  return centre;
}

/** softmax((scores - centre) / temperature), one row a card. */
export function targetsOf(scores, centre, temperature) {
  return scores.map((row) => {
    const low = row.map((value, j) => (value - centre[j]) / temperature), most = Math.max(...low);
    const exps = low.map((value) => Math.exp(value - most)), sum = exps.reduce((a, b) => a + b);
    return exps.map((value) => value / sum);
  });
}

const entropy = (shares) => -shares.reduce((sum, p) => sum + (p > 0 ? p * Math.log(p) : 0), 0);

/** In nats: the mean entropy of a target, that of the mean target, and what a target tells of its card, the difference. */
export function measure(targets) {
  const mean = targets[0].map((_, j) => targets.reduce((sum, row) => sum + row[j], 0) / targets.length);
  const own = targets.reduce((sum, row) => sum + entropy(row), 0) / targets.length;
  return { own, all: entropy(mean), tells: entropy(mean) - own, mean };
}

function verdict({ all, tells }, most) {
  if (tells >= COLLAPSED * most) return "Different cards have different targets.";
  if (all > 0.8 * most) return "Collapsed: every target is nearly uniform, so that it asks for nothing.";
  return "Collapsed: all cards have the same target, so that a constant answer is right.";
}

function lab(data, root) {
  const { prototypes, cards, every } = data;
  if (!data.scores || !data.means) throw new Error("the recorded scores are missing.");
  const means = rows(unpack(data.means), prototypes), steps = means.length;
  const looks = rows(rows(unpack(data.scores), prototypes), cards);
  const most = Math.log(prototypes);

  const fixed = (value) => value.toFixed(2);
  const temperature = slider({
    label: "teacher's temperature", min: 0.01, max: 1, step: 0.02, scale: "log", value: data.temperature,
    spoken: (value) => value.toFixed(value < 0.1 ? 3 : 2), onchange: changed,
  });
  const momentum = slider({
    label: "centre's momentum", min: 0, max: 1, step: 0.05, value: data.momentum, onchange: changed,
    spoken: (value) => (value >= 1 ? "1 (no centre)" : fixed(value)),
  });
  const step = slider({
    label: "step", min: 0, max: (looks.length - 1) * every, step: every, value: data.step,
    onchange: () => { play.stop(); draw(); },
  });
  const play = player({
    start: () => { if (step.value >= steps) step.set(0); },
    advance: () => { step.set(step.value + every); draw(); return step.value < (looks.length - 1) * every; },
    wait: 160,
  });
  root.append(
    h("div", { class: "lab-controls" }, temperature.element, momentum.element),
    h("div", { class: "lab-controls" }, step.element, play.element),
  );

  const wide = LEFT + prototypes * CELL + 6, below = TOP + cards * ROW;
  const grid = sheet(wide, below + 62, "Targets of the cards, a row for each, over the prototypes");
  grid.append(
    s("text", { x: LEFT, y: 14 }, `targets of ${cards} cards over ${prototypes} prototypes`),
    s("rect", {
      x: LEFT, y: TOP, width: prototypes * CELL, height: cards * ROW, fill: "none", stroke: "var(--grid)",
    }));
  const cells = Array.from({ length: cards * prototypes }, (_, i) => grid.appendChild(s("rect", {
    x: LEFT + (i % prototypes) * CELL, y: TOP + Math.floor(i / prototypes) * ROW, width: CELL - 1, height: ROW - 1,
    fill: "var(--blue)",
  })));
  const bars = Array.from({ length: prototypes }, (_, j) => grid.appendChild(
    s("rect", { x: LEFT + j * CELL, width: CELL - 1, fill: "var(--orange)" })));
  grid.append(s("text", { x: LEFT, y: below + 57, class: "muted" }, "bars: the mean of all targets"));

  const curves = sheet(330, below + 62, "Entropies by step");
  const x = scaleLinear([0, steps], [36, 318]), y = scaleLinear([0, 1.08 * most], [below + 18, 24]);
  curves.append(
    s("text", { x: 4, y: 14 }, "entropy (nats)"),
    s("line", { x1: 36, x2: 318, y1: y(most), y2: y(most), stroke: "var(--muted)", "stroke-dasharray": "4 3" }),
    s("text", { x: 318, y: y(most) - 4, "text-anchor": "end", class: "muted" }, `ln ${prototypes}: uniform`),
    s("text", { x: 177, y: below + 52, "text-anchor": "middle" }, "step"));
  select(curves.appendChild(s("g", { transform: `translate(0,${below + 18})` }))).call(axisBottom(x).ticks(4));
  select(curves.appendChild(s("g", { transform: "translate(36,0)" }))).call(axisLeft(y).ticks(4));
  const drawn = [["all", "--orange", "6 4"], ["own", "--blue", null]].map(([name, colour, dash]) => {
    const stroke = `var(${colour})`;
    return [
      name, curves.appendChild(s("path", { fill: "none", stroke, "stroke-width": 2, "stroke-dasharray": dash })),
      curves.appendChild(s("circle", { r: 5, fill: stroke })),
    ];
  });
  const heard = report();
  root.append(
    h("p", { class: "lab-key" },
      h("span", { style: "color: var(--orange)" }, "dashed: entropy of the mean target"),
      h("span", { style: "color: var(--blue)" }, "solid: mean entropy of a target"),
      h("span", {}, "between them: what a target tells of its card")),
    h("div", { class: "lab-panels" }, grid, curves), heard.element);

  let measured = [];
  function changed() {
    measured = looks.map((scores, look) =>
      measure(targetsOf(scores, centreAt(means, momentum.value, look * every), temperature.value)));
    for (const [name, path] of drawn)
      path.setAttribute("d", line((_, look) => x(look * every), (each) => y(each[name]))(measured));
    draw();
  }
  const draw = oncePerFrame(paint);
  function paint() {
    const look = step.value / every, now = measured[look];
    const targets = targetsOf(looks[look], centreAt(means, momentum.value, step.value), temperature.value);
    targets.flat().forEach((share, i) => put(cells[i], { "fill-opacity": Math.max(0.04, share).toFixed(3) }));
    now.mean.forEach((share, j) => put(bars[j], { y: below + 4 + 36 * (1 - share), height: 36 * share }));
    for (const [name, , mark] of drawn)
      mark.setAttribute("transform", `translate(${x(step.value)},${y(now[name])})`);
    heard.say(sentence(now));
  }
  function sentence(now) {
    return `Step ${step.value}, temperature ${temperature.value.toFixed(3)}, centre's momentum ` +
      `${momentum.value >= 1 ? "1, no centre" : fixed(momentum.value)}: entropy of a target ${fixed(now.own)}, ` +
      `of the mean target ${fixed(now.all)} (uniform: ${fixed(most)}); a target tells ${fixed(now.tells)} nats of its ` +
      `card. ${verdict(now, most)}`;
  }
  changed();
  paint();
  return { alt: () => `Target lab. ${sentence(measured[step.value / every])}`, stop: () => play.stop() };
}

export default widget("Target lab", lab);
