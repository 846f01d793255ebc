// The augmentation lab: a picture, and eight views of it. In one mode they are random draws from a recipe, in the other
// the eight steps that lead to one view under exactly these parameters. The shortcut meter reads the recipe on cards.
import { button, choice, h, oncePerFrame, report, sayBroken, uniform, widget } from "../shared/js/kit.js";
import { augment, DRAWN, drawParameters, neutral, STEPS } from "./augment.js";
import {
  asCode, controlGroups, EXACT, inWords, percent, RECIPE, stepInWords, values,
} from "./augmentation_controls.js";
import { STYLE } from "./augmentation_style.js";
import { cropBox } from "./crop_box.js";
import { readPictures } from "./read_pictures.js";
import { FEATURES, shortcutRates } from "./shortcut.js";

export * from "./augment.js";
export { readPictures } from "./read_pictures.js";
export { FEATURES, shortcutRates };

const VIEWS = 8;
const REST = 150; // milliseconds without a change before the meter is read
const SLICE = 6; // milliseconds of the meter's work between two pictures
const MODES = [["random", "random draws within these strengths"], ["exact", "exactly these parameters"]];
const HINTS = {
  random: "On the picture: the eight crops. Point at a view to read its parameters; press it to go on by hand.",
  exact: "Each picture is the one before it after one more operation, in SimCLR's order. The last one is the view.",
};

/** How far a value of `image` moves in the mean, over all views. */
function meanChange(image, views) {
  let sum = 0;
  for (const { data } of views) for (let i = 0; i < data.length; i++) sum += Math.abs(data[i] - image.data[i]);
  return sum / (views.length * image.data.length);
}

