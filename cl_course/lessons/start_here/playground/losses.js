// The losses of cl_course/losses.py, each with its gradient. Embeddings are rows of DIMENSIONS numbers, of any length:
// only directions count. Each returns { loss, ... }: the mean over the batch, and the gradients by its inputs.
import { DIMENSIONS } from "./network.js";

const D = DIMENSIONS;
const LEAST = 1e-12; // a length below this counts as this, as in torch's F.normalize

/** Every row divided by its length: { unit, length }. */
export function normalised(z) {
  const unit = new Float64Array(z.length),
    length = new Float64Array(z.length / D);
  for (let i = 0; i < length.length; i++) {
    length[i] = Math.max(LEAST, Math.hypot(...z.subarray(i * D, i * D + D)));
    for (let j = i * D; j < i * D + D; j++) unit[j] = z[j] / length[i];
  }
  return { unit, length };
}

/** The gradient by z from that by its unit vectors: only what is at right angles to z moves its direction. */
function throughLength(dunit, { unit, length }) {
  const dz = new Float64Array(dunit.length);
  for (let i = 0; i < length.length; i++) {
    const along = dot(dunit, i, unit, i);
    for (let j = i * D; j < i * D + D; j++) dz[j] = (dunit[j] - along * unit[j]) / length[i];
  }
  return dz;
}

function dot(a, i, b, j) {
  let sum = 0;
  for (let k = 0; k < D; k++) sum += a[i * D + k] * b[j * D + k];
  return sum;
}

function addScaled(a, i, b, j, factor) {
  for (let k = 0; k < D; k++) a[i * D + k] += factor * b[j * D + k];
}

/** Cross-entropy of one row of logits with the answer `right`; the logits become its gradient, softmax minus answer. */
function crossEntropy(logits, right) {
  let top = -Infinity,
    sum = 0;
  for (const logit of logits) top = Math.max(top, logit);
  const own = logits[right];
  for (let j = 0; j < logits.length; j++) sum += logits[j] = Math.exp(logits[j] - top);
  for (let j = 0; j < logits.length; j++) logits[j] /= sum;
  logits[right] -= 1;
  return Math.log(sum) + top - own;
}

/** NT-Xent (SimCLR, eq. 1) of z (2n, D), where rows i and i + n are the two views of image i: { loss, dz }. */
export function ntXent(z, temperature) {
  const views = z.length / D,
    z1 = normalised(z),
    { unit } = z1,
    dunit = new Float64Array(z.length);
  const logits = new Float64Array(views);
  let loss = 0;
  for (let i = 0; i < views; i++) {
    for (let j = 0; j < views; j++) logits[j] = j === i ? -Infinity : dot(unit, i, unit, j) / temperature;
    loss += crossEntropy(logits, (i + views / 2) % views) / views;
    for (let j = 0; j < views; j++) {
      const pull = logits[j] / temperature / views;
      addScaled(dunit, i, unit, j, pull);
      addScaled(dunit, j, unit, i, pull);
    }
  }
  return { loss, dz: throughLength(dunit, z1) };
}

/** InfoNCE (MoCo, eq. 1) of queries q and their keys k (n, D), among the negatives of a queue (m, D): { loss, dq }. */
export function infoNce(q, k, negatives, temperature) {
  const n = q.length / D,
    m = negatives.length / D,
    query = normalised(q),
    dunit = new Float64Array(q.length);
  const key = normalised(k).unit,
    queue = normalised(negatives).unit,
    logits = new Float64Array(1 + m);
  let loss = 0;
  for (let i = 0; i < n; i++) {
    logits[0] = dot(query.unit, i, key, i) / temperature;
    for (let j = 0; j < m; j++) logits[1 + j] = dot(query.unit, i, queue, j) / temperature;
    loss += crossEntropy(logits, 0) / n;
    addScaled(dunit, i, key, i, logits[0] / temperature / n);
    for (let j = 0; j < m; j++) addScaled(dunit, i, queue, j, logits[1 + j] / temperature / n);
  }
  return { loss, dq: throughLength(dunit, query) };
}

/** BYOL's loss (eq. 2), the mean of 2 - 2 s(p, z) over rows p and z (n, D): { loss, dp, dz }. */
export function byolLoss(p, z) {
  const n = p.length / D,
    prediction = normalised(p),
    target = normalised(z);
  const scaled = (unit) => unit.map((value) => (-2 * value) / n);
  let loss = 2;
  for (let i = 0; i < n; i++) loss -= (2 * dot(prediction.unit, i, target.unit, i)) / n;
  return {
    loss,
    dp: throughLength(scaled(target.unit), prediction),
    dz: throughLength(scaled(prediction.unit), target),
  };
}
