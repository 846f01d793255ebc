// Collapse lab: a small BYOL with switches for its parts. The runs of start 0 are recorded and lie in the page; other
// starts are trained by the notebook's kernel, in about two seconds each.
import { axisBottom, axisLeft, button, choice, h, line, oncePerFrame, report, s, scaleLinear, select, sheet, slider, toggle,
  widget } from "../shared/js/kit.js";

const KNOWS_NOTHING = 4; // BYOL's loss where predictions are orthogonal to their targets
const COLLAPSED = 0.1; // of the spread
const COLOURS = ["--blue", "--orange", "--green", "--red", "--pink", "--muted"];

/** The name of a run: without stop-gradient the target network is never asked, so that it has no part in the name. */
export function nameOf({ predictor, stop_gradient, target, batch_norm }) {
  return [predictor ? "p" : "-", stop_gradient ? "s" : "-", batch_norm ? "b" : "-", stop_gradient ? target : "slow"].join(" ");
}

/** Points of every look, each (2, cards, 2) within the unit circle, from hundredths as signed bytes in base64. */
export function pointsOf(run, cards) {
  const bytes = Int8Array.from(atob(run.points), (letter) => letter.charCodeAt(0));
  const looks = bytes.length / (4 * cards);
  return Array.from({ length: looks }, (_, look) => bytes.subarray(4 * cards * look, 4 * cards * (look + 1)));
}

/** What the switches say, as in Python. */
export function words({ predictor, stop_gradient, target, batch_norm }) {
  const off = [[predictor, "predictor"], [stop_gradient, "stop-gradient"], [batch_norm, "BatchNorm"]]
    .filter(([on]) => !on).map(([, name]) => name);
  return `${stop_gradient ? `Target ${target}` : "Target never asked"}, ${off.length ? `${off.join(" and ")} off` : "all on"}`;
}

/** One word on a look, and its reason. */
export function verdict(spread, loss) {
  if (spread >= COLLAPSED) return "Apart: different cards are at different points.";
  return "Collapsed: every view of every card is at one point" + (loss < 0.1 ? ", and the loss takes it for success." : ".");
}

