// The augmentations of cl_course/augment.py for labs in the page, operation by operation; a test compares the two.
// An image is { width, height, data }: its red, then its green, then its blue values in [0, 1], row by row, as a tensor
// (3, h, w) in Python. Every operation but `resizedCrop` writes over the image that it is given, and returns it.

const LUMA = [0.2989, 0.587, 0.114]; // weights of red, green and blue in grey
const HUES = [0, 1 / 3, 2 / 3]; // of red, green and blue, in turns of the circle
const NEVER = 2; // a threshold that no value reaches

const cut = (x) => (x < 0 ? 0 : x > 1 ? 1 : x);
// A place before or behind a line of `size` pixels, reflected at its first or last one.
const reflected = (i, size) => (i < 0 ? -i : i < size ? i : 2 * size - 2 - i);
const luma = (data, i, n) => LUMA[0] * data[i] + LUMA[1] * data[i + n] + LUMA[2] * data[i + 2 * n];

export function blank(width, height) {
  return { width, height, data: new Float32Array(3 * width * height) };
}

/** The box [top, left, height, width] in pixels, resized (bilinear) to the image's size, and mirrored: a new image. */
function resizedCrop(image, [top, left, height, width], flipped = false) {
  const out = blank(image.width, image.height), { data } = image, w = image.width, h = image.height, n = w * h;
  const columns = positions(left, width, w), rows = positions(top, height, h);
  if (flipped) columns.reverse();
  for (let y = 0; y < h; y++) {
    const { low, high, share } = rows[y], above = low * w, below = high * w;
    for (let x = 0; x < w; x++) {
      const column = columns[x], i = y * w + x;
      for (let c = 0; c < 3 * n; c += n) {
        const left = data[c + above + column.low], right = data[c + above + column.high];
        const under = data[c + below + column.low], corner = data[c + below + column.high];
        const upper = left + column.share * (right - left), lower = under + column.share * (corner - under);
        out.data[c + i] = upper + share * (lower - upper);
      }
    }
  }
  return out;
}

/** Where each of `size` outputs of a bilinear resize looks: between which two pixels, and how far along. */
function positions(start, length, size) {
  return Array.from({ length: size }, (_, i) => {
    const middle = start + ((i + 0.5) / size) * length - 0.5; // 0 is the centre of the first pixel
    // No farther out than the centres of the outermost pixels, so that no pixel outside the box is used.
    const at = Math.min(Math.max(middle, start), start + length - 1), low = Math.floor(at);
    return { low, high: Math.min(low + 1, start + length - 1), share: at - low };
  });
}

/** Multiply by `factor`: 0 is black, 1 leaves as is. */
function adjustBrightness(image, factor) {
  const { data } = image;
  if (factor !== 1) for (let i = 0; i < data.length; i++) data[i] = cut(factor * data[i]);
  return image;
}

/** Scale each value's distance from the image's mean grey by `factor`: 0 is flat. */
function adjustContrast(image, factor) {
  if (factor === 1) return image;
  const { data } = image, n = data.length / 3;
  let grey = 0;
  for (let i = 0; i < n; i++) grey += luma(data, i, n) / n;
  for (let i = 0; i < data.length; i++) data[i] = cut(grey + factor * (data[i] - grey));
  return image;
}

/** Scale each value's distance from its pixel's grey by `factor`: 0 is grey. */
function adjustSaturation(image, factor) {
  if (factor === 1) return image;
  const { data } = image, n = data.length / 3;
  for (let i = 0; i < n; i++) {
    const grey = luma(data, i, n);
    for (let c = i; c < data.length; c += n) data[c] = cut(grey + factor * (data[c] - grey));
  }
  return image;
}

/** Turn every pixel's hue by `shift` of the circle, in [-0.5, 0.5]; HSV's saturation and value stay. */
function adjustHue(image, shift) {
  if (shift === 0) return image;
  const { data } = image, n = data.length / 3;
  const turns = HUES.map((hue) => shift - hue + 2); // plus 2, so that what follows is positive
  for (let i = 0; i < n; i++) {
    const red = data[i], green = data[i + n], blue = data[i + 2 * n];
    const smallest = Math.min(red, Math.min(green, blue)), largest = Math.max(red, Math.max(green, blue));
    const chroma = Math.max(largest - smallest, 1e-7);
    const base = smallest - chroma; // a channel's value is this plus chroma times 1 (the smallest) to 2 (the largest)
    // 0 at red, 1 more with each sixth of the circle, to 3 at cyan; the sign of green - blue is the side.
    const sixths = Math.abs((green + blue - red - base) / chroma), fromRed = (green < blue ? -sixths : sixths) / 6;
    for (let c = 0; c < 3; c++) {
      const turned = turns[c] + fromRed, fromOpposite = Math.abs(turned - Math.floor(turned) - 0.5);
      // Back to RGB: a trapezoid of the hue's distance from the channel's opposite, half a turn from its own.
      data[i + c * n] = cut(base + 6 * chroma * Math.min(Math.max(fromOpposite, 1 / 6), 1 / 3));
    }
  }
  return image;
}

