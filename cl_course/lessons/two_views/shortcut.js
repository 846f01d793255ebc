// The shortcut meter of cl_course/shortcut.py for labs in the page; images are those of augment.js.

const BINS = 8; // of a histogram, per channel

const meanColour = ({ data }) => {
  const n = data.length / 3;
  return [0, n, 2 * n].map((c) => data.subarray(c, c + n).reduce((sum, x) => sum + x, 0) / n);
};

/** Of each channel, the share of pixels in each of 8 equal bins, as its square root. */
function colourHistogram({ data }) {
  const n = data.length / 3, shares = new Float64Array(3 * BINS);
  data.forEach((x, i) => { shares[BINS * Math.floor(i / n) + Math.min(Math.floor(BINS * x), BINS - 1)] += 1 / n; });
  return shares.map(Math.sqrt);
}

const rawPixels = ({ data }) => data;

export const FEATURES = { "mean colour": meanColour, "colour histogram": colourHistogram, "raw pixels": rawPixels };

/** Which of `candidates` is nearest to a feature, by Euclidean distance. */
function nearest(feature, candidates) {
  let best = 0, least = Infinity;
  candidates.forEach((other, number) => {
    let distance = 0;
    for (let i = 0; i < feature.length; i++) distance += (feature[i] - other[i]) ** 2;
    if (distance < least) [best, least] = [number, distance];
  });
  return best;
}

/**
 * How often each feature alone finds an image's partner: feature -> share. Row i of both views is image i.
 * It yields after each small part of the work, so that a page can draw in between.
 */
export function* shortcutRates(view1, view2) {
  const rates = {};
  for (const [name, feature] of Object.entries(FEATURES)) {
    const [features1, features2] = [view1, view2].map((views) => views.map(feature));
    let found = 0;
    for (let i = 0; i < features1.length; i++) {
      if (nearest(features1[i], features2) === i) found += 1;
      yield;
    }
    rates[name] = found / features1.length;
  }
  return rates;
}