function lab(data, root) {
  if (!data.pictures?.length || !data.cards?.src) throw new Error("it needs a picture, and cards for its meter.");
  const heard = report(), draw = oncePerFrame(paint);
  let shelf = [], cards = [], shown = null, numbers = [], meter = null;

  const which = choice({
    label: "Picture", options: data.pictures.map(({ name }) => [name, name]), value: data.pictures[0].name,
    onchange: show,
  });
  const mode = choice({ label: "Views", options: MODES, value: "random", onchange: enter });
  const seed = h("input", {
    type: "number", class: "aug-seed", min: 0, step: 1, value: data.seed, "aria-label": "Seed of the random draws",
    "data-lm-suppress-shortcuts": "true", oninput: () => { draws(); draw(); },
  });
  const seeded = () => Math.max(0, Math.floor(Number(seed.value)) || 0);
  const ofRandom = h("div", { class: "aug-mode aug-line" }, "Set to:",
    ...Object.entries(data.presets).map(([name, config]) => button(name, () => { setRecipe(config); draw(); })),
    button("New draws", () => { seed.value = seeded() + 1; draws(); draw(); }), h("label", {}, "seed ", seed));
  const ofExact = h("div", { class: "aug-mode aug-line" }, "Drag the box or its corners.",
    button("Change nothing", () => { setExact(neutral(shown.image)); draw(); }));
  const recipe = controlGroups(RECIPE, draw), exact = controlGroups(EXACT, draw);

  const picture = cropBox(VIEWS, draw), hint = h("p", { class: "aug-hint" });
  const tiles = Array.from({ length: VIEWS }, (_, i) => {
    const canvas = h("canvas", { "aria-hidden": "true" }), caption = h("span");
    const near = () => point(i), away = () => point(-1);
    const tile = h("button", {
      type: "button", class: "aug-view", onclick: () => take(i),
      onpointerenter: near, onpointerleave: away, onfocus: near, onblur: away,
    }, canvas, caption);
    return { tile, canvas, caption, context: canvas.getContext("2d"), pixels: null };
  });
  const code = h("code", { class: "aug-code", "aria-label": "The recipe as Python" });
  const bars = Object.keys(FEATURES).map((name) => ({ name, bar: h("div"), chance: h("i"), value: h("span") }));
  const meterBars = h("div", { class: "aug-meter", "aria-hidden": "true" }, // the words below say the same
    ...bars.flatMap((b) => [h("span", {}, b.name), h("div", { class: "aug-bar" }, b.bar, b.chance), b.value]));
  const readings = h("div", { class: "aug-mode" },
    h("div", { class: "aug-line" }, "As code:", code), h("div", {}, "Shortcut meter of this recipe"), meterBars);
  root.append(
    h("style", {}, STYLE), h("div", { class: "lab-controls" }, which.element, mode.element), ofRandom, ofExact,
    h("div", { class: "aug-stage" }, picture.element, h("div", { class: "aug-views" }, ...tiles.map((t) => t.tile))),
    hint, recipe.element, exact.element, readings,
    h("div", { class: "aug-words" }, heard.element));

  function setRecipe({ crop: [smallest, largest], ...others }) {
    const all = { smallest, largest, ...others };
    for (const [name, control] of Object.entries(recipe.controls)) control.set(all[name]);
  }
  function config() {
    const { smallest, largest, ...others } = values(recipe.controls);
    return { ...data.defaults, ...others, crop: [Math.min(smallest, largest), Math.max(smallest, largest)] };
  }
  function setExact({ box, ...others }) {
    picture.set(box);
    for (const [name, control] of Object.entries(exact.controls)) control.set(others[name]);
  }
  const exactly = () => ({ box: picture.box, ...values(exact.controls) });
  const drawn = () => numbers.slice(0, VIEWS).map((u) => drawParameters(u, shown.image, config()));

  function draws() {
    const next = uniform(seeded());
    numbers = Array.from({ length: VIEWS + 2 * cards.length }, () => Array.from({ length: DRAWN }, next));
  }
  function show() {
    shown = shelf.find(({ name }) => name === which.value) ?? null;
    if (!shown) return; // still being read
    const { width, height } = shown.image;
    picture.show(shown);
    for (const tile of tiles) {
      Object.assign(tile.canvas, { width, height });
      tile.canvas.classList.toggle("pixels", shown.drawn);
      tile.pixels = tile.context.createImageData(width, height);
      tile.pixels.data.fill(255);
    }
    draw();
  }
  function enter(chosen) {
    for (const part of [ofRandom, recipe.element, readings]) part.hidden = chosen !== "random";
    for (const part of [ofExact, exact.element]) part.hidden = chosen !== "exact";
    if (chosen === "exact") picture.crops([]);
    draw();
  }
  /** Go on by hand with what was drawn for a view. */
  function take(number) {
    setExact(drawn()[number]);
    mode.set("exact");
    enter("exact");
    picture.focus();
  }
  function point(number) {
    picture.highlight(number);
    const told = mode.value === "random" && shown && number >= 0;
    hint.textContent = told ? `View ${number + 1}: ${inWords(drawn()[number], shown.image)}.` : HINTS[mode.value];
  }

  function paint() {
    if (!shown) return;
    stop();
    if (mode.value === "random") paintDraws();
    else paintSteps();
    point(-1);
  }
  function paintDraws() {
    const all = drawn(), views = all.map((p) => augment(shown.image, p));
    views.forEach((view, i) => {
      put(tiles[i], view);
      label(tiles[i], `view ${i + 1}`, `View ${i + 1}: ${inWords(all[i], shown.image)}. Go on with it by hand`);
    });
    picture.crops(all.map(({ box }) => box));
    code.textContent = asCode(config(), data.defaults);
    const moved = `Eight random views of ${shown.name}: a pixel value (0 to 1) moves by ` +
      `${meanChange(shown.image, views).toFixed(2)} in the mean.`;
    heard.say(`${moved} The shortcut meter is being read.`);
    wait(true);
    meter = setTimeout(() => work(readMeter(config(), moved)), REST);
  }
  function paintSteps() {
    const p = exactly();
    let view = shown.image;
    Object.entries(STEPS).forEach(([step, change], i) => {
      const [said, idle] = stepInWords(step, p, shown.image);
      view = change(view, p);
      put(tiles[i], view);
      label(tiles[i], said, `Step ${i + 1}: ${said}`, true, idle);
    });
    heard.say(`One view of ${shown.name}, made step by step: ${inWords(p, shown.image)}. ` +
      `A pixel value (0 to 1) moves by ${meanChange(shown.image, [view]).toFixed(2)} in the mean.`);
    wait(false);
  }
  function put({ pixels, context }, { data: image }) {
    const n = image.length / 3, bytes = pixels.data;
    for (let i = 0; i < n; i++) for (let c = 0; c < 3; c++) bytes[4 * i + c] = 255 * image[i + c * n]; // it rounds
    context.putImageData(pixels, 0, 0);
  }
  function label({ tile, caption }, text, spoken, disabled = false, idle = false) {
    caption.textContent = text;
    tile.setAttribute("aria-label", spoken);
    tile.disabled = disabled;
    tile.classList.toggle("aug-idle", idle);
  }

  function* readMeter(recipe, moved) {
    const views = [[], []];
    for (let i = 0; i < 2 * cards.length; i++) {
      const card = cards[i >> 1];
      views[i % 2].push(augment(card, drawParameters(numbers[VIEWS + i], card, recipe)));
      yield;
    }
    const rates = yield* shortcutRates(...views);
    for (const { name, bar, chance, value } of bars) {
      bar.style.width = `${100 * rates[name]}%`;
      chance.style.left = `${100 / cards.length}%`;
      value.textContent = percent(rates[name]);
    }
    const found = bars.map(({ name }) => `${name} ${percent(rates[name])}`).join(", ");
    heard.say(`${moved} Shortcut meter, partner found among ${cards.length} cards by ${found}; ` +
      `guessing ${(100 / cards.length).toFixed(1)}% (the thin marks).`);
    wait(false);
  }
  /** The meter's work goes on in the pauses between two pictures. */
  function work(task) {
    const end = performance.now() + SLICE;
    let done = false;
    while (!done && performance.now() < end) ({ done } = task.next());
    if (!done) meter = setTimeout(() => work(task));
  }
  function wait(busy) {
    root.setAttribute("aria-busy", String(busy));
    meterBars.style.opacity = busy ? 0.4 : 1;
  }
  function stop() { clearTimeout(meter); }

  setRecipe(data.recipe);
  enter("random");
  heard.say("The pictures are being read.");
  wait(true);
  root.inert = true; // no control has a picture to work on yet
  readPictures(data).then((read) => {
    ({ shelf, cards } = read);
    root.inert = false;
    draws();
    show();
    setExact(neutral(shown.image));
  }).catch((error) => {
    sayBroken(root, error);
    root.inert = false;
    wait(false);
  });
  return { alt: () => `Augmentation lab. ${heard.text}`, stop };
}

export default widget("Augmentation lab", lab);
