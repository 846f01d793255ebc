// Adam (Kingma & Ba 2015, arXiv:1412.6980, algorithm 1), and the slow copy that drifts after a network.

export class Adam {
  constructor(weights, rate) {
    Object.assign(this, { weights, rate, steps: 0 });
    this.moments = weights.map(({ value }) => [new Float64Array(value.length), new Float64Array(value.length)]);
  }

  step() {
    this.steps++;
    const first = 1 - 0.9 ** this.steps,
      second = 1 - 0.999 ** this.steps;
    this.weights.forEach(({ value, gradient }, k) => {
      const [m, v] = this.moments[k];
      for (let i = 0; i < value.length; i++) {
        m[i] += 0.1 * (gradient[i] - m[i]);
        v[i] += 0.001 * (gradient[i] ** 2 - v[i]);
        value[i] -= (this.rate * m[i]) / first / (Math.sqrt(v[i] / second) + 1e-8);
      }
    });
  }
}

/** slow <- momentum * slow + (1 - momentum) * fast, for every weight (MoCo, eq. 2; BYOL, eq. 1). */
export function drift(slow, fast, momentum) {
  slow.weights.forEach(({ value }, k) => {
    for (let i = 0; i < value.length; i++) value[i] += (1 - momentum) * (fast.weights[k].value[i] - value[i]);
  });
}
