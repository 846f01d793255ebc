// Products of matrices, where nearly all of the time goes. A matrix is a window on an array: element (row, column) lies
// at `at + row * down + column * across`.
//
// Why not TensorFlow.js 4.22: a step of 128 views through two convolutions (12 and 24 channels), SimCLR and Adam, in
// headless Chromium on one core of a busy machine, in turns, three windows of 5 seconds each: 4.2 steps a second in its
// WebAssembly backend (which has no gradient of conv2d, so that conv3d stood in), 10.9 with the loops below. By itself
// the first made 11.7, and 3.2 in WebGL, drawn in software. It is 1.3 MB of code, and a notebook must stay below 1 MB.
// Float64Array, since V8 computes in float64: numbers in float32 are converted at each use, which was a third slower.

/** The matrix whose rows of `columns` numbers lie one after the other in `data`, from place `at` on. */
export const matrix = (data, columns, at = 0) => ({ data, at, down: columns, across: 1 });

export const transposed = (m) => ({ data: m.data, at: m.at, down: m.across, across: m.down });

/** out (rows, columns) = a (rows, inner) times b (inner, columns), or `add`ed to what stands in out. */
export function multiply(out, a, b, rows, inner, columns, add = false) {
  const x = a.data,
    down = a.down,
    right = a.across,
    y = b.data,
    below = b.down,
    beside = b.across;
  const whole = rows - (rows % 4),
    pairs = columns - (columns % 2);
  if (!add) clear(out, rows, columns);
  for (let i = 0; i < whole; i += 4) {
    for (let j = 0; j < pairs; j += 2) {
      let s00 = 0,
        s01 = 0,
        s10 = 0,
        s11 = 0,
        s20 = 0,
        s21 = 0,
        s30 = 0,
        s31 = 0;
      let p = a.at + i * down,
        q = b.at + j * beside;
      for (let k = 0; k < inner; k++, p += right, q += below) {
        const y0 = y[q],
          y1 = y[q + beside];
        const x0 = x[p],
          x1 = x[p + down],
          x2 = x[p + 2 * down],
          x3 = x[p + 3 * down];
        s00 += x0 * y0;
        s01 += x0 * y1;
        s10 += x1 * y0;
        s11 += x1 * y1;
        s20 += x2 * y0;
        s21 += x2 * y1;
        s30 += x3 * y0;
        s31 += x3 * y1;
      }
      addPair(out, i, j, s00, s01);
      addPair(out, i + 1, j, s10, s11);
      addPair(out, i + 2, j, s20, s21);
      addPair(out, i + 3, j, s30, s31);
    }
    for (let j = pairs; j < columns; j++) for (let r = i; r < i + 4; r++) addDot(out, a, b, r, j, inner);
  }
  for (let i = whole; i < rows; i++) for (let j = 0; j < columns; j++) addDot(out, a, b, i, j, inner);
}

function clear(out, rows, columns) {
  for (let i = 0; i < rows; i++)
    for (let j = 0, p = out.at + i * out.down; j < columns; j++, p += out.across) out.data[p] = 0;
}

function addPair(out, row, column, first, second) {
  const p = out.at + row * out.down + column * out.across;
  out.data[p] += first;
  out.data[p + out.across] += second;
}

function addDot(out, a, b, row, column, inner) {
  let sum = 0,
    p = a.at + row * a.down,
    q = b.at + column * b.across;
  for (let k = 0; k < inner; k++, p += a.across, q += b.down) sum += a.data[p] * b.data[q];
  out.data[out.at + row * out.down + column * out.across] += sum;
}
