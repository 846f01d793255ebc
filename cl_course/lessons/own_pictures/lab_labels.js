// The label lab: one picture, a button and a key for each class. What is done is sent to the kernel, which writes it to
// disk and answers with what stands in the file. What no kernel has confirmed waits in the browser's own store, so that
// it outlives the kernel and the page.
import { button, h, isPlain, report, widget } from "../shared/js/kit.js";

const PATIENCE = 4000; // milliseconds without an answer, after which the lab says so
const STYLE = `
.cl-lab .own-desk { display: flex; flex-wrap: wrap; gap: 12px 20px; align-items: flex-start; }
.cl-lab .own-picture { width: 224px; height: 224px; object-fit: contain; border: 1px solid var(--grid);
  border-radius: 6px; image-rendering: pixelated; background: var(--ground); }
.cl-lab .own-picture.photo { image-rendering: auto; }
.cl-lab .own-side { flex: 1 1 260px; min-width: 0; }
.cl-lab .own-classes { display: flex; flex-wrap: wrap; gap: 6px; margin: 0 0 10px; }
.cl-lab .own-classes .lab-button { min-height: 44px; min-width: 44px; text-align: left; max-width: 100%;
  overflow-wrap: anywhere; }
.cl-lab .own-classes .full { border-color: var(--green); }
.cl-lab .own-count { color: var(--muted); font-variant-numeric: tabular-nums; margin-left: 8px; }
.cl-lab .own-name { margin: 4px 0; overflow-wrap: anywhere; max-width: 224px; }
.cl-lab .own-saved { margin: 8px 0 0; }
.cl-lab .own-saved.waits { color: var(--red); }
`;

/**
 * What stands after some actions: { counts, given, recent }, from a state of the kernel's and actions that it has not
 * confirmed. recent: [[name, label], ...], the last at the end; an undo takes the last one back.
 */
export function after(state, actions) {
  const counts = { ...state.counts }, given = new Set(state.given), recent = state.recent.map((pair) => [...pair]);
  for (const { kind, name, label } of actions) {
    if (kind === "undo") {
      const at = recent.findLastIndex(([picture]) => picture === name);
      if (at >= 0) recent.splice(at, 1);
      given.delete(name);
      if (label) counts[label] -= 1;
    } else if (!given.has(name)) {
      given.add(name);
      recent.push([name, label]);
      if (label) counts[label] += 1;
    }
  }
  return { counts, given, recent };
}

/** A key for each class, "" where there is none: its own name where all are digits, else 1 to 9 in their order. */
export function keysOf(classes) {
  if (classes.every((label) => /^[0-9]$/.test(label))) return classes;
  return classes.map((_, place) => (place < 9 ? String(place + 1) : ""));
}

/** Actions that wait in the browser for a kernel; file: what tells the file apart that they belong to. */
function store(file) {
  const key = `cl-course labels ${file}`;
  return {
    read() {
      try { return JSON.parse(localStorage.getItem(key)) ?? []; } catch { return []; }
    },
    write(actions) {
      try {
        if (actions.length) localStorage.setItem(key, JSON.stringify(actions));
        else localStorage.removeItem(key);
      } catch { /* a browser without a store: the page itself still keeps them */ }
    },
  };
}