function lab(data, root, model) {
  const { cards, dim, steps, every } = data;
  if (!data.runs?.[nameOf(data.switches)]) throw new Error("the recorded run of its first switches is missing.");
  const live = typeof model.save_changes === "function"; // there is a kernel that trains
  const known = new Map(Object.entries(data.runs).map(([name, run]) => [`0 ${name}`, run]));
  let shown = null, playing = 0;

  const on = (label, key) => toggle({ label, value: data.switches[key], onchange: changed });
  const parts = { predictor: on("predictor", "predictor"), stop_gradient: on("stop-gradient", "stop_gradient"),
    batch_norm: on("BatchNorm in the heads", "batch_norm") };
  const target = choice({
    label: "target network", value: data.switches.target, onchange: changed,
    options: [["slow", `slow (m = ${data.momentum})`], ["copied", "copied (m = 0)"], ["frozen", "frozen (m = 1)"]],
  });
  const start = slider({ label: "start (seed)", min: 0, max: 9, value: 0, onchange: changed });
  const step = slider({ label: "step", min: 0, max: steps, step: every, value: steps, onchange: () => { stop(); draw(); } });
  const play = button("Play", () => (playing ? stop() : go()), { "aria-pressed": "false" });
  start.input.disabled = !live;
  root.append(
    h("div", { class: "lab-controls" }, ...Object.values(parts).map((part) => part.element), target.element),
    h("div", { class: "lab-controls" }, step.element, play, start.element,
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
    ? s("circle", { r: 4.5, fill: hue(i), stroke: "var(--ground)", "stroke-width": 0.7 })
    : s("rect", { x: -3.5, y: -3.5, width: 7, height: 7, fill: hue(i % cards), stroke: "var(--ground)", "stroke-width": 0.7 })));

  const losses = panel("Loss", [0, 4.6], [["loss", "--blue", ""]]);
  losses.svg.append(
    s("line", { x1: losses.x(0), x2: losses.x(steps), y1: losses.y(KNOWS_NOTHING), y2: losses.y(KNOWS_NOTHING),
      stroke: "var(--muted)", "stroke-dasharray": "4 3" }),
    s("text", { x: losses.x(steps), y: losses.y(KNOWS_NOTHING) - 5, "text-anchor": "end", class: "muted" }, "4: knows nothing"),
  );
  const health = panel("Collapse? (near 0: yes)", [0, 1.12], [["spread", "--blue", ""], ["rank", "--orange", "6 4"]]);
  health.svg.append(
    s("text", { x: 272, y: 40, "text-anchor": "end", style: "fill: var(--blue)" }, "spread (solid)"),
    s("text", { x: 272, y: 56, "text-anchor": "end", style: "fill: var(--orange)" }, `effective rank / ${dim} (dashed)`),
  );
  const heard = report();
  root.append(h("div", { class: "lab-panels" }, sphere, losses.svg, health.svg), heard.element);

  function panel(title, range, curves) {
    const svg = sheet(284, 290, title);
    const x = scaleLinear([0, steps], [34, 272]), y = scaleLinear(range, [250, 24]);
    svg.append(s("text", { x: 4, y: 14, class: "muted" }, title), s("text", { x: 152, y: 284, "text-anchor": "middle" }, "step"));
    select(svg.appendChild(s("g", { transform: "translate(0,250)" }))).call(axisBottom(x).ticks(4));
    select(svg.appendChild(s("g", { transform: "translate(34,0)" }))).call(axisLeft(y).ticks(5));
    const drawn = curves.map(([name, colour, dash]) => [name,
      svg.appendChild(s("path", { fill: "none", stroke: `var(${colour})`, "stroke-width": 2, "stroke-dasharray": dash || null })),
      svg.appendChild(s("circle", { r: 5, fill: `var(${colour})` }))]);
    return { svg, x, y, drawn };
  }

  function switches() {
    return { ...Object.fromEntries(Object.entries(parts).map(([key, part]) => [key, part.value])), target: target.value };
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
  function answered() {
    const { name, seed, run } = model.get("answer");
    known.set(`${seed} ${name}`, run);
    if (!shown && seed === start.value && name === nameOf(switches())) { shown = run; draw(); }
  }
  if (live) model.on("change:answer", answered);

  function go() {
    if (step.value >= steps) step.set(0);
    play.textContent = "Pause";
    play.setAttribute("aria-pressed", "true");
    playing = setInterval(() => {
      if (!root.isConnected || step.value >= steps) return stop();
      step.set(step.value + every);
      draw();
    }, 120);
  }
  function stop() {
    clearInterval(playing);
    playing = 0;
    play.textContent = "Play";
    play.setAttribute("aria-pressed", "false");
  }

  const draw = oncePerFrame(paint);
  function paint() {
    if (!shown) return void heard.say(`${words(switches())}, start ${start.value}: the notebook trains it ...`);
    const look = step.value / every;
    shown.places ??= pointsOf(shown, cards);
    const place = (i) => [at(shown.places[look][2 * i] / 100), 300 - at(shown.places[look][2 * i + 1] / 100) - 20];
    for (let card = 0; card < cards; card++) {
      const [[x1, y1], [x2, y2]] = [place(card), place(card + cards)];
      dots[card].setAttribute("transform", `translate(${x1},${y1})`);
      dots[card + cards].setAttribute("transform", `translate(${x2},${y2})`);
      for (const [name, value] of Object.entries({ x1, y1, x2, y2 })) chords[card].setAttribute(name, value);
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
  function sentence(look) {
    return `${words(switches())}; step ${step.value}: loss ${shown.loss[look].toFixed(2)} (4: knows nothing, 0: predicts ` +
      `perfectly), spread ${shown.spread[look].toFixed(2)} of 1, effective rank ${shown.rank[look].toFixed(1)} of ${dim}. ` +
      verdict(shown.spread[look], shown.loss[look]);
  }
  shown = known.get(`0 ${nameOf(data.switches)}`);
  target.element.disabled = !data.switches.stop_gradient;
  paint();
  return {
    alt: () => `Collapse lab. ${shown ? sentence(step.value / every) : "A run is being trained."}`,
    stop: () => { stop(); if (live) model.off("change:answer", answered); },
  };
}

export default widget("Collapse lab", lab);
