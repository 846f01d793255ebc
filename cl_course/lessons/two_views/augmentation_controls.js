// The controls of the augmentation lab: the strengths of a recipe, and the parameters of one view; each in words, too.
import { h, slider, toggle } from "../shared/js/kit.js";

export const percent = (x) => `${Math.round(100 * x)}%`;
const signed = (x) => `${x < 0 ? "−" : "+"}${Math.abs(x).toFixed(2)}`;
const times = (x) => `× ${x.toFixed(2)}`;
const chance = { max: 1, spoken: (x) => `in ${percent(x)}` }, factor = { max: 2, spoken: times };
const strength = { max: 1, spoken: (x) => `± ${x.toFixed(2)}` };
const crop = { min: 0.03, max: 1, spoken: percent };

// group -> field of AugmentConfig -> its slider; the field `crop` has two.
export const RECIPE = {
  "Crop (share of the area), flip": {
    smallest: ["smallest crop", crop], largest: ["largest crop", crop], flip: ["flip", chance],
  },
  "Colour jitter": {
    jitter: ["jitter", chance], brightness: ["brightness", strength], contrast: ["contrast", strength],
    saturation: ["saturation", strength], hue: ["hue, in turns", { ...strength, max: 0.5 }],
  },
  "Then": { grey: ["grey", chance], blur: ["blur", chance], solarize: ["solarize", chance] },
};
// group -> parameter -> its slider, or the name of an on and off.
export const EXACT = {
  "Crop and flip": { flipped: "mirrored" },
  "Colour jitter": {
    brightness: ["brightness", factor], contrast: ["contrast", factor], saturation: ["saturation", factor],
    hue: ["hue, in turns", { min: -0.5, max: 0.5, spoken: signed }],
  },
  "Then": {
    greyed: "grey", sigma: ["blur, sigma", { max: 4, step: 0.1, spoken: (x) => `${x.toFixed(1)} px` }],
    threshold: ["solarize", { max: 1.01, spoken: (x) => (x > 1 ? "never" : `from ${x.toFixed(2)}`) }],
  },
};

/** The sliders of RECIPE or EXACT: { controls: name -> control, element }. */
export function controlGroups(groups, onchange) {
  const controls = {};
  const made = Object.entries(groups).map(([legend, fields]) => {
    for (const [name, kind] of Object.entries(fields)) {
      controls[name] = typeof kind === "string"
        ? toggle({ label: kind, onchange })
        : slider({ label: kind[0], min: 0, step: 0.01, value: 0, onchange, ...kind[1] });
    }
    const elements = Object.keys(fields).map((name) => controls[name].element);
    return h("fieldset", { class: "aug-group" }, h("legend", {}, legend), ...elements);
  });
  return { controls, element: h("div", { class: "aug-mode aug-groups" }, ...made) };
}

export const values = (controls) => Object.fromEntries(Object.entries(controls).map(([name, c]) => [name, c.value]));

const cropShare = ({ box }, { width, height }) => percent((box[2] * box[3]) / (width * height));

/** The parameters of a view of `image` in words. */
export function inWords(p, image) {
  const factors = ["brightness", "contrast", "saturation"].filter((name) => p[name] !== 1);
  return [
    `crop of ${cropShare(p, image)} of the area`,
    p.flipped ? "mirrored" : "",
    ...factors.map((name) => `${name} ${times(p[name])}`),
    p.hue ? `hue ${signed(p.hue)} turns` : "",
    p.greyed ? "grey" : "",
    p.sigma ? `blurred with sigma ${p.sigma.toFixed(1)} px` : "",
    p.threshold <= 1 ? `solarized from ${p.threshold.toFixed(2)}` : "",
  ].filter(Boolean).join(", ");
}

/** One of augment.js's steps in a few words, and whether it leaves the image as it is. */
export function stepInWords(step, p, image) {
  const whole = p.box[2] === image.height && p.box[3] === image.width;
  return {
    crop: [`crop ${cropShare(p, image)}${p.flipped ? ", mirrored" : ""}`, whole && !p.flipped],
    brightness: [`brightness ${times(p.brightness)}`, p.brightness === 1],
    contrast: [`contrast ${times(p.contrast)}`, p.contrast === 1],
    saturation: [`saturation ${times(p.saturation)}`, p.saturation === 1],
    hue: [`hue ${signed(p.hue)} turns`, p.hue === 0],
    grey: [`grey: ${p.greyed ? "yes" : "no"}`, !p.greyed],
    blur: [`blur ${p.sigma.toFixed(1)} px`, p.sigma === 0],
    solarize: [`solarize: ${p.threshold > 1 ? "never" : `from ${p.threshold.toFixed(2)}`}`, p.threshold > 1],
  }[step];
}

/** A recipe as a line of Python: what differs from the default. */
export function asCode(config, defaults) {
  const number = (x) => String(Number(x.toFixed(4)));
  const written = (x) => (Array.isArray(x) ? `(${x.map(number).join(", ")})` : number(x));
  const fields = Object.entries(config).filter(([name, x]) => written(x) !== written(defaults[name]));
  return `AugmentConfig(${fields.map(([name, x]) => `${name}=${written(x)}`).join(", ")})`;
}