function lab(data, root, model) {
  const { pictures, classes, goal } = data;
  if (!classes?.length) throw new Error("it has no classes to choose from.");
  if (!pictures?.length) throw new Error("every picture has a label already.");
  const live = typeof model.save_changes === "function"; // there is a kernel that saves
  const keys = keysOf(classes), kept = store(data.file), heard = report(), own = Math.random().toString(36).slice(2);
  let state = (live && model.get("answer")?.state) || data.state;
  let waiting = live ? kept.read() : [], failed = "", late = false, timer = 0, made = 0;

  const picture = h("img", { class: "own-picture", alt: "" }), name = h("p", { class: "own-name muted" });
  picture.addEventListener("load", () => picture.classList.toggle("photo", picture.naturalWidth > 48));
  const buttons = classes.map((label, place) => {
    const count = h("span", { class: "own-count" }), key = keys[place];
    const element = button(key && key !== label ? `${key} ${label}` : label, () => act("label", label), {
      "data-lm-suppress-shortcuts": "true", tabindex: place ? "-1" : "0" });
    element.append(count);
    return { label, element, count };
  });
  const again = { "data-lm-suppress-shortcuts": "true" };
  const skip = button("Skip (s)", () => act("skip"), again), undo = button("Undo (u)", takeBack, again);
  const saved = h("p", { class: "own-saved", role: "status" });
  root.append(h("style", {}, STYLE),
    h("div", { class: "own-desk" },
      h("div", {}, picture, name),
      h("div", { class: "own-side" },
        h("div", { class: "own-classes", role: "group", "aria-label": "Classes", onkeydown: moved },
          ...buttons.map(({ element }) => element)),
        h("div", { class: "lab-controls" }, skip, undo),
        h("p", { class: "muted" }, "Keys: a number for a class, s to skip, u or Backspace to undo."), saved)),
    heard.element);
  root.addEventListener("keydown", pressed);

  function pressed(event) {
    const back = event.key === "u" || event.key === "Backspace";
    const undoKey = (event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z" && !event.shiftKey;
    if (!undoKey && !isPlain(event)) return;
    const place = event.key.length === 1 ? keys.indexOf(event.key) : -1;
    if (undoKey || back) takeBack();
    else if (event.key === "s") act("skip");
    else if (place >= 0) act("label", classes[place]);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }
  function moved(event) {
    const step = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 }[event.key];
    if (!step || !isPlain(event)) return;
    event.preventDefault();
    event.stopPropagation();
    const from = buttons.findIndex(({ element }) => element === document.activeElement);
    const to = (from + step + buttons.length) % buttons.length;
    buttons.forEach(({ element }, place) => element.setAttribute("tabindex", place === to ? "0" : "-1"));
    buttons[to].element.focus({ preventScroll: true });
  }

  const now = () => after(state, waiting);
  const asked = ({ given }) => pictures.find((one) => !given.has(one.name));
  function act(kind, label = "") {
    const one = asked(now());
    if (one) add({ kind, name: one.name, label });
  }
  function takeBack() {
    const last = now().recent.at(-1);
    if (last) add({ kind: "undo", name: last[0], label: last[1] });
  }
  function add(action) {
    waiting = [...waiting, { id: `${own}-${++made}`, ...action }];
    send();
    draw();
  }
  /** All that waits goes out together: a message that overtakes another would lose its order. */
  function send() {
    if (!live) return;
    kept.write(waiting);
    clearTimeout(timer);
    timer = setTimeout(() => { late = true; draw(); }, PATIENCE);
    try {
      model.set("ask", { actions: waiting });
      model.save_changes();
    } catch { late = true; }
  }
  function answered() {
    const answer = model.get("answer") ?? {};
    if (!answer.state) return;
    const done = new Set(answer.done);
    waiting = waiting.filter(({ id }) => !done.has(id));
    ({ state, failed } = answer);
    kept.write(waiting);
    clearTimeout(timer);
    late = false;
    if (waiting.length && !failed) send();
    draw();
  }

  function draw() {
    const { counts, given, recent } = now(), one = asked({ given });
    picture.hidden = !one;
    if (one) {
      if (picture.src !== one.src) picture.src = one.src;
      picture.alt = `The picture to label: ${one.name}`;
    }
    name.textContent = one ? one.name : "";
    for (const { label, element, count } of buttons) {
      count.textContent = `${counts[label]} of ${goal}`;
      element.setAttribute("aria-label", `${label}, ${counts[label]} of ${goal}`);
      element.classList.toggle("full", counts[label] >= goal);
      element.setAttribute("aria-disabled", String(!one));
    }
    skip.setAttribute("aria-disabled", String(!one));
    undo.setAttribute("aria-disabled", String(!recent.length));
    saved.textContent = savedWords();
    saved.classList.toggle("waits", Boolean(failed) || late);
    heard.say(words(one, counts));
  }
  function savedWords() {
    if (!live) return "There is no kernel here, so nothing is saved: open the lesson in Jupyter to keep labels.";
    if (failed) return `${failed} What you did since (${waiting.length}) waits in this browser.`;
    if (late) {
      return `Saved ${state.saved}. The kernel does not answer: it is busy, or it has stopped. What you did since ` +
        `(${waiting.length}) waits in this browser; restart the kernel and run the cells again, and it will be saved.`;
    }
    return `Saved ${state.saved}${waiting.length ? `, ${waiting.length} on the way to the disk` : ""}.`;
  }
  function words(one, counts) {
    const full = classes.filter((label) => counts[label] >= goal).length;
    const list = classes.map((label) => `${label}: ${counts[label]}`).join(", ");
    const next = one ? `Which class has ${one.name}?` :
      "These were all pictures of this page: run the cell again for the next ones.";
    const reached = full === classes.length ? `Every class has ${goal} or more: enough to go on.` :
      `Labels so far: ${list}; the goal is ${goal} of each.`;
    return `${next} ${reached}`;
  }

  if (live) model.on("change:answer", answered);
  draw();
  if (waiting.length) send();
  return {
    alt: () => `${root.getAttribute("aria-label")}. ${heard.text}`,
    stop: () => { clearTimeout(timer); if (live) model.off("change:answer", answered); },
  };
}

export default widget("Label lab", lab);
