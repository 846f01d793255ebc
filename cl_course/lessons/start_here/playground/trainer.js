// One training run: drawings, network, optimiser. It computes in a worker, or in slices on the page; see engine.js.
import { uniform } from "../../shared/js/kit.js";
import { twoViews } from "./augment.js";
import { CLASSES, draw } from "./drawings.js";
import { normalised } from "./losses.js";
import { effectiveRank, knnAccuracy, spread } from "./measures.js";
import { METHODS } from "./methods.js";
import { DIMENSIONS, FEATURES, SIDE } from "./network.js";
import { Adam } from "./optimizer.js";

export const TRAINING = 2000; // drawings without labels, to learn from
export const GALLERY = 240; // drawings with labels that vote in kNN; the network never learns from them
export const HELD_OUT = 240; // drawings on which all is measured
export const SHOWN = 120; // of them, on the sphere
export const PAIRS = 10; // of the batch, whose views are shown
const RATE = 3e-3; // of Adam

export class Trainer {
  /** settings: method, temperature, batch, queue, momentum, predictor, stopGradient, crop, flip, colour, seed. */
  constructor(settings) {
    const random = uniform(settings.seed);
    this.settings = { ...settings };
    this.random = random;
    this.training = draw(TRAINING, random).images;
    [this.gallery, this.heldOut] = [draw(GALLERY, random), draw(HELD_OUT, random)];
    this.method = new METHODS[settings.method](this.settings, random);
    this.optimizer = new Adam(this.method.weights, RATE);
    this.steps = 0;
    this.order = [];
  }

  /** One step on one batch; the loss. */
  step() {
    const n = this.settings.batch;
    this.views = twoViews(this.training, this.batch(n), this.settings, this.random, this.views);
    const loss = this.method.loss(this.views, n);
    this.optimizer.step();
    this.method.afterStep();
    this.steps++;
    return loss;
  }

  /** The numbers of the next n drawings; when all have been used, they are shuffled anew. */
  batch(n) {
    if (this.order.length < n) this.order = shuffled(TRAINING, this.random);
    return this.order.splice(0, n);
  }

  /** Other settings for the steps to come; method, queue, predictor and seed cannot change. */
  change(settings) {
    Object.assign(this.settings, settings);
    this.views = undefined;
    this.order = [];
  }

  /** The held-out drawings that are shown, as bytes (SHOWN, 3, SIDE, SIDE). */
  drawings() {
    return Uint8ClampedArray.from(this.heldOut.images.subarray(0, SHOWN * 3 * SIDE * SIDE), (value) => 255 * value);
  }

  /** What the page shows: z (SHOWN, 3) of length 1, the views of the last batch as bytes, and the loss of guessing. */
  look() {
    const { batch } = this.settings,
      size = 3 * SIDE * SIDE;
    const views = this.views ?? twoViews(this.training, [...Array(batch).keys()], this.settings, uniform(0));
    const shown = [0, batch].map((first) => views.subarray(first * size, (first + PAIRS) * size));
    const z = this.method.embed(this.heldOut.images.subarray(0, SHOWN * size), SHOWN);
    return {
      points: Float32Array.from(normalised(z).unit),
      views: shown.map((part) => Uint8ClampedArray.from(part, (value) => 255 * value)),
      chance: this.method.chance(batch),
    };
  }

  /** On the held-out drawings: kNN accuracy and spread of z, which the sphere shows, and effective rank of h. */
  measure() {
    const { encoder, projector } = this.method,
      { gallery, heldOut } = this;
    const known = Float64Array.from(this.method.embed(gallery.images, GALLERY));
    const h = encoder.forward(heldOut.images, HELD_OUT),
      z = projector.forward(h, HELD_OUT);
    return {
      knn: knnAccuracy(known, gallery.labels, z, heldOut.labels, DIMENSIONS),
      spread: spread(z, DIMENSIONS),
      rank: effectiveRank(h, FEATURES),
    };
  }
}

function shuffled(count, random) {
  const order = Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
}
