// The queue lab: MoCo's queue in memory, which query encoders a key is made of, and how far encoders lie apart.
// The formulas are those of lab_queue.py, where they are explained.
import {
  axisBottom, axisLeft, h, line, oncePerFrame, player, put, report, s, scaleLinear, scaleLog, select, sheet, slider,
  widget,
} from "../shared/js/kit.js";

export const lag = (m) => m / (1 - m);
export const behind = (m) => m / Math.sqrt(1 - m * m);
export const across = (m, age) => Math.sqrt(Math.max(0, age - (2 * m * (1 - m ** age)) / (1 - m * m)));
export const longest = (length, batch) => Math.ceil(length / batch);
export const oldest = (length, batch, step) => (step * batch) % length;

/** The age of the key at each place, in steps (the newest are 1); null where the random start still lies. */
export function ages(length, batch, step) {
  const put = step * batch;
  return Array.from({ length }, (_, place) => {
    const last = put - 1 - ((((put - 1 - place) % length) + length) % length);
    return last >= 0 ? step - Math.floor(last / batch) : null;
  });
}

const WIDTH = 860, TICKS = [0, 0.9, 0.99, 0.999]; // of momentum
const count = (value) => value.toLocaleString("en-US");

/** A slider over a list of values. */
function among({ label, values, value, spoken, onchange }) {
  const inner = slider({
    label, min: 0, max: values.length - 1, value: values.indexOf(value), spoken: (i) => spoken(values[i]), onchange,
  });
  return { element: inner.element, get value() { return values[inner.value]; } };
}

