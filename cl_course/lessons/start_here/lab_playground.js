// The playground: a small network learns in the page, before the reader's eyes. What is computed lies in playground/.
import { button, choice, h, report, slider, toggle, widget } from "../shared/js/kit.js";
import { makeCurve } from "./playground/curves.js";
import { CLASSES } from "./playground/drawings.js";
import { startEngine } from "./playground/engine.js";
import { FEATURES, SIDE } from "./playground/network.js";
import { thumbnails } from "./playground/pixels.js";
import { HEALTHY, PRESETS } from "./playground/presets.js";
import { Runner } from "./playground/runner.js";
import { classKey, makeSphere } from "./playground/sphere.js";
import { LOOKS, WORDS } from "./playground/words.js";
import { PAIRS, SHOWN } from "./playground/trainer.js";

// What tests compare with torch and the package, and what the benchmark runs.
export { uniform } from "../shared/js/kit.js";
export { twoViews } from "./playground/augment.js";
export { draw } from "./playground/drawings.js";
export { byolLoss, infoNce, ntXent } from "./playground/losses.js";
export { effectiveRank, knnAccuracy, spread } from "./playground/measures.js";
export { Runner } from "./playground/runner.js";
export { Trainer } from "./playground/trainer.js";
export { HEALTHY, PRESETS };

const NAMES = { simclr: "SimCLR", moco: "MoCo", byol: "BYOL" };
const MOMENTA = [0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.999];
const ANEW = ["method", "queue", "predictor"]; // another network: training starts again

