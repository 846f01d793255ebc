// The plan lab: what a run takes on the machine whose steps were timed, and what is extrapolated; published runs are
// marks on the axis of time. The same as planner.py, which a test compares.
import {
  axisBottom, axisLeft, choice, h, line, oncePerFrame, put, report, s, scaleLog, select, sheet, slider, toggle, widget,
} from "../shared/js/kit.js";

/** [seconds, megabytes] of a step: between two measured batches on a line of logarithms, else in proportion. */
export function stepCost(rows, batch) {
  const first = rows[0], last = rows[rows.length - 1];
  if (batch <= first[0] || batch >= last[0]) {
    const near = batch <= first[0] ? first : last;
    return [(near[1] * batch) / near[0], (near[2] * batch) / near[0]];
  }
  const above = rows.findIndex((row) => row[0] >= batch), a = rows[above - 1], b = rows[above];
  const at = Math.log(batch / a[0]) / Math.log(b[0] / a[0]);
  return [1, 2].map((i) => a[i] * (b[i] / a[i]) ** at);
}

/** What a run takes: { steps, seconds, megabytes, viewsPerSecond, negatives, measured }. */
export function estimate(costs, { encoder, side, batch, epochs, images, processes, options }) {
  const ofIt = costs[encoder], rows = ofIt.steps[side], share = batch / processes;
  let [seconds, megabytes] = stepCost(rows, share);
  for (const name of options) {
    seconds *= ofIt.factors[name][0];
    megabytes *= ofIt.factors[name][1] ?? 1; // null: not measured
  }
  const steps = epochs * Math.floor(images / batch);
  const inside = rows[0][0] <= share && share <= rows[rows.length - 1][0];
  return {
    steps, seconds: steps * seconds, megabytes, viewsPerSecond: (2 * batch) / seconds, negatives: 2 * batch - 2,
    measured: inside && processes === 1 && options.length === 0,
  };
}

/** "40 seconds", "1.5 minutes", "2.5 hours", "3.1 days". */
export function duration(seconds) {
  for (const [unit, length] of [["days", 86400], ["hours", 3600], ["minutes", 60]])
    if (seconds >= 1.5 * length) return `${(seconds / length).toFixed(1)} ${unit}`;
  return `${seconds.toFixed(seconds < 10 ? 1 : 0)} seconds`;
}
/** "640 MB", "12.3 GB". */
export const memory = (megabytes) =>
  (megabytes >= 1000 ? `${(megabytes / 1000).toFixed(1)} GB` : `${megabytes.toFixed(0)} MB`);

const NAMES = { small: "small ResNet", resnet18: "ResNet-18" };
const COLOURS = { SimCLR: "var(--blue)", MoCo: "var(--orange)", BYOL: "var(--green)" };
const TIME = { width: 620, height: 158, left: 16, right: 604, bottom: 112 };
const ROOM = { width: 390, height: 216, left: 62, right: 366, top: 22, bottom: 172 };
const TICKS = [[1, "1 s"], [60, "1 min"], [3600, "1 h"], [86400, "1 day"], [604800, "1 week"], [31536000, "1 year"]];
const thousands = (n) => String(Math.round(n)).replace(/\B(?=(\d{3})+$)/g, ",");

