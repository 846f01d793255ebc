// Two views of every image: cut and shifted, mirrored, in other colours; each with random numbers of its own.
import { SIDE } from "./network.js";

const PIXELS = SIDE * SIDE,
  IMAGE = 3 * PIXELS;
const between = (random, least, most) => least + (most - least) * random();

/** Views (2n, 3, SIDE, SIDE) of the images whose numbers are `chosen`: view 1 of all, then view 2. */
export function twoViews(images, chosen, settings, random, views = new Float64Array(2 * chosen.length * IMAGE)) {
  for (let i = 0; i < 2 * chosen.length; i++) {
    const from = chosen[i % chosen.length] * IMAGE,
      view = views.subarray(i * IMAGE, (i + 1) * IMAGE);
    cut(view, images.subarray(from, from + IMAGE), settings, random);
    if (settings.colour) recolour(view, random);
  }
  return views;
}

/** A part of the image at full size, perhaps mirrored. Outside of the image, the colour of its edge goes on. */
function cut(view, image, settings, random) {
  const zoom = settings.crop ? between(random, 0.65, 1) : 1,
    room = settings.crop ? 1 - zoom + 0.1 : 0;
  const left = (between(random, -room, room) * SIDE) / 2,
    top = (between(random, -room, room) * SIDE) / 2;
  const mirrored = settings.flip && random() < 0.5,
    middle = (SIDE - 1) / 2;
  const clamp = (place) => Math.min(SIDE - 1, Math.max(0, place));
  for (let row = 0; row < SIDE; row++)
    for (let column = 0; column < SIDE; column++) {
      const x = clamp(middle + left + zoom * (mirrored ? middle - column : column - middle)),
        y = clamp(middle + top + zoom * (row - middle));
      const x0 = Math.floor(x),
        y0 = Math.floor(y),
        right = x0 + 1 < SIDE ? 1 : 0,
        below = y0 + 1 < SIDE ? SIDE : 0,
        u = x - x0,
        v = y - y0;
      for (let at = y0 * SIDE + x0, to = row * SIDE + column; to < IMAGE; at += PIXELS, to += PIXELS) {
        const upper = image[at] + u * (image[at + right] - image[at]);
        view[to] = upper + v * (image[at + below] + u * (image[at + below + right] - image[at + below]) - upper);
      }
    }
}

/** Turn all hues by one angle, change saturation (sometimes down to grey), contrast and brightness. */
function recolour(view, random) {
  const angle = 2 * Math.PI * random(),
    saturation = random() < 0.3 ? 0 : between(random, 0.4, 1.4);
  const contrast = between(random, 0.6, 1.4),
    brightness = between(random, -0.2, 0.2);
  // A turn about the grey axis of the colour cube: red, green and blue change places, and grey stays.
  const turned = [0, 1, 2].map((c) => (1 + 2 * Math.cos(angle - (2 * Math.PI * c) / 3)) / 3);
  for (let i = 0; i < PIXELS; i++) {
    const colour = [view[i], view[i + PIXELS], view[i + 2 * PIXELS]],
      grey = (colour[0] + colour[1] + colour[2]) / 3;
    for (let c = 0; c < 3; c++) {
      const hue = turned[0] * colour[c] + turned[1] * colour[(c + 1) % 3] + turned[2] * colour[(c + 2) % 3];
      const value = 0.5 + brightness + contrast * (grey + saturation * (hue - grey) - 0.5);
      view[i + c * PIXELS] = Math.min(1, Math.max(0, value));
    }
  }
}
