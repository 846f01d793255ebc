// The clinic lab: the health panels of recorded patients, each over a healthy run of the same method, and a verdict on
// every diagnosis. All that is said against a wrong one comes from Python (evidence.py).
import {
  axisBottom, axisLeft, button, choice, draggable, h, line, oncePerFrame, place, put, report, s, scaleLinear, select,
  sheet, widget,
} from "../shared/js/kit.js";

const WIDTH = 206, HEIGHT = 190, LEFT = 30, RIGHT = 200, TOP = 54, BOTTOM = 150;
const DASHED = { fill: "none", "stroke-width": 1.3, "stroke-dasharray": "4 3" }; // healthy runs
const two = (value) => value.toFixed(2), percent = (share) => `${Math.round(100 * share)}%`;

// Panels of curves by epoch; each curve has a name, a column, a colour and a shape of its points.
const PANELS = [
  { title: "Loss", curves: [["patient", "loss", "var(--blue)", "circle"]] },
  { title: "kNN, validation", curves: [["patient", "knn", "var(--green)", "circle"]] },
  {
    title: "Spread and rank",
    curves: [["spread", "spread", "var(--blue)", "circle"], ["rank / d", "rank", "var(--orange)", "rect"]],
  },
];
const PAIRS = [["strangers", "negative", "var(--orange)"], ["partners", "positive", "var(--blue)"]];

/** What is known of one patient: which faults were tried, and the last. A right one stays, whatever is tried later. */
function diagnose(before, fault) {
  return { tried: [...new Set([...(before?.tried ?? []), fault])], last: fault };
}

/** The letters of the patients whose own fault has been tried. */
function named(patients, asked) {
  return patients.filter((p) => asked[p.letter]?.tried.includes(p.fault)).map((p) => p.letter);
}

/** The answer to a diagnosis; nothing where `fault` was not asked last. */
function verdict(patient, faults, fault, asked) {
  if (!fault || asked?.last !== fault) return "";
  if (fault === patient.fault) return "Yes, that is it.";
  const number = faults.findIndex(({ name }) => name === fault) + 1;
  const stays = asked.tried.includes(patient.fault) ? ` You have named ${patient.letter} already, and that stays.` : "";
  return `Not fault ${number}: ${patient.against[fault]}${stays}`;
}

/** The nearest of `count` places, never outside. */
const nearest = (value, count) => Math.max(0, Math.min(count - 1, Math.round(value)));