function lab(data, root) {
  if (!Object.keys(data.costs ?? {}).length) throw new Error("it has no timed steps; give it the record full_scale.");
  const heard = report(), draw = oncePerFrame(paint), start = data.start;
  const encoder = choice({
    label: "Encoder", options: Object.keys(data.costs).map((name) => [name, NAMES[name] ?? name]), value: start.encoder,
    onchange: draw,
  });
  const side = choice({
    label: "Image side", options: Object.keys(data.costs[start.encoder].steps).map((n) => [n, `${n} pixels`]),
    value: start.side, onchange: draw,
  });
  const batch = stepped("Batch", data.batches, start.batch, (n) => `${thousands(n)} images`);
  const epochs = stepped("Epochs", data.epochs, start.epochs, (n) => (n === 1 ? "1 epoch" : `${n} epochs`));
  const images = stepped("Data set", data.images, start.images, (n) => `${thousands(n)} images`);
  const processes = stepped("Machines like this", data.processes, start.processes, String);
  const options = Object.entries(data.options).map(([name, label]) => [name, toggle({ label, onchange: draw })]);
  const timed = ([name]) => data.costs[encoder.value].factors[name];

  /** A slider over a list of values. */
  function stepped(label, values, value, spoken) {
    const control = slider({
      label, min: 0, max: values.length - 1, value: values.indexOf(value), onchange: draw,
      spoken: (i) => spoken(values[i]),
    });
    return { element: control.element, get value() { return values[control.value]; } };
  }

  root.append(
    h("div", { class: "lab-controls" }, encoder.element, side.element),
    h("div", { class: "lab-controls" }, ...[batch, epochs, images, processes].map((each) => each.element)),
    h("div", { class: "lab-controls" }, ...options.map(([, each]) => each.element)));

  // Time: the run on an axis of logarithms, published ones above it.
  const x = scaleLog([0.5, 4e8], [TIME.left, TIME.right]).clamp(true);
  const time = sheet(TIME.width, TIME.height, "Time of the run, beside published runs");
  select(time.appendChild(s("g", { transform: `translate(0,${TIME.bottom})` })))
    .call(axisBottom(x).tickValues(TICKS.map(([at]) => at)).tickFormat((at) => TICKS.find((t) => t[0] === at)[1]));
  time.append(s("text", { x: TIME.left, y: TIME.bottom + 36 }, "time of the whole run"));
  const marks = data.published.map((run) => {
    const height = TIME.bottom - 10 - 14 * Object.keys(COLOURS).indexOf(run.method); // a row for each method
    const fill = COLOURS[run.method], stroke = "var(--ground)";
    const mark = s("circle", { cx: x(60 * run.minutes), cy: height, fill, stroke });
    time.append(mark);
    return { run, mark };
  });
  const yours = s("path", { d: "M0,-9 L8,5 L-8,5 Z", fill: "var(--red)" });
  const flag = s("text", { y: 32 });
  time.append(yours, flag);

  // Memory: the measured steps of this encoder and side, and the chosen one.
  const room = sheet(ROOM.width, ROOM.height, "Memory of a step by the images of a process");
  const rx = scaleLog([2, 4096], [ROOM.left, ROOM.right]).clamp(true);
  const ry = scaleLog([4, 2e5], [ROOM.bottom, ROOM.top]).clamp(true);
  select(room.appendChild(s("g", { transform: `translate(0,${ROOM.bottom})` })))
    .call(axisBottom(rx).tickValues([4, 16, 64, 256, 1024, 4096]).tickFormat(String));
  select(room.appendChild(s("g", { transform: `translate(${ROOM.left},0)` })))
    .call(axisLeft(ry).tickValues([10, 100, 1000, 1e4, 1e5]).tickFormat((n) => memory(n).replace(".0", "")));
  const curve = s("path", { fill: "none", stroke: "var(--blue)", "stroke-width": 1.5, "stroke-dasharray": "4 3" });
  const dots = Array.from({ length: 8 }, () => s("circle", { r: 4, fill: "var(--blue)" }));
  const chosen = s("path", { d: "M0,-9 L8,5 L-8,5 Z", fill: "var(--red)" });
  room.append(
    s("text", { x: 4, y: 12 }, "memory of a step"),
    s("text", { x: ROOM.right, y: ROOM.height - 6, "text-anchor": "end" }, "images of one process"),
    curve, ...dots, chosen);
  if (data.memory) {
    const across = { x1: ROOM.left, x2: ROOM.right, y1: ry(data.memory), y2: ry(data.memory) };
    room.append(
      s("line", { ...across, stroke: "var(--muted)", "stroke-dasharray": "2 4" }),
      s("text", { x: ROOM.left + 6, y: ry(data.memory) - 5 }, `all there is: ${memory(data.memory)}`));
  }
  const cells = ["Steps", "Time", "Memory of each", "Views a second", "Negatives of a view"].map((name) => {
    const value = h("td");
    return { row: h("tr", {}, h("th", { scope: "row" }, name), value), value };
  });
  root.append(
    h("p", { class: "lab-key" },
      ...Object.entries(COLOURS).map(([name, fill]) =>
        h("span", {}, h("span", { class: "lab-swatch", style: `background: ${fill}` }), `${name}, published`)),
      h("span", {}, h("span", { class: "lab-swatch", style: "background: var(--red)" }), "your plan, triangle")),
    time, h("div", { class: "lab-panels" }, room, h("table", {}, ...cells.map((each) => each.row))), heard.element);

  const plan = () => ({
    encoder: encoder.value, side: side.value, batch: batch.value, epochs: epochs.value, images: images.value,
    processes: processes.value, options: options.filter((each) => each[1].value && timed(each)).map(([name]) => name),
  });
  function paint() {
    const now = plan(), rows = data.costs[now.encoder].steps[now.side];
    for (const each of options) each[1].element.style.display = timed(each) ? "" : "none";
    const found = estimate(data.costs, now), share = now.batch / now.processes, at = x(Math.max(0.5, found.seconds));
    put(yours, { transform: `translate(${at},${TIME.bottom - 62})` });
    put(flag, { x: at, "text-anchor": at > 420 ? "end" : at < 120 ? "start" : "middle" });
    flag.textContent = found.steps ? `your plan: ${duration(found.seconds)}` : "no whole batch";
    for (const { run, mark } of marks) {
      const like = run.batch === now.batch && run.epochs === now.epochs;
      put(mark, { r: like ? 7 : 4, "fill-opacity": like ? 1 : 0.45 });
    }
    const places = [rows[0][0] / 4, ...rows.map((row) => row[0]), 4096];
    curve.setAttribute("d", line((n) => rx(n), (n) => ry(stepCost(rows, n)[1]))(places));
    dots.forEach((dot, i) => put(dot, {
      visibility: rows[i] ? "visible" : "hidden", cx: rows[i] ? rx(rows[i][0]) : 0, cy: rows[i] ? ry(rows[i][2]) : 0,
    }));
    put(chosen, { transform: `translate(${rx(share)},${ry(found.megabytes)})` });
    const values = [thousands(found.steps), duration(found.seconds), memory(found.megabytes),
      thousands(found.viewsPerSecond), thousands(found.negatives)];
    values.forEach((text, i) => { cells[i].value.textContent = text; });
    heard.say(sentence(now, found, rows, share));
  }
  function sentence(now, found, rows, share) {
    const what = `${NAMES[now.encoder] ?? now.encoder}, ${now.side} pixels, batch ${thousands(now.batch)}, ` +
      `${now.epochs} epochs of ${thousands(now.images)} images`;
    if (!found.steps) return `${what}: the data set has no whole batch; take a smaller one.`;
    const how = found.measured ? "a step like this was timed, or lies between two that were" : reason(now, rows, share);
    const fits = data.memory && found.megabytes > data.memory ? " It does not fit into the memory." : "";
    const like = data.published.filter((run) => run.batch === now.batch && run.epochs === now.epochs &&
      now.encoder === "resnet18" && now.side === "32" && now.images === 50000);
    const minutes = like.map((run) => `${run.method} ${run.minutes} minutes`).join(", ");
    const beside = minutes ? ` Published on an A6000: ${minutes}.` : "";
    return `${what}: ${thousands(found.steps)} steps, ${duration(found.seconds)} on ` +
      `${now.processes > 1 ? `${now.processes} times ` : ""}${data.machine}, ${memory(found.megabytes)} each. ` +
      `This is ${found.measured ? "measured: " : "extrapolated: "}${how}.${fits}${beside}`;
  }
  function reason(now, rows, share) {
    const parts = [];
    if (share < rows[0][0] || share > rows[rows.length - 1][0])
      parts.push(`timed were ${rows[0][0]} to ${rows[rows.length - 1][0]} images a process`);
    if (now.options.length) parts.push("an option's factor comes from one batch of 32 pixels");
    if (now.processes > 1) parts.push("what machines exchange is not counted");
    return parts.join("; ");
  }
  paint();
  return { alt: () => `Plan lab. ${heard.text}` };
}

export default widget("Plan lab", lab);
