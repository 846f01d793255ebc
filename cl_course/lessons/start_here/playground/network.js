// A small network with its gradients written by hand. A batch of n rows of d numbers is one Float64Array, row by row.
// Every layer has forward(x, n) -> y and backward(dy, n) -> dx, which is that of the last forward and fills gradients.
// `weights` lists what is learned, each { name, value, gradient }.
import { matrix, multiply, transposed } from "./matmul.js";

function learned(name, value) {
  return { name, value, gradient: new Float64Array(value.length) };
}

/** Weights even in +-1 / sqrt(inputs), as torch starts Linear and Conv2d. */
function drawn(length, inputs, random) {
  const bound = 1 / Math.sqrt(inputs);
  return Float64Array.from({ length }, () => (2 * random() - 1) * bound);
}

/** The layer's array called `name`, made anew only when the batch has another size. */
function room(layer, name, length) {
  if (layer[name]?.length !== length) layer[name] = new Float64Array(length);
  return layer[name];
}

/** y = x W^T + b, W (outputs, inputs). */
export class Linear {
  constructor(inputs, outputs, random, { bias = true } = {}) {
    Object.assign(this, { inputs, outputs });
    this.weight = learned("weight", drawn(inputs * outputs, inputs, random));
    this.bias = bias ? learned("bias", drawn(outputs, inputs, random)) : null;
    this.weights = bias ? [this.weight, this.bias] : [this.weight];
  }

  forward(x, n) {
    const { inputs, outputs } = this,
      y = room(this, "y", n * outputs);
    for (let i = 0; i < y.length; i++) y[i] = this.bias ? this.bias.value[i % outputs] : 0;
    this.x = x;
    multiply(
      matrix(y, outputs),
      matrix(x, inputs),
      transposed(matrix(this.weight.value, inputs)),
      n,
      inputs,
      outputs,
      true,
    );
    return y;
  }

  backward(dy, n) {
    const { inputs, outputs } = this,
      dx = room(this, "dx", n * inputs),
      given = matrix(dy, outputs);
    multiply(matrix(this.weight.gradient, inputs), transposed(given), matrix(this.x, inputs), outputs, n, inputs);
    if (this.bias) sumRows(this.bias.gradient, dy);
    multiply(matrix(dx, inputs), given, matrix(this.weight.value, inputs), n, outputs, inputs);
    return dx;
  }
}

function sumRows(sum, rows) {
  sum.fill(0);
  for (let i = 0; i < rows.length; i++) sum[i % sum.length] += rows[i];
}

/** Convolution of stride 2 that halves the side: (n, channels, side, side) -> (n, outputs, side / 2, side / 2). */
export class Conv {
  /** isFirst: nobody asks for the gradient of its input, the images. */
  constructor(channels, outputs, kernel, side, random, { isFirst = false } = {}) {
    const patch = channels * kernel * kernel;
    Object.assign(this, { outputs, patch, isFirst, image: channels * side * side, places: (side / 2) ** 2 });
    this.weight = learned("weight", drawn(outputs * patch, patch, random));
    this.bias = learned("bias", drawn(outputs, patch, random));
    this.weights = [this.weight, this.bias];
    this.source = sources(channels, kernel, side);
    this.patches = new Float64Array(patch * this.places);
    this.dpatches = new Float64Array(patch * this.places);
  }

  /** The patches of one image as a matrix (patch, places): one column is what the kernel sees at one place. */
  unfold(image) {
    const { patches, source, x } = this,
      at = image * this.image;
    for (let i = 0; i < source.length; i++) patches[i] = source[i] < 0 ? 0 : x[at + source[i]];
    return matrix(patches, this.places);
  }

  forward(x, n) {
    const { outputs, places, patch } = this,
      y = room(this, "y", n * outputs * places),
      kernels = matrix(this.weight.value, patch);
    this.x = x;
    for (let i = 0; i < y.length; i++) y[i] = this.bias.value[Math.floor(i / places) % outputs];
    for (let i = 0; i < n; i++)
      multiply(matrix(y, places, i * outputs * places), kernels, this.unfold(i), outputs, patch, places, true);
    return y;
  }

  backward(dy, n) {
    const { outputs, places, patch, source, dpatches } = this,
      kernels = transposed(matrix(this.weight.value, patch));
    const dx = this.isFirst ? null : room(this, "dx", n * this.image).fill(0);
    this.weight.gradient.fill(0);
    this.bias.gradient.fill(0);
    for (let i = 0; i < dy.length; i++) this.bias.gradient[Math.floor(i / places) % outputs] += dy[i];
    for (let i = 0; i < n; i++) {
      const given = matrix(dy, places, i * outputs * places);
      multiply(matrix(this.weight.gradient, patch), given, transposed(this.unfold(i)), outputs, places, patch, true);
      if (this.isFirst) continue;
      multiply(matrix(dpatches, places), kernels, given, patch, outputs, places);
      for (let k = 0; k < source.length; k++) if (source[k] >= 0) dx[i * this.image + source[k]] += dpatches[k];
    }
    return dx;
  }
}

