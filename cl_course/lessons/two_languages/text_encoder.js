// The text encoder of clip.py in JavaScript: one transformer block, pre-norm, the mean of all words, a linear map.

/** Numbers from `packed` of lab_captions.py: base64 of 8-bit whole numbers, times one step. */
export function unpack({ codes, step }) {
  return Float64Array.from(Int8Array.from(atob(codes), (letter) => letter.charCodeAt(0)), (code) => code * step);
}

/** A vector of length 1 in its direction. */
export function unit(x) {
  const length = Math.hypot(...x) || 1;
  return x.map((value) => value / length);
}

export const dot = (a, b) => a.reduce((sum, value, i) => sum + value * b[i], 0);

/** Rows of a table that lies in one list, one after another. */
export const rows = (values, width) =>
  Array.from({ length: values.length / width }, (_, i) => values.slice(i * width, (i + 1) * width));

/**
 * The way of a text through the network: numbers of words from 1 on -> a vector of length 1.
 *   packed: name -> weights as `packed` gives them; heads: of the attention.
 */
export function textEncoder(packed, heads) {
  const prefix = "text_encoder.";
  const flat = {};
  for (const [name, weights] of Object.entries(packed)) flat[name.replace(prefix, "")] = unpack(weights);
  const dim = packed[`${prefix}norm1.weight`].shape[0], size = dim / heads;
  const table = (name, width = dim) => rows(flat[name], width);
  const word = table("word.weight"), place = table("place"), [q, k, v] = split(table("attention.in_proj_weight"));
  const [qBias, kBias, vBias] = split([...flat["attention.in_proj_bias"]]);
  const out = table("attention.out_proj.weight"), first = table("mlp.0.weight");
  const second = table("mlp.2.weight", first.length), last = table("text_projection.weight");

  function split(list) {
    return [0, 1, 2].map((part) => list.slice(part * dim, (part + 1) * dim));
  }
  function norm(x, name) {
    const mean = x.reduce((sum, value) => sum + value, 0) / dim;
    const spread = Math.sqrt(x.reduce((sum, value) => sum + (value - mean) ** 2, 0) / dim + 1e-5);
    return x.map((value, i) => ((value - mean) / spread) * flat[`${name}.weight`][i] + flat[`${name}.bias`][i]);
  }
  const linear = (weights, bias) => (x) => Float64Array.from(weights, (row, i) => dot(row, x) + (bias ? bias[i] : 0));
  const plus = (a, b) => a.map((value, i) => value + b[i]);

  /** What each word takes from all words, head by head. */
  function attention(y) {
    const [asked, keys, values] = [[q, qBias], [k, kBias], [v, vBias]].map(([w, b]) => y.map(linear(w, b)));
    return asked.map((query) => {
      const taken = new Float64Array(dim);
      for (let head = 0; head < heads; head++) {
        const from = head * size, to = from + size;
        const score = keys.map((key) => dot(query.slice(from, to), key.slice(from, to)) / Math.sqrt(size));
        const top = Math.max(...score), share = score.map((value) => Math.exp(value - top));
        const total = share.reduce((sum, value) => sum + value, 0);
        values.forEach((value, j) => { for (let i = from; i < to; i++) taken[i] += (share[j] / total) * value[i]; });
      }
      return linear(out, flat["attention.out_proj.bias"])(taken);
    });
  }

  return (numbers) => {
    let x = numbers.map((number, i) => plus(word[number], place[i]));
    const taken = attention(x.map((each) => norm(each, "norm1")));
    x = x.map((each, i) => plus(each, taken[i]));
    x = x.map((each) => {
      const hidden = linear(first, flat["mlp.0.bias"])(norm(each, "norm2")).map((value) => Math.max(0, value));
      return norm(plus(each, linear(second, flat["mlp.2.bias"])(hidden)), "norm3");
    });
    const mean = x.reduce(plus).map((value) => value / x.length);
    return unit(linear(last)(mean));
  };
}
