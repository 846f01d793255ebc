// The circle lab: two views of every image as points on a circle. Drag any of them, or let the loss move all.
// There is no network: the angles themselves follow the gradient of NT-Xent (or of its pulling or pushing part).
import {
  axisBottom, axisLeft, button, choice, draggable, h, line, oncePerFrame, player, put, report, s, scaleLinear, select,
  sheet, slider, uniform, widget,
} from "./js/kit.js";

const RATE = 0.05, MOMENTUM = 0.9; // of gradient descent on the angles, per push of 2n T times the gradient
const LONGEST = 2000; // steps that are drawn: far beyond where the points settle
const NAMES = "ABCDEFGHIJKL";
const GOALS = [["both", "both"], ["alignment", "alignment alone"], ["uniformity", "uniformity alone"]];

/** Softmax of each view over all others, at similarity cos(difference) / T: p[i][j], with p[i][i] = 0. */
function softmax(angles, temperature) {
  const views = angles.length;
  return angles.map((a, i) => {
    const logits = angles.map((b, j) => (i === j ? -Infinity : Math.cos(a - b) / temperature));
    const top = Math.max(...logits), e = logits.map((x) => Math.exp(x - top)), sum = e.reduce((x, y) => x + y, 0);
    return e.map((x) => x / sum);
  });
}

/** NT-Xent in nats, alignment and uniformity (Wang & Isola, t = 2) of 2n angles; views i and i + n are partners. */
export function measures(angles, temperature) {
  const views = angles.length, n = views / 2, p = softmax(angles, temperature);
  let loss = 0, alignment = 0, kernel = 0;
  for (let i = 0; i < views; i++) loss -= Math.log(p[i][(i + n) % views]) / views;
  for (let i = 0; i < n; i++) alignment += (2 - 2 * Math.cos(angles[i] - angles[i + n])) / n;
  for (let i = 0; i < views; i++)
    for (let j = i + 1; j < views; j++) kernel += Math.exp(-2 * (2 - 2 * Math.cos(angles[i] - angles[j])));
  return { loss, alignment, uniformity: Math.log(kernel / ((views * (views - 1)) / 2)) };
}

/** Minus the gradient with respect to each angle, times 2n T. */
export function push(angles, temperature, goal) {
  const views = angles.length, n = views / 2, p = softmax(angles, temperature);
  const weight = (i, j) =>
    (goal === "alignment" ? 0 : p[i][j]) - (goal !== "uniformity" && j === (i + n) % views ? 1 : 0);
  return angles.map((a, i) => angles.reduce((sum, b, j) => sum + (weight(i, j) + weight(j, i)) * Math.sin(a - b), 0));
}

/** One step of gradient descent with momentum: [angles, velocity]. */
export function step(angles, velocity, temperature, goal) {
  const force = push(angles, temperature, goal);
  const next = velocity.map((v, i) => MOMENTUM * v + force[i]);
  return [angles.map((a, i) => a + RATE * next[i]), next];
}

/** The least uniformity that 2n points on a circle can have: evenly spread. */
function evenUniformity(n) {
  return measures(Array.from({ length: 2 * n }, (_, i) => (Math.PI * i) / n), 1).uniformity;
}

/** A repeatable start: view 1 anywhere, view 2 up to a third of the circle from it. */
function start(n, seed) {
  const random = uniform(seed);
  const first = Array.from({ length: n }, () => 2 * Math.PI * random());
  return [...first, ...first.map((a) => a + ((2 * random() - 1) * 2 * Math.PI) / 3)];
}

const degrees = (angle) => Math.round((((angle * 180) / Math.PI) % 360 + 360) % 360);

