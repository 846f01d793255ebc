// The pictures of the augmentation lab, and the cards of its meter, as images of augment.js.
import { h } from "../shared/js/kit.js";
import { blank } from "./augment.js";

/** A part [left, top, width, height] of pixels (RGBA bytes) as an image; a value is the mean of times x times bytes. */
function shrunk({ data, width }, [left, top, wide, tall], times = 1) {
  const image = blank(Math.floor(wide / times), Math.floor(tall / times)), n = image.width * image.height;
  for (let y = 0; y < image.height * times; y++) {
    for (let x = 0; x < image.width * times; x++) {
      const to = Math.floor(y / times) * image.width + Math.floor(x / times), from = 4 * ((top + y) * width + left + x);
      for (let c = 0; c < 3; c++) image.data[to + c * n] += data[from + c] / (255 * times * times);
    }
  }
  return image;
}

/** The bytes of a picture whose address holds it. */
async function decoded(src, name) {
  const picture = new Image();
  picture.src = src;
  await picture.decode().catch(() => {
    throw new Error(`"${name}" is no picture that this browser can read; run the cell again.`);
  });
  const canvas = h("canvas", { width: picture.naturalWidth, height: picture.naturalHeight });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(picture, 0, 0);
  return context.getImageData(0, 0, canvas.width, canvas.height);
}

/** From what lab_augmentation.py hands in: { shelf: [{ name, src, drawn, image }], cards: [image] }. */
export async function readPictures({ pictures, cards }) {
  const shelf = await Promise.all(pictures.map(async ({ name, src, times, drawn }) => {
    const found = await decoded(src, name);
    return { name, src, drawn, image: shrunk(found, [0, 0, found.width, found.height], times) };
  }));
  const sprite = await decoded(cards.src, "cards of the meter"), { count, columns, width, height } = cards;
  const place = (i) => [(i % columns) * width, Math.floor(i / columns) * height, width, height];
  return { shelf, cards: Array.from({ length: count }, (_, i) => shrunk(sprite, place(i))) };
}
