// Small drawings on canvases.
import { h } from "../../shared/js/kit.js";
import { SIDE } from "./network.js";

/** A canvas of width x height units, as sharp as the screen, that shrinks with the page. */
export function onCanvas(width, height) {
  const sharp = Math.max(1, Math.min(3, window.devicePixelRatio || 1));
  const canvas = h("canvas", { width: width * sharp, height: height * sharp, style: `width: ${width}px` });
  const pen = canvas.getContext("2d");
  pen.scale(sharp, sharp);
  return { canvas, pen };
}

/** Images (count, 3, SIDE, SIDE) as bytes, side by side on one canvas of SIDE pixels in height. */
export function thumbnails(bytes, count, canvas = h("canvas", { width: count * SIDE, height: SIDE })) {
  const pixels = new ImageData(count * SIDE, SIDE),
    area = SIDE * SIDE;
  for (let i = 0; i < count; i++)
    for (let p = 0; p < area; p++) {
      const to = 4 * (Math.floor(p / SIDE) * count * SIDE + i * SIDE + (p % SIDE));
      for (let c = 0; c < 3; c++) pixels.data[to + c] = bytes[(3 * i + c) * area + p];
      pixels.data[to + 3] = 255;
    }
  canvas.getContext("2d").putImageData(pixels, 0, 0);
  return canvas;
}