function lab(data, root) {
  const heard = report(), draw = oncePerFrame(paint);
  const keys = (value) => `${count(value)} keys`;
  const momentum = among({
    label: "Momentum m", values: data.momenta, value: data.momentum, spoken: String, onchange: draw,
  });
  const length = among({ label: "Queue", values: data.queues, value: data.queue_size, spoken: keys, onchange: draw });
  const batch = among({ label: "Batch", values: data.batches, value: data.batch_size, spoken: keys, onchange: draw });
  const step = slider({ label: "Step", min: 0, max: data.last_step, value: data.step, onchange: draw });
  const play = player({
    start: () => { if (step.value >= data.last_step) step.set(0); },
    advance: () => { step.set(step.value + 1); paint(); return step.value < data.last_step; },
    wait: 250,
  });
  const controls = [momentum, length, batch, step, play].map(({ element }) => element);
  root.append(h("div", { class: "lab-controls" }, ...controls));

  const belt = sheet(WIDTH, 46, "The queue in memory, place by place");
  const cells = s("g"), pointer = s("path", { d: "M0,0 l7,12 h-14 z", fill: "var(--red)" });
  // Words beside the wide drawing, not in it: on a narrow page they would shrink with it.
  const title = h("p", { class: "muted", style: "margin: 0" });
  const where = h("p", { style: "margin: 0 0 8px; color: var(--red)" });
  belt.append(cells, pointer);
  const work = sheet(420, 270, "Share of each past query encoder in a key's encoder");
  const apart = sheet(420, 270, "Distance of encoders by momentum");
  root.append(title, belt, where, h("div", { class: "lab-panels" }, work, apart), heard.element);

  const share = scaleLog([2e-4, 1.5], [225, 40]), back = scaleLinear([0, 100], [50, 410]);
  select(work.appendChild(s("g", { transform: "translate(50,0)" })))
    .call(axisLeft(share).tickValues([1e-3, 1e-2, 0.1, 1]).tickFormat(String));
  const backAxis = work.appendChild(s("g", { transform: "translate(0,225)" }));
  work.append(
    s("text", { x: 6, y: 14 }, "Share of each past query encoder in the encoder"),
    s("text", { x: 6, y: 30 }, "that made a key (dotted: mean age)"),
    s("text", { x: 230, y: 262, "text-anchor": "middle" }, "steps ago"),
    s("text", { x: 410, y: 52, "text-anchor": "end", style: "fill: var(--green)" }, "a key made now"),
    s("text", { x: 410, y: 68, "text-anchor": "end", style: "fill: var(--orange)" }, "the oldest key in the queue"));
  const made = ["var(--green)", "var(--orange)"].map((stroke) => ({
    path: work.appendChild(s("path", { fill: "none", stroke, "stroke-width": 2 })),
    mean: work.appendChild(s("line", { y1: 40, y2: 225, stroke, "stroke-dasharray": "2 4" })),
  }));

  const nines = (m) => -Math.log10(1 - m), along = scaleLinear([0, 3], [50, 400]);
  const far = scaleLinear([0, 24], [225, 40]).clamp(true);
  select(apart.appendChild(s("g", { transform: "translate(50,0)" }))).call(axisLeft(far).ticks(5));
  select(apart.appendChild(s("g", { transform: "translate(0,225)" }))).call(
    axisBottom(along).tickValues(TICKS.map(nines)).tickFormat((_, i) => TICKS[i]));
  apart.append(
    s("text", { x: 6, y: 14 }, "Distance of two encoders, if the query encoder"),
    s("text", { x: 6, y: 30 }, "moves at random (in lengths of a training step)"),
    s("text", { x: 228, y: 262, "text-anchor": "middle" }, "momentum"),
    s("text", { x: 60, y: 52, style: "fill: var(--pink)" }, "query encoder to key encoder"),
    s("text", { x: 60, y: 68, style: "fill: var(--blue)" }, "key encoder now to the oldest key's"));
  const grid = Array.from({ length: 61 }, (_, i) => 1 - 10 ** (-i / 20));
  const curve = (f) => line((m) => along(nines(m)), (m) => far(f(m)))(grid);
  apart.append(s("path", { d: curve(behind), fill: "none", stroke: "var(--pink)", "stroke-width": 2 }));
  const ends = apart.appendChild(
    s("path", { fill: "none", stroke: "var(--blue)", "stroke-width": 2, "stroke-dasharray": "6 3" }));
  const now = apart.appendChild(s("line", { y1: 40, y2: 225, stroke: "var(--muted)" }));
  const marks = [s("circle", { r: 5, fill: "var(--pink)" }), s("rect", { width: 9, height: 9, fill: "var(--blue)" })];
  apart.append(...marks);

  function paint() {
    const m = momentum.value, K = length.value, n = batch.value, age = longest(K, n), all = ages(K, n, step.value);
    const place = scaleLinear([0, K], [6, WIDTH - 6]), runs = [];
    all.forEach((a, i) => { if (i === 0 || a !== all[i - 1]) runs.push([i, a]); });
    cells.replaceChildren(...runs.map(([from, a], i) => {
      const to = runs[i + 1]?.[0] ?? K, x = place(from);
      return s("rect", {
        x, width: Math.max(0.5, place(to) - x), y: 4, height: 26, fill: a === null ? "var(--grid)" : "var(--blue)",
        "fill-opacity": a === null ? 1 : 1 - (0.85 * (a - 1)) / Math.max(1, age - 1),
        stroke: runs.length <= 80 ? "var(--ground)" : "none",
      });
    }));
    const at = place(oldest(K, n, step.value));
    pointer.setAttribute("transform", `translate(${at},32)`);
    title.textContent = `The queue in memory, places 0 to ${count(K - 1)} ` +
      "(strong: new, pale: old, grey: still the random start)";
    where.textContent = `▲ oldest: the next ${n} keys go here`;

    const reach = Math.max(60, Math.floor(1.5 * age));
    back.domain([0, reach]);
    select(backAxis).call(axisBottom(back).ticks(5));
    made.forEach(({ path, mean }, i) => {
      const from = i * age, points = [];
      for (let j = from; j < (m ? reach : from + 1); j += Math.max(1, Math.floor(reach / 400))) {
        const y = (1 - m) * m ** (j - from);
        if (y >= 2e-4) points.push([back(j), share(y)]);
      }
      path.setAttribute("d", m ? line()(points) : `M${points[0][0]},225 V${points[0][1]}`);
      const x = back(from + lag(m));
      put(mean, { x1: x, x2: x, visibility: x > 410 ? "hidden" : "visible" }); // further back than is shown
    });
    ends.setAttribute("d", curve((x) => across(x, age)));
    const x = along(nines(m));
    put(now, { x1: x, x2: x });
    put(marks[0], { cx: x, cy: far(behind(m)) });
    put(marks[1], { x: x - 4.5, y: far(across(m, age)) - 4.5 });
    heard.say(sentence(m, K, n, age, all));
  }
  function sentence(m, K, n, age, all) {
    const filled = all.filter((a) => a !== null).length, three = (x) => Number(x.toPrecision(3)).toString();
    const start = filled === K ? ""
      : ` ${count(filled)} of them have been made so far, the rest are still the random start.`;
    const many = K > data.images
      ? " That is more keys than images: every image also meets its own earlier keys, as negatives." : "";
    const epochs = Number((K / data.images).toPrecision(2));
    return `Step ${step.value}: ${count(K)} keys, ${n} a step, so the oldest is ${age} steps old ` +
      `(${epochs} epochs of ${count(data.images)} images).${start}${many} At momentum ${m} a key made now is made by ` +
      `query encoders ${three(lag(m))} steps old on average, ` +
      `the oldest key by some ${three(age + lag(m))} steps old. ` +
      `If the query encoder moves at random, the key encoder is ${behind(m).toFixed(1)} step lengths from it, and ` +
      `${across(m, age).toFixed(1)} from the one that made the oldest key ` +
      `(without momentum ${across(0, age).toFixed(1)}).`;
  }
  paint();
  return { alt: () => `Queue lab. ${heard.text}`, stop: play.stop };
}

export default widget("Queue lab", lab);
