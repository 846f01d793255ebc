// The ablation lab: recorded runs around a chosen setting. Each panel changes one factor and holds the others; what was
// measured at a setting is covered until it has been guessed, with the slider or in the chart.
import {
  axisLeft, button, choice, h, line, oncePerFrame, place, put, report, s, scaleLinear, select, sheet, slider, widget,
} from "../shared/js/kit.js";

const LEFT = 34, TOP = 26, BOTTOM = 208, HEIGHT = 252;
const GUESS = "var(--red)", RUN = "var(--blue)";
const COVERED = { stroke: "var(--muted)", "stroke-width": 1, "stroke-dasharray": "3 2" };
const AIMED = { stroke: GUESS, "stroke-width": 2, "stroke-dasharray": "none" };
const CHANCE = { stroke: "var(--muted)", "stroke-dasharray": "5 3" };

export const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

/** Settings by their place in every factor: "0,2,1" -> accuracies, one a seed. */
export const byPlace = (settings) => new Map(settings.map(({ at, scores }) => [at.join(), scores]));

/** Where the settings lie in which factor number `factor` takes each of its `count` values, and the others stay. */
export function along(chosen, factor, count) {
  return Array.from({ length: count }, (_, value) => chosen.map((held, i) => (i === factor ? value : held)).join());
}

/** Of guesses, by setting: each one's error (above 0: too high), and the mean distance. */
export function judge(guesses, scores) {
  const errors = new Map([...guesses].map(([key, guess]) => [key, guess - mean(scores.get(key))]));
  return { errors, distance: mean([...errors.values()].map(Math.abs)) };
}

