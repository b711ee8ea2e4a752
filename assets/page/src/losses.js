// The losses of a run, in a few hundred points however long the run is.

/** The time constant of the exponential mean, in steps. */
const MEAN = 50;
/** The largest number of points. */
const POINTS = 500;

/**
 * The losses of the steps up to `step`. `mean` is the exponential mean after that step.
 * @typedef {{ step: number, min: number, max: number, mean: number }} Point
 */

export class Losses {
  /** @param {number} steps the number of steps of the run */
  constructor(steps) {
    this.steps = steps;
    /** The number of steps of a point. */
    this.every = Math.ceil(steps / POINTS);
    /** @type {Point[]} */
    this.points = [];
    /** @type {{ step: number, val_loss: number }[]} */
    this.validations = [];
    /** The number of losses. */
    this.count = 0;
    /** The exponential mean. It begins as the plain mean of the first steps. */
    this.mean = 0;
  }

  /**
   * Adds the loss of the next step.
   * @param {number} loss
   */
  push(loss) {
    this.count += 1;
    this.mean += (loss - this.mean) / Math.min(this.count, MEAN);
    const index = Math.floor((this.count - 1) / this.every);
    this.points[index] ??= { step: 0, min: loss, max: loss, mean: 0 };
    const point = this.points[index];
    point.step = this.count;
    point.min = Math.min(point.min, loss);
    point.max = Math.max(point.max, loss);
    point.mean = this.mean;
  }
}
