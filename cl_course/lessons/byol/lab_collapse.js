// Collapse lab: a small BYOL with switches for its parts. The runs of start 0 are recorded and lie in the page; other
// starts are trained by the notebook's kernel, in about two seconds each.
import {
  axisBottom, axisLeft, choice, h, line, oncePerFrame, player, put, report, s, scaleLinear, select, sheet, slider,
  toggle, widget,
} from "../shared/js/kit.js";

const KNOWS_NOTHING = 4; // BYOL's loss where predictions are orthogonal to their targets
const COLLAPSED = 0.1; // of the spread
const EDGE = { stroke: "var(--ground)", "stroke-width": 0.7 }; // around a point
const COLOURS = ["--blue", "--orange", "--green", "--red", "--pink", "--muted"];

/** The name of a run: without stop-gradient the target network is never asked, so that it has no part in the name. */
export function nameOf({ predictor, stop_gradient, target, batch_norm }) {
  const letters = [predictor ? "p" : "-", stop_gradient ? "s" : "-", batch_norm ? "b" : "-"];
  return [...letters, stop_gradient ? target : "slow"].join(" ");
}

/** Points of every look, each (2, cards, 2) within the unit circle, from hundredths as signed bytes in base64. */
export function pointsOf(run, cards) {
  const bytes = Int8Array.from(atob(run.points), (letter) => letter.charCodeAt(0));
  const looks = bytes.length / (4 * cards);
  return Array.from({ length: looks }, (_, look) => bytes.subarray(4 * cards * look, 4 * cards * (look + 1)));
}

/** What the switches say, as in Python. */
function words({ predictor, stop_gradient, target, batch_norm }) {
  const off = [[predictor, "predictor"], [stop_gradient, "stop-gradient"], [batch_norm, "BatchNorm"]]
    .filter(([on]) => !on).map(([, name]) => name);
  const asked = stop_gradient ? `Target ${target}` : "Target never asked";
  return `${asked}, ${off.length ? `${off.join(" and ")} off` : "all on"}`;
}

/** One word on a look, and its reason. */
function verdict(spread, loss) {
  if (spread >= COLLAPSED) return "Apart: different cards are at different points.";
  const fooled = loss < 0.1 ? ", and the loss takes it for success" : "";
  return `Collapsed: every view of every card is at one point${fooled}.`;
}

