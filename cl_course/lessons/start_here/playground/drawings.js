// What the network sees: small drawings of four classes. Two colours, place and size change at random.
import { SIDE } from "./network.js";

export const CLASSES = ["disc", "cross", "ring", "bar"];

/** Distance from a shape's edge, below 0 inside; x and y in units of its size. */
const OUTLINES = [
  (x, y) => Math.hypot(x, y) - 0.9,
  (x, y) => Math.min(Math.max(Math.abs(x) - 0.95, Math.abs(y) - 0.3), Math.max(Math.abs(y) - 0.95, Math.abs(x) - 0.3)),
  (x, y) => Math.abs(Math.hypot(x, y) - 0.72) - 0.22,
  (x, y) => Math.max(Math.abs(x) - 0.95, Math.abs(y) - 0.34),
];

/** `count` drawings, classes in turn: { images (count, 3, SIDE, SIDE) in [0, 1], labels }. */
export function draw(count, random) {
  const images = new Float64Array(count * 3 * SIDE * SIDE),
    labels = Uint8Array.from({ length: count }, (_, i) => i % CLASSES.length);
  for (let i = 0; i < count; i++) drawOne(images.subarray(i * 3 * SIDE * SIDE), OUTLINES[labels[i]], random);
  return { images, labels };
}

function drawOne(image, outline, random) {
  const between = (least, most) => least + (most - least) * random();
  const hue = random(),
    object = rgb(hue, between(0.5, 1), between(0.6, 1));
  const ground = rgb(hue + between(0.2, 0.8), between(0.5, 1), between(0.25, 0.6));
  const size = between(0.55, 0.8),
    left = between(-0.2, 0.2),
    top = between(-0.2, 0.2),
    pixel = 2 / SIDE;
  for (let row = 0; row < SIDE; row++)
    for (let column = 0; column < SIDE; column++) {
      const x = ((column + 0.5) * pixel - 1 - left) / size,
        y = ((row + 0.5) * pixel - 1 - top) / size;
      const inside = Math.min(1, Math.max(0, 0.5 - (outline(x, y) * size) / pixel)); // a soft edge, one pixel wide
      for (let c = 0; c < 3; c++)
        image[(c * SIDE + row) * SIDE + column] = ground[c] + inside * (object[c] - ground[c]);
    }
}

/** Hue in turns, saturation and value in [0, 1] -> red, green, blue in [0, 1]. */
function rgb(hue, saturation, value) {
  return [5, 3, 1].map((shift) => {
    const k = (shift + 6 * hue) % 6;
    return value * (1 - saturation * Math.max(0, Math.min(k, 4 - k, 1)));
  });
}