function lab(data, root) {
  if (!data.settings?.length || !data.factors?.length)
    throw new Error("it has no recorded runs; give it the runs of a record.");
  const scores = byPlace(data.settings), known = new Set(data.revealed.map((at) => at.join())), guesses = new Map();
  let chosen = [...data.start];
  const key = () => chosen.join(), covered = (at) => scores.has(at) && !known.has(at);
  const allKnown = () => [...scores.keys()].every((at) => known.has(at));
  const heard = report(), draw = oncePerFrame(paint);

  const choices = data.factors.map(({ label, values }, factor) => choice({
    label, options: values.map((text, value) => [value, text]), value: chosen[factor],
    onchange: (value) => choose(factor, value),
  }));
  const guess = slider({
    label: "Your guess", min: 0, max: 1, step: 0.01, value: 0.5, spoken: (v) => v.toFixed(2), onchange: draw,
  });
  const reveal = button("Reveal", () => {
    if (!covered(key())) return;
    known.add(key());
    guesses.set(key(), guess.value);
    paint();
  });
  const revealAll = button("Reveal all", () => { for (const at of scores.keys()) known.add(at); paint(); });
  root.append(h("div", { class: "lab-controls" }, ...choices.map((each) => each.element)));
  if (!allKnown()) root.append(h("div", { class: "lab-controls" }, guess.element, reveal, revealAll));

  const mark = (text, shape) =>
    h("span", {}, s("svg", { width: 26, height: 14, "aria-hidden": "true" }, shape), ` ${text}`);
  const guessing = allKnown() ? [] : [
    mark("covered", s("circle", { cx: 12, cy: 7, r: 6, fill: "none", ...COVERED })), mark("your guess", diamond(12, 7)),
  ];
  const across = { x1: 2, x2: 22, y1: 7, y2: 7 };
  root.append(h("p", { class: "lab-key" },
    mark("one seed", s("circle", { cx: 12, cy: 7, r: 4, fill: RUN })),
    mark("mean", s("line", { ...across, stroke: RUN, "stroke-width": 2.5 })), ...guessing,
    mark("chance", s("line", { ...across, ...CHANCE }))));
  const y = scaleLinear([0, 1.03], [BOTTOM, TOP]);
  const seeds = Math.max(...data.settings.map((setting) => setting.scores.length));
  const panels = data.factors.map(panel);
  root.append(h("div", { class: "lab-panels" }, ...panels.map((each) => each.svg)), heard.element);

  /** One factor's axes and marks; `paint` moves and hides them. */
  function panel({ label, values }, factor) {
    const each = Math.max(78, Math.min(100, 7 * Math.max(...values.map((text) => text.length)))); // room for the names
    const right = LEFT + each * values.length, x = (value) => LEFT + each * (value + 0.5), whole = BOTTOM - TOP;
    const svg = sheet(right + 6, HEIGHT, `${data.measure} accuracy by ${label}`);
    const band = s("rect", { width: each - 8, y: TOP, height: whole, fill: "var(--grid)", "fill-opacity": 0.6, rx: 4 });
    const level = s("line", { x1: LEFT, x2: right, stroke: GUESS, "stroke-width": 1.5, "stroke-dasharray": "2 4" });
    const path = s("path", { fill: "none", stroke: RUN, "stroke-width": 1.5 });
    const chance = s("line", { x1: LEFT, x2: right, y1: y(data.chance), y2: y(data.chance), ...CHANCE });
    svg.append(band, chance, level, path);
    select(svg.appendChild(s("g", { transform: `translate(${LEFT},0)` })))
      .call(axisLeft(y).tickValues([0, 0.2, 0.4, 0.6, 0.8, 1]).tickSizeOuter(0));
    svg.append(s("text", { x: (LEFT + right) / 2, y: HEIGHT - 8, "text-anchor": "middle" }, label));
    if (factor === 0) svg.append(s("text", { x: 4, y: 13 }, `${data.measure} accuracy on test`));
    const columns = values.map((text, value) => {
      const hit = s("rect", { x: x(value) - each / 2, y: TOP, width: each, height: whole, fill: "transparent" });
      hit.style.cursor = "pointer";
      const column = {
        dots: Array.from({ length: seeds }, () => s("circle", { r: 4, fill: RUN, stroke: "var(--ground)" })),
        bar: s("line", { x1: x(value) - 14, x2: x(value) + 14, stroke: RUN, "stroke-width": 2.5 }),
        number: s("text", { x: x(value), "text-anchor": "middle" }),
        guessed: diamond(x(value) - 0.34 * each, 0),
        ring: s("circle", { cx: x(value), fill: "var(--ground)" }),
        query: s("text", { x: x(value), "text-anchor": "middle", "dominant-baseline": "central" }),
        centre: x(value), half: each / 2, hit,
      };
      press(hit, svg, factor, value);
      svg.append(
        column.bar, ...column.dots, column.number, column.guessed, column.ring, column.query, hit,
        s("text", { x: x(value), y: BOTTOM + 17, "text-anchor": "middle" }, text));
      return column;
    });
    return { svg, band, level, path, columns };
  }
  /** A press on another column chooses it; in the chosen one a press or a drag sets the guess. */
  function press(hit, svg, factor, value) {
    let aiming = false;
    const aim = (event) => guess.set(Math.max(0, Math.min(1, y.invert(place(event, svg)[1]))));
    hit.addEventListener("pointerdown", (event) => {
      aiming = chosen[factor] === value && covered(key());
      if (!aiming) return choose(factor, value);
      hit.setPointerCapture(event.pointerId);
      aim(event);
      draw();
    });
    hit.addEventListener("pointermove", (event) => {
      if (aiming && hit.hasPointerCapture(event.pointerId)) { aim(event); draw(); }
    });
  }
  function choose(factor, value) {
    chosen[factor] = value;
    choices[factor].set(value);
    draw();
  }
  function paint() {
    const here = covered(key());
    guess.input.disabled = !here;
    reveal.setAttribute("aria-disabled", String(!here)); // not `disabled`: the keyboard stays on it
    revealAll.setAttribute("aria-disabled", String(allKnown()));
    panels.forEach(({ band, level, path, columns }, factor) => {
      const places = along(chosen, factor, columns.length);
      band.setAttribute("x", columns[chosen[factor]].centre - columns[chosen[factor]].half + 4);
      put(level, { visibility: seenIf(here), y1: y(guess.value), y2: y(guess.value) });
      const means = places.map((at) => (known.has(at) && scores.has(at) ? mean(scores.get(at)) : null));
      path.setAttribute("d", line((_, i) => columns[i].centre, y).defined((m) => m !== null)(means) ?? "");
      columns.forEach((column, value) =>
        paintColumn(column, places[value], means[value], here && value === chosen[factor]));
    });
    heard.say(sentence());
  }
  function paintColumn(column, at, average, aimed) {
    const seen = average !== null, all = seen ? scores.get(at) : [];
    const beside = (i) => (all.length > 1 ? (i / (all.length - 1) - 0.5) * 0.48 * column.half : 0);
    column.dots.forEach((dot, i) =>
      put(dot, { visibility: seenIf(i < all.length), cx: column.centre + beside(i), cy: y(all[i] ?? 0) }));
    put(column.bar, { visibility: seenIf(seen), y1: y(average ?? 0), y2: y(average ?? 0) });
    const low = seen && average < 0.3; // then there is room only above the dots
    const beyond = () => (low ? y(Math.max(...all)) - 9 : y(Math.min(...all)) + 18);
    put(column.number, { visibility: seenIf(seen), y: seen ? beyond() : 0 });
    column.number.textContent = seen ? average.toFixed(2) : "";
    const judged = seen && guesses.has(at);
    put(column.guessed, { visibility: seenIf(judged), transform: `translate(0,${y(guesses.get(at) ?? 0)})` });
    const height = y(aimed ? guess.value : 0.5);
    const ring = { cy: height, r: aimed ? 18 : 11, ...(aimed ? AIMED : COVERED) };
    put(column.ring, { visibility: seenIf(covered(at)), ...ring });
    put(column.query, { visibility: seenIf(!seen), y: height });
    column.query.textContent = aimed ? guess.value.toFixed(2) : scores.has(at) ? "?" : "not run";
    column.hit.style.touchAction = aimed ? "none" : "pan-y"; // a finger drags the guess there, and scrolls elsewhere
  }
  function sentence() {
    const setting = chosen.map((value, i) => `${data.factors[i].label} ${data.factors[i].values[value]}`).join(", ");
    const all = scores.get(key()), { errors, distance } = judge(guesses, scores);
    const told = guesses.size ? ` ${guesses.size} guessed so far, off by ${distance.toFixed(2)} on average.` : "";
    if (!all) return `${setting}: not among the recorded runs.${told}`;
    if (covered(key()))
      return `${setting}: covered. What do you expect? Set your guess, with the slider or in the chart, ` +
        `then press Reveal.${told}`;
    const error = errors.get(key()), off = Math.abs(error ?? 0).toFixed(2);
    const answer = error === undefined ? "" : ` Your guess of ${guesses.get(key()).toFixed(2)} was ` +
      (off === "0.00" ? "right." : `${off} too ${error > 0 ? "high" : "low"}.`);
    const each = all.map((score) => score.toFixed(3)).join(", ");
    return `${setting}: mean ${mean(all).toFixed(3)} (seeds ${each}).${answer}${told}`;
  }
  function profiles() {
    const told = (at) => (covered(at) ? "covered" : scores.has(at) ? mean(scores.get(at)).toFixed(2) : "not run");
    return data.factors.map(({ label, values }, factor) => {
      const places = along(chosen, factor, values.length);
      return `${label} ${places.map((at, value) => `${values[value]}: ${told(at)}`).join(", ")}`;
    }).join("; ");
  }
  paint();
  const name = `Ablation lab, ${data.measure} accuracy on test`;
  return { alt: () => `${name}. Chosen: ${sentence()} Around it, by ${profiles()}.` };
}

const seenIf = (visible) => (visible ? "visible" : "hidden");

/** The mark of a guess: no circle, so that it is told from a seed by its shape, too. */
function diamond(x, top) {
  return s("path", { d: `M${x},${top - 6} l6,6 l-6,6 l-6,-6 z`, fill: "none", stroke: GUESS, "stroke-width": 2 });
}

export default widget("Ablation lab", lab);
