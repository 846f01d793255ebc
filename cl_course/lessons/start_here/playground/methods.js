// SimCLR, MoCo and BYOL, as in cl_course/methods/. A method has an encoder and a projector, learns `weights`, and has
// two verbs: loss(views, n) gives the loss of 2n views (view 1 of all n images, then view 2) and fills all gradients;
// afterStep() is what follows the optimiser's step. `chance(n)` is the loss of guessing.
import { byolLoss, infoNce, normalised, ntXent } from "./losses.js";
import { DIMENSIONS, FEATURES, makeEncoder, makeHead, Sequential } from "./network.js";
import { drift } from "./optimizer.js";

const D = DIMENSIONS;

class Method {
  constructor(settings, random) {
    this.settings = settings;
    this.encoder = makeEncoder(random);
    this.projector = makeHead(FEATURES, D, random);
    this.weights = [...this.encoder.weights, ...this.projector.weights];
  }

  /** z (n, D) of n images. */
  embed(images, n) {
    return this.projector.forward(this.encoder.forward(images, n), n);
  }

  backward(dz, n) {
    this.encoder.backward(this.projector.backward(dz, n), n);
  }

  afterStep() {}
}

/** A second network of the same shape that starts as a copy and is never trained. */
class SlowCopy extends Method {
  constructor(method) {
    super({}, () => 0);
    this.follow(method, 0);
  }

  follow(method, momentum) {
    drift(this.encoder, method.encoder, momentum);
    drift(this.projector, method.projector, momentum);
  }
}

/** Chen et al. 2020, arXiv:2002.05709, algorithm 1: all other views of the batch are negatives. */
export class SimCLR extends Method {
  loss(views, n) {
    const { loss, dz } = ntXent(this.embed(views, 2 * n), this.settings.temperature);
    this.backward(dz, 2 * n);
    return loss;
  }

  chance(n) {
    return Math.log(2 * n - 1);
  }
}

/** He et al. 2020, arXiv:1911.05722, algorithm 1: negatives are earlier keys of a slow copy, kept in a queue. */
export class MoCo extends Method {
  constructor(settings, random) {
    super(settings, random);
    this.slow = new SlowCopy(this);
    const directions = Float64Array.from({ length: settings.queue * D }, () => normal(random));
    this.queue = normalised(directions).unit; // random directions, until keys have replaced them
    this.oldest = 0; // where the next key goes
  }

  loss(views, n) {
    const half = views.length / 2;
    const q = this.embed(views.subarray(0, half), n),
      k = this.slow.embed(views.subarray(half), n);
    this.keys = normalised(k).unit;
    const { loss, dq } = infoNce(q, this.keys, this.queue, this.settings.temperature);
    this.backward(dq, n);
    return loss;
  }

  afterStep() {
    this.slow.follow(this, this.settings.momentum);
    for (const number of this.keys) {
      this.queue[this.oldest] = number;
      this.oldest = (this.oldest + 1) % this.queue.length;
    }
  }

  chance() {
    return Math.log(1 + this.queue.length / D);
  }
}

/** A normal random number (Box & Muller 1958). */
function normal(random) {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}

/** Grill et al. 2020, arXiv:2006.07733: no negatives; predict what a slow copy makes of the other view. */
export class BYOL extends Method {
  constructor(settings, random) {
    super(settings, random);
    this.slow = new SlowCopy(this);
    this.predictor = settings.predictor ? makeHead(D, D, random) : new Sequential();
    this.weights.push(...this.predictor.weights);
  }

  loss(views, n) {
    const { stopGradient } = this.settings,
      half = n * D;
    const z = this.embed(views, 2 * n),
      p = this.predictor.forward(z, 2 * n);
    // Without stop-gradient the targets are the online network's own z, and the gradient flows into them.
    const target = stopGradient ? this.slow.embed(views, 2 * n) : z;
    const one = byolLoss(p.subarray(0, half), target.subarray(half)),
      two = byolLoss(p.subarray(half), target.subarray(0, half));
    const dz = this.predictor.backward(Float64Array.of(...one.dp, ...two.dp), 2 * n);
    if (!stopGradient)
      [...two.dz, ...one.dz].forEach((number, i) => {
        dz[i] += number;
      });
    this.backward(dz, 2 * n);
    return one.loss + two.loss;
  }

  afterStep() {
    this.slow.follow(this, this.settings.momentum);
  }

  chance() {
    return 4;
  }
}

export const METHODS = { simclr: SimCLR, moco: MoCo, byol: BYOL };
