// The box lab: the boxes that a detector found in a scene, right or wrong, and beside them precision against recall of
// all scenes. A box is [x1, y1, x2, y2, score, class], a true one [x1, y1, x2, y2, class].
import {
  axisBottom, axisLeft, choice, h, line, oncePerFrame, put, report, s, scaleLinear, select, sheet, slider, widget,
} from "../shared/js/kit.js";

/** Intersection over union of two boxes. */
export function iou(a, b) {
  const width = Math.min(a[2], b[2]) - Math.max(a[0], b[0]), height = Math.min(a[3], b[3]) - Math.max(a[1], b[1]);
  const both = Math.max(0, width) * Math.max(0, height), area = (box) => (box[2] - box[0]) * (box[3] - box[1]);
  return both / (area(a) + area(b) - both);
}

/**
 * Which of a scene's boxes are right, one true or false for each, as COCO decides: the highest score chooses first, and
 * takes the true box of its class that it overlaps most, if that is free and the overlap at least the threshold.
 */
export function matched(found, truth, threshold) {
  const taken = new Set(), right = found.map(() => false);
  const order = found.map((_, i) => i).sort((i, j) => found[j][4] - found[i][4] || i - j);
  for (const i of order) {
    let best = -1, most = Math.min(threshold, 1 - 1e-10);
    truth.forEach((box, j) => {
      if (taken.has(j) || box[4] !== found[i][5] || iou(found[i], box) < most) return;
      [best, most] = [j, iou(found[i], box)];
    });
    if (best >= 0) taken.add(best);
    right[i] = best >= 0;
  }
  return right;
}

/** All boxes of all scenes in one list, the highest score first: [{ score, right }]. */
export function ranked(scenes, truths, threshold) {
  const all = scenes.flatMap((found, scene) => {
    const right = matched(found, truths[scene], threshold);
    return found.map((box, i) => ({ score: box[4], right: right[i] }));
  });
  return all.sort((a, b) => b.score - a.score);
}

/** The curve of a ranked list: at each rank { recall, precision }, and `best`, the largest precision from there on. */
export function curve(list, objects) {
  let right = 0;
  const points = list.map((box, i) => {
    right += box.right;
    return { recall: right / objects, precision: right / (i + 1), best: 0 };
  });
  for (let i = points.length - 1, best = 0; i >= 0; i--) points[i].best = best = Math.max(best, points[i].precision);
  return points;
}

/** The area under the curve, read at 101 recalls as COCO does. */
export function averagePrecision(points) {
  let sum = 0, i = 0;
  for (let step = 0; step <= 100; step++) {
    while (i < points.length && points[i].recall < step * 0.01) i++;
    sum += i < points.length ? points[i].best : 0;
  }
  return sum / 101;
}

const SIDE = 330, WIDE = 430; // the sheets, in their own units
const LEFT = 46, RIGHT = 416, TOP = 44, BOTTOM = 290; // of the curve
const STYLE = `
.cl-lab .box-sheet image { image-rendering: pixelated; }
.cl-lab .box-sheet rect { fill: none; stroke-width: 3; }
.cl-lab .box-sheet .truth { stroke: #fff; stroke-width: 1.5; stroke-dasharray: 3 4; }
.cl-lab .box-sheet .ground { stroke: #000; stroke-width: 3.5; }
.cl-lab .box-sheet .right { stroke: #1b7837; }
.cl-lab .box-sheet .wrong { stroke: #b2182b; stroke-dasharray: 9 4; }
.cl-lab .box-sheet text { fill: #fff; stroke: #000; stroke-width: 3px; paint-order: stroke; font-weight: 600; }
.cl-lab .box-mark { display: inline-block; width: 20px; height: 0; vertical-align: 4px;
  margin-right: 6px; }
`;