function lab(data, root) {
  if (!(data.n >= 2 && data.temperature > 0)) throw new Error("it needs 2 images or more and a temperature above 0.");
  const n = data.n, size = 360, centre = size / 2, radius = 130;
  let seed = data.seed, angles = data.angles ? [...data.angles] : start(n, seed), velocity = angles.map(() => 0);
  let past = [];
  const heard = report();

  const goal = choice({ label: "Loss", options: GOALS, value: data.want, onchange: restartCurves });
  const heat = slider({
    label: "Temperature T", min: 0.05, max: 2, step: 0.01, value: data.temperature, scale: "log",
    spoken: (t) => t.toFixed(2), onchange: restartCurves,
  });
  const play = player({
    start: () => { if (past.length > LONGEST) restartCurves(); },
    advance: () => { advance(1); paint(); return past.length <= LONGEST; },
  });
  const one = button("One step", () => { play.stop(); advance(1); draw(); });
  const other = button("Other start", () => { play.stop(); reset(seed + 1); });
  const buttons = h("span", {}, play.element, " ", one, " ", other);
  root.append(h("div", { class: "lab-controls" }, goal.element, heat.element, buttons));

  const circle = sheet(size, size, "Points on a circle");
  circle.setAttribute("role", "group"); // its points are controls
  circle.append(
    s("circle", { cx: centre, cy: centre, r: radius, fill: "none", stroke: "var(--grid)", "stroke-width": 2 }));
  const colours = ["--blue", "--orange", "--green", "--red", "--pink", "--muted"];
  const chords = [], dots = [], letters = [], arrows = [];
  for (let i = 0; i < n; i++) {
    const colour = `var(${colours[i % colours.length]})`;
    chords.push(circle.appendChild(s("line", { stroke: colour, "stroke-opacity": 0.6 })));
    letters.push(circle.appendChild(s("text", { "text-anchor": "middle", "dominant-baseline": "middle" }, NAMES[i])));
  }
  for (let v = 0; v < 2 * n; v++) {
    const colour = `var(${colours[(v % n) % colours.length]})`;
    arrows.push(circle.appendChild(s("line", { stroke: "var(--ink)", "stroke-width": 1.5 })));
    const shape = v < n ? s("circle", { r: 11 }) : s("rect", { x: -8, y: -8, width: 16, height: 16 });
    shape.setAttribute("fill", colour);
    shape.setAttribute("stroke", "var(--ground)");
    const dot = circle.appendChild(s("g", { class: "lab-dot", "aria-valuemin": 0, "aria-valuemax": 359 }, shape));
    const turn = (to) => { play.stop(); angles[v] = to; velocity.fill(0); restartCurves(); };
    draggable(dot, circle, {
      label: `Image ${NAMES[v % n]}, view ${v < n ? 1 : 2}, angle in degrees`,
      move: (x, y) => turn(Math.atan2(centre - y, x - centre)),
      nudge: (dx, dy) => turn(angles[v] + ((dx - dy) * Math.PI) / 36),
    });
    dots.push(dot);
  }

  const curves = sheet(420, size, "Alignment and uniformity by step");
  const even = evenUniformity(n), x = scaleLinear([0, 200], [50, 405]);
  const y = scaleLinear([Math.min(-2.4, even - 0.4), 4.1], [size - 40, 20]);
  const bottom = curves.appendChild(s("g", { transform: `translate(0,${size - 40})` }));
  select(curves.appendChild(s("g", { transform: "translate(50,0)" }))).call(axisLeft(y).ticks(6));
  curves.append(
    s("text", { x: 228, y: size - 6, "text-anchor": "middle" }, "step"),
    s("line", { x1: 50, x2: 405, y1: y(even), y2: y(even), stroke: "var(--orange)", "stroke-dasharray": "2 4" }),
    s("text", { x: 405, y: y(even) + 15, "text-anchor": "end", class: "muted" }, "uniformity of even points"),
    s("text", { x: 405, y: 30, "text-anchor": "end", style: "fill: var(--blue)" }, "alignment (0: partners meet)"),
    s("text", { x: 405, y: 48, "text-anchor": "end", style: "fill: var(--orange)" }, "uniformity (lower: more even)"),
  );
  const paths = [["alignment", "var(--blue)"], ["uniformity", "var(--orange)"]].map(([name, stroke]) => [
    name, curves.appendChild(s("path", { fill: "none", "stroke-width": 2, stroke })),
  ]);
  root.append(h("div", { class: "lab-panels" }, circle, curves), heard.element);

  function remember() { past.push(measures(angles, heat.value)); }
  function restartCurves() { past = []; remember(); draw(); }
  function reset(to) { seed = to; angles = start(n, seed); velocity = angles.map(() => 0); restartCurves(); }
  function advance(steps) {
    for (let i = 0; i < steps; i++) {
      [angles, velocity] = step(angles, velocity, heat.value, goal.value);
      remember();
    }
  }
  const draw = oncePerFrame(paint);
  function paint() {
    const force = push(angles, heat.value, goal.value);
    const at = angles.map((a) => [centre + radius * Math.cos(a), centre - radius * Math.sin(a)]);
    for (let v = 0; v < 2 * n; v++) {
      const [px, py] = at[v], along = 40 * Math.max(-0.9, Math.min(0.9, 0.6 * force[v]));
      const degree = degrees(angles[v]), told = { "aria-valuenow": degree, "aria-valuetext": `${degree} degrees` };
      put(dots[v], { transform: `translate(${px},${py})`, ...told });
      const [x2, y2] = [px - along * Math.sin(angles[v]), py - along * Math.cos(angles[v])];
      put(arrows[v], { x1: px, y1: py, x2, y2 });
      if (v < n) {
        put(chords[v], { x1: px, y1: py, x2: at[v + n][0], y2: at[v + n][1] });
        put(letters[v], { x: centre + 1.16 * (px - centre), y: centre + 1.16 * (py - centre) });
      }
    }
    const last = Math.max(200, past.length - 1);
    select(bottom).call(axisBottom(x.domain([0, last])).ticks(5));
    for (const [name, path] of paths)
      path.setAttribute("d", line((_, i) => x(i), (m) => y(m[name]))(past) ?? "");
    heard.say(sentence());
  }
  function sentence() {
    const now = past[past.length - 1];
    const alone = goal.value === "both" ? "" : ` of ${goal.value} alone`;
    return `Step ${past.length - 1}${alone} at T = ${heat.value.toFixed(2)}: ` +
      `alignment ${now.alignment.toFixed(2)} (0: partners meet), ` +
      `uniformity ${now.uniformity.toFixed(2)} (even points: ${even.toFixed(2)}, collapse: 0), ` +
      `NT-Xent ${now.loss.toFixed(2)} (chance ${Math.log(2 * n - 1).toFixed(2)}).`;
  }
  remember();
  paint();
  // At the start the curves are empty: a picture shows where the points end.
  const pose = () => { advance(200); paint(); };
  return { alt: () => `Circle lab, ${n} images with two views each. ${sentence()}`, pose, stop: play.stop };
}

export default widget("Circle lab", lab);