function lab(data, root) {
  const { faults, patients, healthy } = data;
  if (!patients?.length || patients.some((p) => !healthy?.[p.method]))
    throw new Error("recorded runs of patients or of a healthy method are missing; give it those of the record.");
  const epochs = patients[0].epoch, bins = patients[0].positive.length;
  const asked = {}, chosen = {}; // by letter: what `diagnose` gives, and the fault that is marked in the list
  let shown = data.patient, epoch = epochs.length - 1, bin = bins - 1;
  const heard = report(), draw = oncePerFrame(paint);

  const who = choice({
    label: "Patient", options: [...patients.map((p) => [p.letter, p.letter]), ["all", "all six"]], value: shown,
    onchange: look,
  });
  const key = h("p", { class: "lab-key muted" }, "Solid: the patient. Dashed: a healthy run of the same method. " +
    "Dotted: chance. Point at a panel, or use the arrow keys in it, to read its values.");
  const rows = patients.map(row), about = h("p", { style: "margin: 8px 0" });
  const list = choice({
    label: "Diagnosis", options: faults.map(({ name, text }, i) => [name, `${i + 1}  ${text}`]),
    onchange: (fault) => { chosen[shown] = fault; draw(); },
  });
  list.element.style.cssText = "display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 390px), 1fr))";
  list.element.querySelector("legend").style.gridColumn = "1 / -1";
  const [names, marks] = [who, list].map((each) => [...each.element.querySelectorAll("span")]);
  const ask = button("Is that it?", () => {
    if (!chosen[shown]) return;
    asked[shown] = diagnose(asked[shown], chosen[shown]);
    draw();
  });
  const desk = h("div", {}, about, list.element, h("p", { style: "margin: 6px 0 0" }, ask));
  root.append(
    h("div", { class: "lab-controls" }, who.element), key, ...rows.map((each) => each.element), desk, heard.element);

  function look(letter) {
    shown = letter;
    draw();
  }
  /** One patient's four panels. */
  function row(patient) {
    const panels = PANELS.map((kind) => curvePanel(kind, patient, healthy[patient.method]));
    panels.splice(1, 0, pairsPanel(patient, healthy[patient.method]));
    const open = button(`Examine ${patient.letter}`, () => {
      who.set(patient.letter);
      look(patient.letter);
      who.element.querySelector(":checked").focus(); // the button itself goes away
    }, { style: "margin-left: 8px" });
    const head = h("p", { style: "margin: 8px 0 2px" }, h("strong", {}, `${patient.letter}, ${patient.method}`), open);
    const sheets = h("div", { class: "lab-panels", style: "gap: 8px" }, ...panels.map((each) => each.svg));
    return { element: h("div", {}, head, sheets), panels, open, letter: patient.letter };
  }
  /**
   * An empty panel whose values are read out where one points, by mouse, finger or arrow keys.
   *   x: the scale of its `count` places; point(f): the place that is read is now f(the place that was).
   */
  function panel(label, x, count, point) {
    const svg = sheet(WIDTH, HEIGHT, label);
    svg.setAttribute("role", "group"); // a control is in it
    const box = { x: LEFT - 6, y: TOP, width: RIGHT - LEFT + 12, height: BOTTOM - TOP };
    const hit = s("rect", { ...box, fill: "transparent", "aria-valuemin": 0, "aria-valuemax": count - 1 });
    const cursor = s("line", { y1: TOP, y2: BOTTOM, stroke: "var(--muted)" });
    const title = s("text", { x: 2, y: 13, style: "font-weight: 600" });
    const read = (event) => point(() => x.invert(place(event, svg)[0]));
    draggable(hit, svg, { label, move: () => {}, nudge: (dx, dy) => point((now) => now + dx - dy) });
    hit.style.touchAction = "pan-y"; // a finger that goes up or down scrolls the page
    hit.addEventListener("pointerdown", read);
    hit.addEventListener("pointermove", read); // a mouse need not be pressed
    svg.append(cursor, title);
    return { svg, hit, cursor, title };
  }
  function axes(svg, bottom, left, below) {
    select(svg.appendChild(s("g", { transform: `translate(0,${BOTTOM})` }))).call(bottom.tickSizeOuter(0));
    if (left) select(svg.appendChild(s("g", { transform: `translate(${LEFT},0)` }))).call(left.tickSizeOuter(0));
    svg.append(s("text", { x: (LEFT + RIGHT) / 2, y: HEIGHT - 4, "text-anchor": "middle" }, below));
  }
  /** A line of text under the title, behind the mark of what it names. */
  function legend(svg, number, mark) {
    const text = s("text", { x: 16, y: 29 + 15 * number });
    svg.append(mark(7, 25 + 15 * number), text);
    return text;
  }
  function curvePanel({ title, curves }, patient, well) {
    const count = epochs.length, chance = title === "Loss" ? patient.chance : null;
    const most = chance === null ? 1.05 : 1.1 * Math.max(chance, ...patient.loss, ...well.loss);
    const x = scaleLinear([0, count - 1], [LEFT + 6, RIGHT - 6]), y = scaleLinear([0, most], [BOTTOM, TOP]);
    const { svg, hit, cursor, title: head } = panel(`Patient ${patient.letter}, ${title}`, x, count, (to) => {
      epoch = nearest(to(epoch), count);
      draw();
    });
    const ticks = axisBottom(x).tickValues(epochs.map((_, i) => i)).tickFormat((i) => epochs[i]);
    axes(svg, ticks, axisLeft(y).ticks(4), "epoch");
    if (chance !== null) {
      const at = { x1: LEFT, x2: RIGHT, y1: y(chance), y2: y(chance) };
      svg.append(s("line", { ...at, stroke: "var(--ink)", "stroke-dasharray": "1 3" }));
    }
    const path = line((_, i) => x(i), y);
    const drawn = curves.map(([name, column, stroke, shape], i) => {
      svg.append(s("path", { d: path(well[column]), stroke, ...DASHED }));
      svg.append(s("path", { d: path(patient[column]), fill: "none", stroke, "stroke-width": 2 }));
      svg.append(...patient[column].map((value, e) => dot(shape, x(e), y(value), 3, stroke)));
      const ring = svg.appendChild(s("circle", { r: 6, fill: "none", stroke, "stroke-width": 2 }));
      return { name, column, ring, text: legend(svg, i, (...at) => dot(shape, ...at, 4, stroke)) };
    });
    const [, , colour] = curves[0], alone = drawn.length === 1;
    const dash = (left, top) => s("line", { x1: left - 6, x2: left + 6, y1: top, y2: top, stroke: colour, ...DASHED });
    const second = alone ? legend(svg, 1, dash) : null; // one curve leaves a line for the healthy run
    svg.append(hit);
    let painted = null;
    function paint() {
      if (painted === epoch) return;
      painted = epoch;
      put(cursor, { x1: x(epoch), x2: x(epoch) });
      head.textContent = `${title}, epoch ${epochs[epoch]}`;
      const healthyNow = (column) => `healthy ${two(well[column][epoch])}`;
      for (const { name, column, ring, text } of drawn) {
        text.textContent = `${name} ${two(patient[column][epoch])}${alone ? "" : `, ${healthyNow(column)}`}`;
        put(ring, { cx: x(epoch), cy: y(patient[column][epoch]) });
      }
      if (alone)
        second.textContent = healthyNow(drawn[0].column) + (chance === null ? "" : `, chance ${two(chance)}`);
      const texts = [...drawn.map(({ text }) => text), ...(alone ? [second] : [])];
      speak(hit, epoch, `epoch ${epochs[epoch]}: ${texts.map((text) => text.textContent).join(", ")}`);
    }
    return { svg, paint };
  }
  function pairsPanel(patient, well) {
    const highest = Math.max(...[patient, well].flatMap((run) => [...run.positive, ...run.negative]));
    const x = scaleLinear([-0.5, bins - 0.5], [LEFT, RIGHT]), y = scaleLinear([0, highest], [BOTTOM, TOP + 2]);
    const { svg, hit, cursor, title } = panel(`Patient ${patient.letter}, similarity of pairs`, x, bins, (to) => {
      bin = nearest(to(bin), bins);
      draw();
    });
    axes(svg, axisBottom(scaleLinear([-1, 1], [LEFT, RIGHT])).ticks(5).tickFormat(String), null, "cosine similarity");
    const bars = (shares) => shares.map((share, i) => `V${y(share)}H${x(i + 0.5)}`).join("");
    const outline = (shares) => `M${LEFT},${BOTTOM}${bars(shares)}V${BOTTOM}`;
    const drawn = PAIRS.map(([name, column, colour], i) => {
      svg.append(s("path", { d: outline(patient[column]), fill: colour, "fill-opacity": 0.45, stroke: colour }));
      return { name, column, text: legend(svg, i, (...at) => dot("rect", ...at, 5, colour)) };
    });
    for (const [, column, stroke] of PAIRS) svg.append(s("path", { d: outline(well[column]), stroke, ...DASHED }));
    svg.append(hit);
    let painted = null;
    function paint() {
      if (painted === bin) return;
      painted = bin;
      const edges = [bin, bin + 1].map((i) => two((2 * i) / bins - 1)).join(" to ");
      put(cursor, { x1: x(bin), x2: x(bin) });
      title.textContent = `Similarity ${edges}`;
      for (const { name, column, text } of drawn)
        text.textContent = `${name} ${percent(patient[column][bin])}, healthy ${percent(well[column][bin])}`;
      speak(hit, bin, `similarity ${edges}: ${drawn.map(({ text }) => text.textContent).join("; ")}`);
    }
    return { svg, paint };
  }
  function paint() {
    const found = named(patients, asked), patient = patients.find((p) => p.letter === shown);
    for (const { element, panels, open, letter } of rows) {
      const seen = !patient || letter === shown;
      show(element, seen);
      show(open, !patient);
      if (seen) panels.forEach((each) => each.paint());
    }
    patients.forEach(({ letter }, i) => { names[i].textContent = letter + (found.includes(letter) ? " ✓" : ""); });
    show(desk, patient);
    if (patient) {
      about.textContent = description(patient);
      list.set(chosen[shown]);
      faults.forEach(({ name, text }, i) => {
        const tried = asked[shown]?.tried.includes(name);
        marks[i].textContent = `${i + 1}  ${text}${tried ? (name === patient.fault ? " ✓" : " ✗") : ""}`;
      });
      ask.setAttribute("aria-disabled", String(!chosen[shown]));
    }
    heard.say(sentence(patient));
  }
  function description(patient) {
    const average = patient.ends.reduce((sum, end) => sum + end, 0) / patient.ends.length;
    return `Patient ${patient.letter}, ${patient.method}. ${patient.health} kNN ${two(average)} ` +
      `(seeds ${patient.ends.map(two).join(", ")}), a healthy run's ${two(healthy[patient.method].knn.at(-1))}.`;
  }
  function sentence(patient) {
    const count = `${named(patients, asked).length} of ${patients.length} named.`;
    if (!patient) return `${count} Choose a patient to make a diagnosis.`;
    const answer = verdict(patient, faults, chosen[shown], asked[shown]);
    if (answer) return `${answer} ${count}`;
    return `${count} ${chosen[shown] ? "Press" : "Choose a fault, then press"} "Is that it?" for a verdict.`;
  }
  function alt() {
    const patient = patients.find((p) => p.letter === shown);
    if (patient) return `Clinic lab. ${description(patient)} ${sentence(patient)}`;
    const each = patients.map((p) => {
      const now = (column) => `${two(p[column][epoch])} (healthy ${two(healthy[p.method][column][epoch])})`;
      return `${p.letter} ${p.method}, loss ${now("loss")}, chance ${two(p.chance)}, kNN ${now("knn")}, ` +
        `spread ${now("spread")}`;
    });
    return `Clinic lab, the health panels of all patients over healthy runs, epoch ${epochs[epoch]}: ` +
      `${each.join("; ")}. ${sentence()}`;
  }
  paint();
  return { alt };
}

function dot(shape, x, y, r, fill) {
  if (shape === "circle") return s("circle", { cx: x, cy: y, r, fill });
  return s("rect", { x: x - r, y: y - r, width: 2 * r, height: 2 * r, fill });
}

function speak(control, value, text) {
  put(control, { "aria-valuenow": value, "aria-valuetext": text });
}

function show(element, seen) {
  element.style.display = seen ? "" : "none"; // the attribute `hidden` gives way to the style sheet's own display
}

export default widget("Clinic lab", lab);
