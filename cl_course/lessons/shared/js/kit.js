// What every lab shares: controls that can be used by mouse, touch, keyboard and screen reader, and drawing helpers.
// Nothing here knows a lab. d3 does scales and axes; elements are made by hand, since each lab has only a few.
import { axisBottom, axisLeft } from "d3-axis";
import { scaleLinear, scaleLog, scaleBand } from "d3-scale";
import { select } from "d3-selection";
import { line } from "d3-shape";

export { axisBottom, axisLeft, line, scaleBand, scaleLinear, scaleLog, select };

const SVG = "http://www.w3.org/2000/svg";
// Each bundle has its own kit, and several labs share a page: a count alone would give two of them the same name.
const own = Math.random().toString(36).slice(2, 8);
let made = 0;
const unique = (kind) => `lab-${kind}-${own}-${++made}`;

/** An HTML element: h("div", { class: "row", onclick: f }, child, "text"). */
export function h(name, attributes = {}, ...children) {
  return dress(document.createElement(name), attributes, children);
}

/** An SVG element, in the same way. */
export function s(name, attributes = {}, ...children) {
  return dress(document.createElementNS(SVG, name), attributes, children);
}

function dress(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** Set attributes: put(circle, { cx: 1, cy: 2 }). */
export function put(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
}

/** An SVG sheet of width x height units that shrinks with the page; `label` is its name for screen readers. */
export function sheet(width, height, label) {
  const viewBox = `0 0 ${width} ${height}`;
  return s("svg", { viewBox, width, height, class: "lab-sheet", role: "img", "aria-label": label });
}

/**
 * A slider with its name and its value in the quantity's own unit.
 *   scale: "linear", or "log" for a slider that moves in equal factors; spoken(value) -> text, such as "T = 0.50".
 * Returns { element, value, set(value) }; `onchange(value)` is called while it moves.
 */
export function slider({ label, min, max, step = 1, value, scale = "linear", spoken = String, onchange }) {
  const inner = scale === "log" ? Math.log10 : (x) => x;
  const outer = scale === "log" ? (x) => 10 ** x : (x) => x;
  const id = unique("slider");
  const output = h("output", { for: id, class: "lab-value" });
  const input = h("input", {
    type: "range", id, min: inner(min), max: inner(max), step,
    // JupyterLab takes arrow keys for itself unless an element says that it needs them.
    "data-lm-suppress-shortcuts": "true",
    oninput: () => { tell(); onchange?.(control.value); },
  });
  const control = {
    element: h("div", { class: "lab-control" }, h("label", { for: id }, label), input, output),
    get value() { return outer(Number(input.value)); },
    set(next) { input.value = inner(next); tell(); },
    input,
  };
  function tell() {
    const text = spoken(control.value);
    output.textContent = text;
    input.setAttribute("aria-valuetext", text);
  }
  control.set(value);
  return control;
}

/** A button. A press keeps the focus on it; what is disabled looks so and says so. */
export function button(label, onclick, attributes = {}) {
  return h("button", { type: "button", class: "lab-button", onclick, ...attributes }, label);
}

/**
 * A button that plays and pauses. `start()` is called when it is pressed, then `advance()` every `wait` milliseconds,
 * until it returns false or the lab leaves the page. Returns { element, stop() }.
 */
export function player({ start = () => {}, advance, wait = 0 }) {
  let frame = 0, last = 0;
  const element = button("Play", () => {
    if (frame) return stop();
    start();
    element.textContent = "Pause";
    frame = requestAnimationFrame(tick);
  });
  function tick(now) {
    if (!element.isConnected) return stop();
    if (now - last >= wait) {
      last = now;
      if (!advance()) return stop();
    }
    frame = requestAnimationFrame(tick);
  }
  function stop() {
    cancelAnimationFrame(frame);
    frame = 0;
    element.textContent = "Play";
  }
  return { element, stop };
}

/** One of several: radio buttons in a group with a name. options: [[value, label], ...]. */
export function choice({ label, options, value, onchange }) {
  const name = unique("choice");
  const inputs = options.map(([key, text]) => {
    const input = h("input", {
      type: "radio", name, value: key, checked: key === value, "data-lm-suppress-shortcuts": "true",
      onchange: () => onchange?.(key),
    });
    return [input, h("label", { class: "lab-option" }, input, h("span", {}, text))];
  });
  return {
    element: h("fieldset", { class: "lab-choice" }, h("legend", {}, label), ...inputs.map(([, text]) => text)),
    get value() { return options[inputs.findIndex(([input]) => input.checked)][0]; },
    set(key) { inputs.forEach(([input]) => { input.checked = input.value === String(key); }); },
  };
}

/** On or off. */
export function toggle({ label, value = false, onchange }) {
  const input = h("input", {
    type: "checkbox", checked: value, "data-lm-suppress-shortcuts": "true", onchange: () => onchange?.(input.checked),
  });
  return {
    element: h("label", { class: "lab-option" }, input, h("span", {}, label)),
    get value() { return input.checked; },
    set(on) { input.checked = on; },
  };
}

/** A line of text that screen readers say when it changes and has rested for half a second; the first is silent. */
export function report() {
  const element = h("p", { class: "lab-report" });
  const heard = h("span", { class: "lab-heard", "aria-live": "polite" });
  let waiting = null;
  return {
    element: h("div", {}, element, heard),
    say(text) {
      if (text === element.textContent) return;
      clearTimeout(waiting);
      if (element.textContent) waiting = setTimeout(() => { heard.textContent = text; }, 500);
      element.textContent = text;
    },
    get text() { return element.textContent; },
  };
}

/**
 * Let something in a drawing be dragged by mouse or touch and moved by the arrow keys.
 *   move(x, y): in the sheet's own units; nudge(dx, dy): an arrow key was pressed, each -1, 0 or 1.
 */
export function draggable(element, svg, { label, move, nudge }) {
  put(element, { tabindex: "0", role: "slider", "aria-label": label, "data-lm-suppress-shortcuts": "true" });
  element.style.touchAction = "none";
  element.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    element.setPointerCapture(event.pointerId);
    element.focus({ preventScroll: true });
    event.preventDefault();
  });
  element.addEventListener("pointermove", (event) => {
    if (element.hasPointerCapture(event.pointerId)) move(...place(event, svg));
  });
  const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  element.addEventListener("keydown", (event) => {
    if (!arrows[event.key] || !isPlain(event)) return;
    nudge(...arrows[event.key]);
    event.preventDefault();
    event.stopPropagation();
  });
}