function lab(data, root) {
  if (!(Number.isInteger(data.seed) && data.seed >= 0)) throw new Error("it needs a seed, a whole number from 0 on.");
  let settings = { ...HEALTHY, seed: data.seed },
    playing = false,
    steps = 0,
    pace = 0,
    asked = false;
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const heard = report(),
    watch = h("p", { class: "play-watch" });
  root.append(h("style", {}, LOOKS));

  // What is seen.
  const sphere = makeSphere(
      Uint8Array.from({ length: SHOWN }, (_, i) => i % CLASSES.length),
      nextFrame,
    ),
    key = classKey();
  const as = choice({
    label: "Points as",
    options: [
      ["kinds", "kinds"],
      ["drawings", "drawings"],
    ],
    value: "kinds",
    onchange: (what) => {
      sphere.as(what);
      nextFrame();
    },
  });
  const views = [1, 2].map((view) =>
    h("canvas", {
      class: "pixels",
      width: PAIRS * SIDE,
      height: SIDE,
      role: "img",
      "aria-label": `View ${view} of ${PAIRS} drawings of the batch`,
    }),
  );
  const loss = makeCurve({
    name: "loss",
    about: WORDS.loss,
    tone: "--blue",
    top: 1,
    level: { at: 1, text: "guessing" },
  });
  const knn = makeCurve({
    name: "kNN accuracy",
    about: WORDS["kNN accuracy"],
    tone: "--orange",
    top: 1,
    level: { at: 1 / CLASSES.length, text: "guessing 0.25", under: true },
  });
  const spread = makeCurve({
    name: "spread",
    about: WORDS.spread,
    tone: "--green",
    top: 1.1,
    level: { at: 0.1, text: "below: collapse" },
  });
  const rank = makeCurve({
    name: `effective rank, of ${FEATURES}`,
    about: WORDS["effective rank"],
    tone: "--pink",
    digits: 1,
    top: 12,
  });
  const curves = [loss, knn, spread, rank];

  // What can be done.
  const play = button("▶ Train", () => (playing ? pause() : go()), {
    class: "lab-button play-main",
    "aria-pressed": "false",
  });
  const one = button("One step", () => {
    pause();
    engine.order({ kind: "advance", steps: 1 });
  });
  const again = button("Restart", () => restart());
  const other = button("Other seed", () => {
    settings.seed = (settings.seed + 1) % 2 ** 32;
    restart();
  });
  const speed = h("span", { class: "muted" });
  const chips = PRESETS.map((preset) => button(preset.name, () => apply(preset), { "aria-pressed": "false" }));

  const set = (name) => (value) => change({ [name]: value });
  const powers = (name, label, min, max, unit) => {
    const control = slider({
      label,
      min,
      max,
      value: Math.log2(settings[name]),
      spoken: (power) => `${2 ** power} ${unit}`,
      onchange: (power) => change({ [name]: 2 ** power }),
    });
    return { element: control.element, set: (value) => control.set(Math.log2(value)) };
  };
  const onOff = (name, label) => toggle({ label, value: settings[name], onchange: set(name) });
  const momentum = slider({
    label: "momentum m",
    min: 0,
    max: MOMENTA.length - 1,
    value: MOMENTA.indexOf(settings.momentum),
    spoken: (place) => String(MOMENTA[place]),
    onchange: (place) => change({ momentum: MOMENTA[place] }),
  });
  const controls = {
    method: choice({
      label: "Method",
      options: Object.entries(NAMES),
      value: settings.method,
      onchange: set("method"),
    }),
    temperature: slider({
      label: "temperature T",
      min: 0.01,
      max: 1,
      step: 0.01,
      value: settings.temperature,
      scale: "log",
      spoken: (t) => t.toFixed(t < 0.1 ? 3 : 2),
      onchange: set("temperature"),
    }),
    batch: powers("batch", "batch", 4, 7, "drawings"),
    queue: powers("queue", "queue", 7, 10, "keys"),
    momentum: { element: momentum.element, set: (value) => momentum.set(MOMENTA.indexOf(value)) },
    predictor: onOff("predictor", "predictor"),
    stopGradient: onOff("stopGradient", "stop-gradient"),
    crop: onOff("crop", "cut and shift"),
    flip: onOff("flip", "mirror"),
    colour: onOff("colour", "change colours"),
  };
  const uses = {
    temperature: () => settings.method !== "byol",
    queue: () => settings.method === "moco",
    momentum: () => settings.method !== "simclr",
  };
  const group = (label, ...members) =>
    h("fieldset", { class: "lab-choice" }, h("legend", {}, label), ...members.map((member) => member.element));
  const { method, crop, flip, colour, predictor, stopGradient, ...numbers } = controls;
  const disguise = group("Views", crop, flip, colour),
    parts = group("Parts", predictor, stopGradient);
  root.append(
    chipsOf("Pull and push", (preset) => preset.settings.method !== "byol"),
    chipsOf("Only pull", (preset) => preset.settings.method === "byol"),
    watch,
    h("div", { class: "lab-controls" }, play, one, again, other, speed),
    h(
      "div",
      { class: "play-panels" },
      h("div", { class: "play-left" }, sphere.element, key.element, as.element),
      h(
        "div",
        { class: "play-right" },
        h("p", { class: "play-title" }, "The batch: each column is one drawing, seen twice"),
        ...views,
        h("div", { class: "play-curves" }, ...curves.map((curve) => curve.element)),
      ),
    ),
    heard.element,
    h(
      "div",
      { class: "lab-controls play-settings" },
      method.element,
      disguise,
      parts,
      ...Object.values(numbers).map((control) => control.element),
    ),
    h(
      "details",
      { class: "play-words" },
      h("summary", {}, "What the words mean, and what is measured"),
      h("dl", {}, ...Object.entries(WORDS).flatMap(([word, meaning]) => [h("dt", {}, word), h("dd", {}, meaning)])),
    ),
  );
  function chipsOf(label, belongs) {
    return h(
      "div",
      { class: "play-chips", role: "group", "aria-label": label },
      h("span", {}, label),
      ...chips.filter((_, i) => belongs(PRESETS[i])),
    );
  }

  let engine = startEngine(hear);
  function hear(news) {
    if (!root.isConnected && playing) pause();
    if (news.drawings) sphere.dress(news.drawings);
    loss.level(news.chance, `guessing ${news.chance.toFixed(2)}`);
    news.losses.forEach((value, i) => loss.add(steps + 1 + i, value));
    for (const at of news.measured) {
      knn.add(at.step, at.knn);
      spread.add(at.step, at.spread);
      rank.add(at.step, at.rank);
    }
    steps = news.steps;
    pace = steps ? (1000 * steps) / news.milliseconds : 0;
    sphere.show(news.points, steps === 0);
    news.views.forEach((bytes, view) => thumbnails(bytes, PAIRS, views[view]));
    for (const curve of curves) curve.paint();
    speed.textContent = `seed ${settings.seed}${pace ? `, ${pace.toFixed(0)} steps a second` : ""}`;
    heard.say(sentence());
    nextFrame();
  }
  function nextFrame() {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      if (playing && !calm) sphere.turn(0.004, 0);
      key.paint();
      if (sphere.frame() || (playing && root.isConnected)) nextFrame();
    });
  }

  function go() {
    become(true);
    engine.order({ kind: "play" });
    nextFrame();
  }
  function pause() {
    become(false);
    engine.order({ kind: "pause" });
  }
  function become(now) {
    playing = now;
    play.textContent = now ? "❚❚ Pause" : "▶ Train";
    play.setAttribute("aria-pressed", now);
  }
  function restart() {
    steps = 0;
    for (const curve of curves) curve.clear();
    engine.order({ kind: "restart", settings });
    if (playing) engine.order({ kind: "play" });
  }
  function change(some) {
    Object.assign(settings, some);
    dress();
    if (ANEW.some((name) => name in some)) restart();
    else engine.order({ kind: "change", settings: some });
  }
  function apply(preset) {
    settings = { ...HEALTHY, ...preset.settings, seed: settings.seed };
    for (const [name, control] of Object.entries(controls)) control.set(settings[name]);
    dress();
    restart();
    go();
  }
  /** Which preset these settings are, what to watch in it, and the controls that its method has. */
  function dress() {
    const { seed, ...own } = settings;
    const at = PRESETS.findIndex((preset) =>
      Object.entries({ ...HEALTHY, ...preset.settings }).every(([name, value]) => own[name] === value),
    );
    chips.forEach((chip, i) => chip.setAttribute("aria-pressed", i === at));
    watch.textContent =
      at < 0 ? "Settings of your own: press Restart to see them from the first step." : PRESETS[at].watch;
    for (const [name, used] of Object.entries(uses)) controls[name].element.hidden = !used();
    parts.hidden = settings.method !== "byol";
  }
  function sentence() {
    const seen =
      spread.now < 0.1
        ? "all points lie at one place: collapse"
        : knn.now >= 0.8
          ? "points of one kind lie together"
          : "the kinds are not told apart yet";
    const now = steps ? ` Loss ${loss.now.toFixed(2)} (guessing ${loss.guess.toFixed(2)}).` : "";
    return (
      `${NAMES[settings.method]}, step ${steps.toLocaleString("en")}: ${seen}.${now} ` +
      `kNN accuracy ${knn.now.toFixed(2)} (guessing 0.25), spread ${spread.now.toFixed(2)} of 1, ` +
      `effective rank ${rank.now.toFixed(1)} of ${FEATURES}.`
    );
  }
  /** A picture shows a network that has learned a little: it is trained here and now, and can go on. */
  function pose() {
    engine.stop();
    const runner = new Runner(hear, 8);
    engine = {
      order: (order) => runner.receive(order),
      stop: () => {
        runner.playing = false;
      },
    };
    restart();
    engine.order({ kind: "advance", steps: data.posed });
  }
  dress();
  restart();
  return { alt: () => `Playground. ${heard.text}`, pose, stop: () => engine.stop() };
}

export default widget("Playground", lab);
