// Runs a Trainer as it is told, and tells what the page shows. It runs alike in a worker and on the page itself.
import { Trainer } from "./trainer.js";

export const MEASURE_EVERY = 25; // steps

export class Runner {
  /** send(news): what has happened since the last news; see `news`. slice: milliseconds between two of them. */
  constructor(send, slice) {
    Object.assign(this, { send, slice, playing: false, waiting: false });
  }

  /** order: { kind: "restart" | "change", settings } or { kind: "play" | "pause" } or { kind: "advance", steps }. */
  receive({ kind, settings, steps }) {
    if (kind === "restart") this.restart(settings);
    else if (kind === "change") this.trainer.change(settings);
    else if (kind === "advance") this.advance(steps);
    else this.playing = kind === "play";
    if (kind !== "change" && kind !== "play") this.send(this.news());
    if (this.playing && !this.waiting) this.wait();
  }

  restart(settings) {
    this.trainer = new Trainer(settings);
    this.losses = [];
    this.measured = [{ step: 0, ...this.trainer.measure() }];
    this.milliseconds = 0;
    this.drawings = this.trainer.drawings();
  }

  advance(steps) {
    const start = performance.now();
    for (let i = 0; i < steps; i++) {
      this.losses.push(this.trainer.step());
      if (this.trainer.steps % MEASURE_EVERY === 0)
        this.measured.push({ step: this.trainer.steps, ...this.trainer.measure() });
    }
    this.milliseconds += performance.now() - start;
  }

  /** Train for one slice, tell, and go on after other messages have been heard. */
  wait() {
    this.waiting = true;
    setTimeout(() => {
      this.waiting = false;
      if (!this.playing) return;
      const end = performance.now() + this.slice;
      do this.advance(1);
      while (performance.now() < end);
      this.send(this.news());
      this.wait();
    });
  }

  /**
   * Steps so far and the milliseconds that they took; losses and { step, knn, rank, spread } since the last news; the
   * loss of guessing; the first views of the batch as bytes; z of the held-out drawings that are shown; and, in a run's
   * first news, these drawings.
   */
  news() {
    const { trainer, losses, measured, milliseconds, drawings } = this;
    Object.assign(this, { losses: [], measured: [], drawings: null });
    return { ...trainer.look(), steps: trainer.steps, losses, measured, milliseconds, drawings };
  }
}
