// Is the network healthy, and has it found the classes? The numbers of cl_course/diagnose.py and cl_course/evaluate.py.
// Rows of `width` numbers lie one after the other in one array.
import { matrix, multiply, transposed } from "./matmul.js";

/** How far embeddings lie apart on the sphere: 0 when all are one point (collapse), about 1 all over it. */
export function spread(z, width) {
  const unit = unitRows(z, width),
    n = z.length / width;
  let sum = 0;
  for (let j = 0; j < width; j++) {
    let mean = 0,
      variance = 0;
    for (let i = j; i < unit.length; i += width) mean += unit[i] / n;
    for (let i = j; i < unit.length; i += width) variance += (unit[i] - mean) ** 2 / n;
    sum += Math.sqrt(variance);
  }
  return sum / Math.sqrt(width);
}

/** How many dimensions features really use, from 1 to their width (Garrido et al. 2023, arXiv:2210.02885, eq. 1). */
export function effectiveRank(h, width) {
  const products = new Float64Array(width * width),
    rows = matrix(h, width);
  multiply(matrix(products, width), transposed(rows), rows, width, h.length / width, width);
  const singular = eigenvalues(products, width).map((value) => Math.sqrt(Math.max(0, value)));
  const total = Math.max(
    1e-12,
    singular.reduce((a, b) => a + b, 0),
  );
  const entropy = singular.reduce((sum, value) => sum - (value > 0 ? (value / total) * Math.log(value / total) : 0), 0);
  return Math.exp(entropy);
}

/** Eigenvalues of a symmetric matrix by Jacobi's rotations; the matrix is used up. */
function eigenvalues(a, width) {
  for (let sweep = 0; sweep < 30; sweep++) {
    let off = 0,
      on = 0;
    for (let i = 0; i < width; i++)
      for (let j = 0; j < width; j++)
        if (i === j) on += a[i * width + i] ** 2;
        else off += a[i * width + j] ** 2;
    if (off <= 1e-24 * on) break;
    for (let p = 0; p < width; p++) for (let q = p + 1; q < width; q++) rotate(a, width, p, q);
  }
  return Array.from({ length: width }, (_, i) => a[i * width + i]);
}

/** Turn rows and columns p and q so that a[p][q] becomes 0. */
function rotate(a, width, p, q) {
  const apq = a[p * width + q];
  if (apq === 0) return;
  const theta = (a[q * width + q] - a[p * width + p]) / (2 * apq);
  const t = (theta < 0 ? -1 : 1) / (Math.abs(theta) + Math.sqrt(theta * theta + 1)),
    c = 1 / Math.sqrt(t * t + 1),
    s = t * c;
  for (let k = 0; k < width; k++) {
    const x = a[k * width + p],
      y = a[k * width + q];
    a[k * width + p] = c * x - s * y;
    a[k * width + q] = s * x + c * y;
  }
  for (let k = 0; k < width; k++) {
    const x = a[p * width + k],
      y = a[q * width + k];
    a[p * width + k] = c * x - s * y;
    a[q * width + k] = s * x + c * y;
  }
}

/** Share of queries whose class wins the vote of the k nearest in the gallery, of weight exp(similarity / T) each. */
export function knnAccuracy(gallery, galleryLabels, queries, queryLabels, width, k = 20, temperature = 0.1) {
  const n = galleryLabels.length,
    m = queryLabels.length,
    similarity = new Float64Array(m * n);
  const rows = matrix(unitRows(queries, width), width),
    columns = transposed(matrix(unitRows(gallery, width), width));
  multiply(matrix(similarity, n), rows, columns, m, width, n);
  let right = 0;
  for (let i = 0; i < m; i++) {
    const own = similarity.subarray(i * n, i * n + n),
      order = Array.from(own.keys())
        .sort((a, b) => own[b] - own[a])
        .slice(0, k);
    const votes = new Float64Array(1 + Math.max(...galleryLabels));
    for (const j of order) votes[galleryLabels[j]] += Math.exp((own[j] - own[order[0]]) / temperature);
    if (votes.indexOf(Math.max(...votes)) === queryLabels[i]) right++;
  }
  return right / m;
}

function unitRows(x, width) {
  const unit = new Float64Array(x.length);
  for (let i = 0; i < x.length; i += width) {
    let squared = 0;
    for (let j = i; j < i + width; j++) squared += x[j] ** 2;
    const length = Math.max(1e-12, Math.sqrt(squared));
    for (let j = i; j < i + width; j++) unit[j] = x[j] / length;
  }
  return unit;
}