/** Where in an image each number of its patches lies; -1 outside, where there is 0. */
function sources(channels, kernel, side) {
  const found = [],
    edge = (kernel - 1) / 2,
    inside = (place) => place >= 0 && place < side;
  for (let channel = 0; channel < channels; channel++)
    for (let dy = -edge; dy <= edge; dy++)
      for (let dx = -edge; dx <= edge; dx++)
        for (let y = dy; y < side + dy; y += 2)
          for (let x = dx; x < side + dx; x += 2)
            found.push(inside(x) && inside(y) ? (channel * side + y) * side + x : -1);
  return Int32Array.from(found);
}

export class Relu {
  weights = [];

  forward(x) {
    const y = room(this, "y", x.length);
    for (let i = 0; i < x.length; i++) y[i] = x[i] > 0 ? x[i] : 0;
    return y;
  }

  backward(dy) {
    const dx = room(this, "dx", dy.length);
    for (let i = 0; i < dy.length; i++) dx[i] = this.y[i] > 0 ? dy[i] : 0;
    return dx;
  }
}

/** BatchNorm1d in training mode: every column gets mean 0 and variance 1 over the batch, then a scale and a shift. */
export class BatchNorm {
  constructor(width) {
    this.scale = learned("weight", new Float64Array(width).fill(1));
    this.shift = learned("bias", new Float64Array(width));
    this.weights = [this.scale, this.shift];
    this.deviation = new Float64Array(width);
  }

  forward(x, n) {
    const width = this.deviation.length,
      y = room(this, "y", x.length),
      unit = room(this, "unit", x.length);
    for (let j = 0; j < width; j++) {
      let mean = 0,
        variance = 0;
      for (let i = j; i < x.length; i += width) mean += x[i] / n;
      for (let i = j; i < x.length; i += width) variance += (x[i] - mean) ** 2 / n;
      this.deviation[j] = Math.sqrt(variance + 1e-5);
      for (let i = j; i < x.length; i += width) {
        unit[i] = (x[i] - mean) / this.deviation[j];
        y[i] = unit[i] * this.scale.value[j] + this.shift.value[j];
      }
    }
    return y;
  }

  backward(dy, n) {
    const width = this.deviation.length,
      dx = room(this, "dx", dy.length),
      unit = this.unit;
    for (let j = 0; j < width; j++) {
      let sum = 0,
        along = 0;
      for (let i = j; i < dy.length; i += width) {
        sum += dy[i];
        along += dy[i] * unit[i];
      }
      this.shift.gradient[j] = sum;
      this.scale.gradient[j] = along;
      const factor = this.scale.value[j] / this.deviation[j];
      for (let i = j; i < dy.length; i += width) dx[i] = factor * (dy[i] - (sum + unit[i] * along) / n);
    }
    return dx;
  }
}

/** Layers in a row; without any, it hands on what it gets. */
export class Sequential {
  constructor(...layers) {
    this.layers = layers;
    this.weights = layers.flatMap((layer, i) => layer.weights.map((w) => Object.assign(w, { name: `${i}.${w.name}` })));
  }

  forward(x, n) {
    return this.layers.reduce((value, layer) => layer.forward(value, n), x);
  }

  backward(dy, n) {
    return this.layers.reduceRight((gradient, layer) => layer.backward(gradient, n), dy);
  }
}

export const SIDE = 16; // pixels
export const FEATURES = 32; // numbers in h
export const DIMENSIONS = 3; // numbers in z: a place on a sphere that can be drawn

/** Images (n, 3, 16, 16) -> features h (n, 32). */
export function makeEncoder(random) {
  const first = new Conv(3, 8, 5, SIDE, random, { isFirst: true }),
    second = new Conv(8, 16, 3, SIDE / 2, random);
  return new Sequential(first, new Relu(), second, new Relu(), new Linear(SIDE * SIDE, FEATURES, random), new Relu());
}

/** The head, as `cl_course.models.projector`: linear, BatchNorm, ReLU, linear. */
export function makeHead(inputs, outputs, random) {
  const hidden = new Linear(inputs, FEATURES, random, { bias: false });
  return new Sequential(hidden, new BatchNorm(FEATURES), new Relu(), new Linear(FEATURES, outputs, random));
}