function lab(data, root) {
  const { size, classes, pictures, truth, detectors } = data;
  if (!detectors?.length || !pictures?.length) throw new Error("its scenes are missing.");
  const heard = report(), draw = oncePerFrame(paint), scale = SIDE / size;
  const objects = truth.reduce((sum, boxes) => sum + boxes.length, 0);
  const two = (value) => value.toFixed(2);
  const which = choice({
    label: "Detector", options: detectors.map(({ name }, i) => [i, name]), value: 0, onchange: draw,
  });
  const scene = slider({
    label: "Scene", min: 1, max: pictures.length, value: 1, spoken: (n) => `${n} of ${pictures.length}`, onchange: draw,
  });
  const score = slider({
    label: "Least score", min: 0.05, max: 0.95, step: 0.01, value: data.score, spoken: two, onchange: draw,
  });
  const overlap = slider({
    label: "Right from IoU", min: 0.5, max: 0.95, step: 0.05, value: data.overlap, spoken: two, onchange: draw,
  });
  const controls = [which, scene, score, overlap].map(({ element }) => element);

  const picture = sheet(SIDE, SIDE, "A scene with the boxes that were found");
  picture.classList.add("box-sheet");
  const image = s("image", { width: SIDE, height: SIDE });
  const pool = (count, make) => Array.from({ length: count }, () => {
    const made = make();
    picture.append(made);
    return made;
  });
  picture.append(image);
  const most = (lists) => Math.max(0, ...lists.map((list) => list.length));
  const truths = pool(most(truth), () => s("g", {}, s("rect", { class: "ground" }), s("rect", { class: "truth" })));
  const boxes = pool(most(detectors.flatMap(({ found }) => found)), () => s("g", {}, s("rect"), s("text")));

  const graph = sheet(WIDE, SIDE, "Precision against recall of all scenes");
  const x = scaleLinear([0, 1], [LEFT, RIGHT]), y = scaleLinear([0, 1], [BOTTOM, TOP]);
  select(graph.appendChild(s("g", { transform: `translate(${LEFT},0)` }))).call(axisLeft(y).ticks(5));
  select(graph.appendChild(s("g", { transform: `translate(0,${BOTTOM})` }))).call(axisBottom(x).ticks(5));
  const area = s("path", { fill: "var(--blue)", "fill-opacity": 0.18 });
  const jagged = s("path", { fill: "none", stroke: "var(--muted)", "stroke-width": 1 });
  const steps = s("path", { fill: "none", stroke: "var(--blue)", "stroke-width": 2 });
  const here = s("circle", { r: 6, fill: "var(--orange)" }), title = s("text", { x: 6, y: 16 });
  graph.append(area, jagged, steps, here, title,
    s("text", { x: 6, y: 34, class: "muted" }, "precision (grey), and its largest value from there on (blue)"),
    s("text", { x: (LEFT + RIGHT) / 2, y: 324, "text-anchor": "middle" }, "recall"));
  const mark = (name, style) => h("span", {}, h("span", { class: "box-mark", style }), name);
  root.append(h("style", {}, STYLE), h("div", { class: "lab-controls" }, ...controls),
    h("p", { class: "lab-key" },
      mark("found, and right", "border-top: 3px solid #1b7837"),
      mark("found, and wrong", "border-top: 3px dashed #b2182b"),
      mark("true box", "border-top: 3px dotted var(--muted)")),
    h("div", { class: "lab-panels" }, picture, graph), heard.element);

  function place(rect, [x1, y1, x2, y2]) {
    put(rect, { x: x1 * scale, y: y1 * scale, width: (x2 - x1) * scale, height: (y2 - y1) * scale });
  }

  function paint() {
    const { name, found } = detectors[which.value], at = scene.value - 1, least = score.value - 1e-9;
    put(image, { href: pictures[at] });
    truths.forEach((group, i) => {
      group.style.display = i < truth[at].length ? "" : "none";
      if (i < truth[at].length) group.childNodes.forEach((rect) => place(rect, truth[at][i]));
    });
    const right = matched(found[at], truth[at], overlap.value);
    let shown = 0, good = 0;
    const written = []; // where labels stand: one that would cover another moves down
    boxes.forEach((group, i) => {
      const box = found[at][i], visible = box && box[4] >= least;
      group.style.display = visible ? "" : "none";
      if (!visible) return;
      const [rect, text] = group.childNodes;
      place(rect, box);
      rect.setAttribute("class", right[i] ? "right" : "wrong");
      text.textContent = `${classes[box[5]]} ${two(box[4])}`;
      const atEnd = box[0] > size / 2;
      const tx = (atEnd ? box[2] : box[0]) * scale;
      let ty = Math.max(14, box[1] * scale - 4);
      while (written.some(([x0, y0]) => Math.abs(x0 - tx) < 80 && Math.abs(y0 - ty) < 13)) ty += 13;
      written.push([tx, ty]);
      put(text, { x: tx, y: ty });
      text.setAttribute("text-anchor", atEnd ? "end" : "start");
      shown++;
      good += right[i];
    });
    const list = ranked(found, truth, overlap.value), points = curve(list, objects), ap = averagePrecision(points);
    const ends = [{ recall: 0, best: points[0]?.best ?? 0 }, ...points];
    const corners = ends.flatMap((point, i) => (
      i ? [{ recall: ends[i - 1].recall, best: point.best }, point] : [point]));
    const outline = line((p) => x(p.recall), (p) => y(p.best))(corners), last = ends[ends.length - 1].recall;
    steps.setAttribute("d", outline);
    area.setAttribute("d", `${outline}L${x(last)},${y(0)}L${x(0)},${y(0)}Z`);
    jagged.setAttribute("d", line((p) => x(p.recall), (p) => y(p.precision))(points) ?? "");
    const count = list.filter((box) => box.score >= least).length, point = points[count - 1];
    here.style.display = point ? "" : "none";
    if (point) put(here, { cx: x(point.recall), cy: y(point.precision) });
    title.textContent = `AP ${ap.toFixed(3)}, the blue area`;
    const all = point ? `precision ${two(point.precision)}, recall ${two(point.recall)}` : "no box is left";
    heard.say(`${name}, scene ${at + 1}: ${shown} boxes with a score of at least ${two(score.value)}, ${good} ` +
      `of them right at IoU ${two(overlap.value)}; ${truth[at].length - good} of ${truth[at].length} objects are missed. ` +
      `All ${pictures.length} scenes: ${all}; AP ${ap.toFixed(3)}.`);
  }
  paint();
  return {
    alt: () => `Box lab. ${heard.text}`,
    pose: () => { scene.set(Math.min(3, pictures.length)); paint(); },
  };
}

export default widget("Box lab", lab);
