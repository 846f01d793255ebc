// Small curves over the steps, each with its name, its value now, and a dashed line that says what to compare it with.
import { h, line, s, scaleLinear, sheet } from "../../shared/js/kit.js";

const WIDTH = 212,
  HEIGHT = 108,
  BOTTOM = HEIGHT - 16,
  MOST = 400; // MOST: points that are drawn

/** name, about: what it says; top: of the axis, a number; level: of the dashed line, { at, text, under }, or none. */
export function makeCurve({ name, about, tone, digits = 2, top, level }) {
  const value = h("strong", { style: `color: var(${tone})` });
  const svg = sheet(WIDTH, HEIGHT, name);
  const x = scaleLinear([0, 500], [0, WIDTH - 4]),
    y = scaleLinear([0, top], [BOTTOM, 4]);
  const path = s("path", {
    fill: "none",
    stroke: `var(${tone})`,
    "stroke-width": 2,
    "stroke-linejoin": "round",
    "stroke-linecap": "round",
  });
  const dashed = s("line", { x1: 0, x2: WIDTH, stroke: "var(--muted)", "stroke-dasharray": "4 3" });
  const said = s("text", { x: WIDTH - 2, class: "muted play-level", "text-anchor": "end" });
  const last = s("text", { x: WIDTH - 2, y: HEIGHT - 3, class: "muted", "text-anchor": "end" });
  svg.append(s("line", { x1: 0, x2: WIDTH, y1: BOTTOM, y2: BOTTOM, stroke: "var(--muted)" }), last);
  svg.append(s("text", { x: 1, y: HEIGHT - 3, class: "muted" }, "0"));
  if (level) svg.append(dashed);
  svg.append(path, said);
  const element = h(
    "figure",
    { class: "play-curve" },
    h("figcaption", { title: about }, h("span", {}, name), value),
    svg,
  );
  let points = [];
  const control = {
    element,
    guess: level?.at,
    get now() {
      return points.at(-1)?.[1];
    },
    clear() {
      points = [];
    },
    add(step, number) {
      points.push([step, number]);
    },
    /** Another level to compare with, and an axis that holds it. */
    level(at, text) {
      control.guess = at;
      y.domain([0, Math.max(top, 1.25 * at)]);
      dashed.setAttribute("y1", y(at));
      dashed.setAttribute("y2", y(at));
      said.setAttribute("y", y(at) + (level.under ? 13 : -4));
      said.textContent = text;
    },
    paint() {
      const end = points.at(-1)?.[0] ?? 0;
      while (end > x.domain()[1]) x.domain([0, 2 * x.domain()[1]]);
      if (end === 0) x.domain([0, 500]);
      last.textContent = `step ${x.domain()[1].toLocaleString("en")}`;
      value.textContent = control.now === undefined ? "" : control.now.toFixed(digits);
      path.setAttribute(
        "d",
        line(
          ([step]) => x(step),
          ([, number]) => y(Math.min(number, y.domain()[1])),
        )(thinned(points)) ?? "",
      );
    },
  };
  if (level) control.level(level.at, level.text);
  return control;
}

/** At most MOST points, each the mean of its neighbours. */
function thinned(points) {
  if (points.length <= MOST) return points;
  const size = Math.ceil(points.length / MOST),
    means = [];
  for (let i = 0; i < points.length; i += size) {
    const part = points.slice(i, i + size);
    means.push([0, 1].map((k) => part.reduce((sum, point) => sum + point[k], 0) / part.length));
  }
  return means;
}