/** Whether a key was pressed without Ctrl, Alt or Meta: with them it is the browser's own. */
export const isPlain = (event) => !(event.ctrlKey || event.altKey || event.metaKey);

/**
 * Many small images in one picture, as Python's `sprite` packs them: { image, columns, rows }.
 * Returns { style, card(i, size), turn(card, i) }: a rule to append once, a new card of `size` pixels, and a function
 * that puts another image on a card.
 */
export function sprite({ image, columns, rows }) {
  if (!String(image).startsWith("data:image/")) throw new Error("its pictures are missing.");
  const name = unique("sprite");
  function turn(card, i) {
    card.style.setProperty("--column", i % columns);
    card.style.setProperty("--row", Math.floor(i / columns));
  }
  return {
    style: h("style", {}, `.${name} { background-image: url(${image}); ` +
      `background-size: calc(${columns} * var(--size)) calc(${rows} * var(--size)); }`),
    card(i, size) {
      const card = h("span", { class: `lab-card ${name}`, style: `--size: ${size}px` });
      turn(card, i);
      return card;
    },
    turn,
  };
}

/** Where a pointer is, in the units of an SVG sheet. */
export function place(event, svg) {
  const box = svg.getBoundingClientRect(), view = svg.viewBox.baseVal;
  const x = ((event.clientX - box.left) / box.width) * view.width;
  return [x, ((event.clientY - box.top) / box.height) * view.height];
}

/** Random numbers from 0 to 1 that a seed repeats: a linear congruential generator modulo 2^32. */
export function uniform(seed) {
  let state = (seed + 1) >>> 0;
  const next = () => (state = (Math.imul(1664525, state) + 1013904223) >>> 0) / 2 ** 32;
  for (let i = 0; i < 20; i++) next();
  return next;
}

/** Call `draw` once before the next picture, however often it is asked for. */
export function oncePerFrame(draw) {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => { asked = false; draw(); });
  };
}

/** Put the reason why a lab cannot be shown in its place. */
export function sayBroken(root, { message }) {
  const text = `${root.getAttribute("aria-label")} cannot be shown: ${message}`;
  root.replaceChildren(h("p", { class: "lab-broken", role: "alert" }, text));
}

/**
 * The render function of an anywidget from a lab: lab(data, root, model) -> { alt(), pose?(), stop?() }.
 *   alt: what is seen now, in a sentence or two; pose: show what a picture of the lab should show; stop: the page lets
 *   go of it.
 * A lab that cannot be drawn says why in its place, in one sentence.
 */
export function widget(name, lab) {
  return {
    render({ model, el }) {
      el.classList.add("cl-lab");
      el.setAttribute("role", "group");
      el.setAttribute("aria-label", name);
      try {
        const made = lab(model.get("data"), el, model);
        el.labAlt = made.alt;
        el.labPose = made.pose;
        return made.stop;
      } catch (error) {
        sayBroken(el, error);
      }
    },
  };
}