/** Replace the colours by their luma where `greyed`. */
function greyscale(image, greyed) {
  const { data } = image, n = data.length / 3;
  for (let i = 0; greyed && i < n; i++) data[i] = data[i + n] = data[i + 2 * n] = luma(data, i, n);
  return image;
}

/** Blur by a Gaussian of `sigma` pixels, along columns and then along rows; 0 leaves as is. */
function gaussianBlur(image, sigma) {
  if (sigma === 0) return image;
  const { width, height, data } = image, n = width * height;
  // The kernel spans a tenth of the height, and no more than the image can be reflected by at its edges.
  const radius = Math.min(Math.max(1, Math.floor(height / 20)), height - 1, width - 1);
  const bell = Array.from({ length: radius + 1 }, (_, t) => Math.exp(-0.5 * (t / Math.max(sigma, 1e-3)) ** 2));
  const total = 2 * bell.reduce((a, b) => a + b) - 1; // the centre counts once
  const weights = Float64Array.from(bell, (weight) => weight / total);
  const plane = new Float64Array(n), padded = new Float64Array(Math.max(width, height) + 2 * radius);

  function blurLine(start, size, stride) {
    for (let i = -radius; i < size + radius; i++) padded[i + radius] = plane[start + reflected(i, size) * stride];
    for (let i = 0; i < size; i++) {
      let sum = weights[0] * padded[i + radius];
      for (let t = 1; t <= radius; t++) sum += weights[t] * (padded[i + radius - t] + padded[i + radius + t]);
      plane[start + i * stride] = sum;
    }
  }
  for (let c = 0; c < 3 * n; c += n) {
    plane.set(data.subarray(c, c + n));
    for (let x = 0; x < width; x++) blurLine(x, height, width);
    for (let y = 0; y < height; y++) blurLine(y * width, width, 1);
    for (let i = 0; i < n; i++) data[c + i] = cut(plane[i]);
  }
  return image;
}

/** Invert every value that is at or above `threshold`; above 1 leaves as is. */
export function solarize(image, threshold) {
  const { data } = image, least = Math.fround(threshold); // as exact as the values: what is at the threshold turns
  if (threshold <= 1) for (let i = 0; i < data.length; i++) if (data[i] >= least) data[i] = 1 - data[i];
  return image;
}

/** The operations in SimCLR's order: each takes the image so far and the parameters. The first makes a new image. */
export const STEPS = {
  crop: (image, p) => resizedCrop(image, p.box, p.flipped),
  brightness: (image, p) => adjustBrightness(image, p.brightness),
  contrast: (image, p) => adjustContrast(image, p.contrast),
  saturation: (image, p) => adjustSaturation(image, p.saturation),
  hue: (image, p) => adjustHue(image, p.hue),
  grey: (image, p) => greyscale(image, p.greyed),
  blur: (image, p) => gaussianBlur(image, p.sigma),
  solarize: (image, p) => solarize(image, p.threshold),
};

/** A view of the image under given parameters; the image is left untouched. */
export function augment(image, parameters) {
  return Object.values(STEPS).reduce((view, step) => step(view, parameters), image);
}

/** Parameters that change nothing. */
export function neutral({ width, height }) {
  const jitter = { brightness: 1, contrast: 1, saturation: 1, hue: 0 };
  return { box: [0, 0, height, width], flipped: false, ...jitter, greyed: false, sigma: 0, threshold: NEVER };
}

export const DRAWN = 14; // random numbers that a view takes

/** The parameters of one view: `u` holds DRAWN random numbers from 0 to 1, `config` an AugmentConfig's fields. */
export function drawParameters(u, { width, height }, config) {
  const within = (place, low, high) => low + u[place] * (high - low);
  const jittered = u[1] < config.jitter;
  const factor = (place, s) => (jittered ? within(place, Math.max(0, 1 - s), 1 + s) : 1);
  return {
    box: drawBox(u.slice(5, 9), width, height, config),
    flipped: u[0] < config.flip,
    brightness: factor(9, config.brightness),
    contrast: factor(10, config.contrast),
    saturation: factor(11, config.saturation),
    hue: jittered ? within(12, -config.hue, config.hue) : 0,
    greyed: u[2] < config.grey,
    sigma: u[3] < config.blur ? within(13, ...config.blur_sigma) : 0,
    threshold: u[4] < config.solarize ? 0.5 : NEVER,
  };
}

function drawBox(u, width, height, { crop, ratio }) {
  const area = (crop[0] + (crop[1] - crop[0]) * u[0]) * width * height;
  // A crop must fit: its ratio is drawn from the wanted range, cut to what the area leaves room for.
  const [low, high] = ratio.map((r) =>
    Math.log(Math.min(Math.max((r * width) / height, area / height ** 2), width ** 2 / area)));
  const drawn = Math.exp(low + u[1] * (high - low));
  const side = (length, most) => Math.min(Math.max(Math.round(length), 1), most);
  const tall = side(Math.sqrt(area / drawn), height), wide = side(Math.sqrt(area * drawn), width);
  return [Math.floor(u[2] * (height + 1 - tall)), Math.floor(u[3] * (width + 1 - wide)), tall, wide];
}