function lab(data, root, model) {
  const { cards, dim, steps, every } = data;
  if (!data.runs?.[nameOf(data.switches)]) throw new Error("the recorded run of its first switches is missing.");
  const live = typeof model.save_changes === "function"; // there is a kernel that trains
  const known = new Map(Object.entries(data.runs).map(([name, run]) => [`0 ${name}`, run]));
  // A page that is opened again finds the last answer, and would wait in vain for it to come once more.
  if (live) remember(model.get("answer"));
  let shown = null;

  const on = (label, key) => toggle({ label, value: data.switches[key], onchange: changed });
  const parts = { predictor: on("predictor", "predictor"), stop_gradient: on("stop-gradient", "stop_gradient"),
    batch_norm: on("BatchNorm in the heads", "batch_norm") };
  const target = choice({
    label: "target network", value: data.switches.target, onchange: changed,
    options: [["slow", `slow (m = ${data.momentum})`], ["copied", "copied (m = 0)"], ["frozen", "frozen (m = 1)"]],
  });
  const start = slider({ label: "start (seed)", min: 0, max: 9, value: 0, onchange: changed });
  const step = slider({
    label: "step", min: 0, max: steps, step: every, value: steps, onchange: () => { play.stop(); draw(); },
  });
  const play = player({
    start: () => { if (step.value >= steps) step.set(0); },
    advance: () => { step.set(step.value + every); draw(); return step.value < steps; },
    wait: 120,
  });
  start.input.disabled = !live;
  root.append(
    h("div", { class: "lab-controls" }, ...Object.values(parts).map((part) => part.element), target.element),
    h("div", { class: "lab-controls" }, step.element, play.element, start.element,
      live ? null : h("span", { class: "muted" }, "Start 0 is recorded. Other starts are trained in the notebook.")),
  );

  const sphere = sheet(260, 290, "Embeddings z of the cards, from the side from which most is to be seen");
  const at = scaleLinear([-1, 1], [20, 240]);
  sphere.append(
    s("text", { x: 4, y: 14, class: "muted" }, `z of ${cards} cards, two views each`),
    s("circle", { cx: 130, cy: 150, r: 110, fill: "none", stroke: "var(--grid)", "stroke-width": 2 }),
  );
  const hue = (card) => `var(${COLOURS[card % COLOURS.length]})`;
  const chords = Array.from({ length: cards }, (_, card) =>
    sphere.appendChild(s("line", { stroke: hue(card), "stroke-opacity": 0.5 })));
  const dots = Array.from({ length: 2 * cards }, (_, i) => sphere.appendChild(i < cards
    ? s("circle", { r: 4.5, fill: hue(i), ...EDGE })
    : s("rect", { x: -3.5, y: -3.5, width: 7, height: 7, fill: hue(i - cards), ...EDGE })));

  const losses = panel("Loss", [0, 4.6], [["loss", "--blue", null]]);
  losses.svg.append(
    s("line", {
      x1: losses.x(0), x2: losses.x(steps), y1: losses.y(KNOWS_NOTHING), y2: losses.y(KNOWS_NOTHING),
      stroke: "var(--muted)", "stroke-dasharray": "4 3",
    }),
    s("text", {
      x: losses.x(steps), y: losses.y(KNOWS_NOTHING) - 5, "text-anchor": "end", class: "muted",
    }, "4: knows nothing"),
  );
  const health = panel("Collapse? (near 0: yes)", [0, 1.12], [["spread", "--blue", null], ["rank", "--orange", "6 4"]]);
  health.svg.append(
    s("text", { x: 272, y: 40, "text-anchor": "end", style: "fill: var(--blue)" }, "spread (solid)"),
    s("text", { x: 272, y: 56, "text-anchor": "end", style: "fill: var(--orange)" },
      `effective rank / ${dim} (dashed)`),
  );
  const heard = report();
  const panels = h("div", { class: "lab-panels" }, sphere, losses.svg, health.svg);
  root.append(panels, heard.element);

  function panel(title, range, curves) {
    const svg = sheet(284, 290, title);
    const x = scaleLinear([0, steps], [34, 272]), y = scaleLinear(range, [250, 24]);
    svg.append(
      s("text", { x: 4, y: 14, class: "muted" }, title),
      s("text", { x: 152, y: 284, "text-anchor": "middle" }, "step"));
    select(svg.appendChild(s("g", { transform: "translate(0,250)" }))).call(axisBottom(x).ticks(4));
    select(svg.appendChild(s("g", { transform: "translate(34,0)" }))).call(axisLeft(y).ticks(5));
    const drawn = curves.map(([name, colour, dash]) => {
      const stroke = `var(${colour})`;
      const path = s("path", { fill: "none", stroke, "stroke-width": 2, "stroke-dasharray": dash });
      return [name, svg.appendChild(path), svg.appendChild(s("circle", { r: 5, fill: stroke }))];
    });
    return { svg, x, y, drawn };
  }

  function switches() {
    const on = Object.entries(parts).map(([key, part]) => [key, part.value]);
    return { ...Object.fromEntries(on), target: target.value };
  }
  function changed() {
    const now = switches(), seed = start.value, name = nameOf(now);
    target.element.disabled = !now.stop_gradient; // it is never asked then
    shown = known.get(`${seed} ${name}`) ?? null;
    if (!shown) {
      model.set("ask", { name, seed, switches: now });
      model.save_changes();
    }
    draw();
  }
  function remember({ name, seed, run } = {}) {
    if (run) known.set(`${seed} ${name}`, run);
  }
  function answered() {
    remember(model.get("answer"));
    shown ??= known.get(`${start.value} ${nameOf(switches())}`) ?? null;
    draw();
  }
  if (live) model.on("change:answer", answered);

  const draw = oncePerFrame(paint);
  function paint() {
    panels.style.opacity = shown ? 1 : 0.4; // until the answer comes, the run before is seen
    if (!shown) return void heard.say(waiting());
    const look = step.value / every;
    shown.places ??= pointsOf(shown, cards);
    const place = (i) => [at(shown.places[look][2 * i] / 100), 280 - at(shown.places[look][2 * i + 1] / 100)];
    for (let card = 0; card < cards; card++) {
      const [[x1, y1], [x2, y2]] = [place(card), place(card + cards)];
      dots[card].setAttribute("transform", `translate(${x1},${y1})`);
      dots[card + cards].setAttribute("transform", `translate(${x2},${y2})`);
      put(chords[card], { x1, y1, x2, y2 });
    }
    for (const { x, y, drawn } of [losses, health]) {
      for (const [name, path, mark] of drawn) {
        const values = name === "rank" ? shown.rank.map((rank) => rank / dim) : shown[name];
        path.setAttribute("d", line((_, i) => x(i * every), (value) => y(value))(values));
        mark.setAttribute("transform", `translate(${x(step.value)},${y(values[look])})`);
      }
    }
    heard.say(sentence(look));
  }
  function waiting() {
    return `${words(switches())}, start ${start.value}: the notebook trains it ...`;
  }
  function sentence(look) {
    return `${words(switches())}; step ${step.value}: loss ${shown.loss[look].toFixed(2)} ` +
      `(4: knows nothing, 0: predicts perfectly), spread ${shown.spread[look].toFixed(2)} of 1, ` +
      `effective rank ${shown.rank[look].toFixed(1)} of ${dim}. ` +
      verdict(shown.spread[look], shown.loss[look]);
  }
  shown = known.get(`0 ${nameOf(data.switches)}`);
  target.element.disabled = !data.switches.stop_gradient;
  paint();
  return {
    alt: () => `Collapse lab. ${shown ? sentence(step.value / every) : waiting()}`,
    stop: () => { play.stop(); if (live) model.off("change:answer", answered); },
  };
}

export default widget("Collapse lab", lab);
