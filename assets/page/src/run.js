// A run of the model in the worker. It trains in launches of some milliseconds, between which messages are received.

/** @import { Attention, Names, Opened, Report, Settings } from "./engine.js" */

/** The longest time of a launch in milliseconds. */
const SLICE = 12;
/** The least time between two reports with the attention, in milliseconds. */
const ATTENTION = 240;
/** The largest number of validations of a run. A curve could not show more. */
const VALIDATIONS = 100;
/** The parts of a run after which the model is sampled. Samples come soon after the start and then ever more rarely, so that the first words can be seen to form. */
const SAMPLED = [0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1];

/**
 * The settings of a model that is opened. A model that the program has `trained` has taken `step` steps.
 * @typedef {Settings & { own_corpus: boolean, trained?: { step: number, vocabulary: string, shuffle: boolean,
 *   initial_seed: number | null } }} OpenSettings
 */

/**
 * The settings of samples and attention, and the number of documents of a validation.
 * @typedef {{ samples: number, top_k: number, temperature: number, text: string, documents: number }} Asks
 */

/**
 * A report in the making. `since` is the time at which it was begun.
 * @typedef {Report & { since: number }} Draft
 */

export class Run {
  /**
   * Opens a model, in place of any earlier one.
   * @param {(request: object) => any} call the module
   * @param {OpenSettings} settings
   */
  constructor(call, settings) {
    const { steps } = settings;
    this.call = call;
    this.steps = steps;
    this.step = settings.trained?.step ?? 0;
    /** @type {Opened} */
    this.opened = call({ do: "open", ...settings });
    /** The steps after which the model is sampled. */
    this.sampled = SAMPLED.map((part) => Math.max(1, Math.round(part * steps)));
    /** The steps between two validations. */
    this.every = 100 * Math.ceil(steps / 100 / VALIDATIONS);
    const validated = Array.from({ length: Math.floor(steps / this.every) }, (_, i) => (i + 1) * this.every);
    /** The steps at which a launch ends. */
    this.stops = [...this.sampled, ...validated].sort((a, b) => a - b);
    /** The number of steps that take about `SLICE`. */
    this.slice = 8;
    /** The time of the last report with the attention. */
    this.shown = 0;
  }

  /** Returns whether the run has ended. */
  get ended() {
    return this.step === this.steps;
  }

  /**
   * Samples the model.
   * @param {Asks} asks
   * @returns {Names}
   */
  sample({ samples, top_k, temperature }) {
    // The page does not know the vocabulary of a model that is not open yet.
    return {
      step: this.step,
      ...this.call({ do: "sample", samples, top_k: Math.min(top_k, this.opened.vocab), temperature }),
    };
  }

  /**
   * Returns the attention over the page's text, or the error for a text that the model cannot take.
   * @param {Asks} asks
   * @returns {Attention}
   */
  attention({ text }) {
    try {
      return { step: this.step, ...this.call({ do: "attention", text }) };
    } catch (error) {
      if (error instanceof WebAssembly.RuntimeError || !(error instanceof Error)) throw error;
      return { step: this.step, error: error.message };
    }
  }

  /** @returns {Draft} an empty report */
  draft() {
    return { losses: [], time: 0, wall: 0, step: this.step, validations: [], names: [], since: performance.now() };
  }

  /**
   * Trains `limit` steps, or fewer up to the next stop, and adds the results to a report.
   * @param {Draft} report
   * @param {number} limit
   * @param {Asks} asks
   */
  advance(report, limit, asks) {
    const next = this.stops.find((step) => step > this.step) ?? this.steps;
    const start = performance.now();
    const { step, losses } = this.call({ do: "train", steps: Math.min(limit, next - this.step) });
    const time = performance.now() - start;
    this.slice = Math.max(1, Math.round((losses.length * SLICE) / Math.max(time, SLICE / 4)));
    this.step = step;
    for (const loss of losses) report.losses.push(loss);
    report.time += time;
    if (step % this.every === 0 || this.ended)
      report.validations.push({ step, ...this.call({ do: "validate", documents: asks.documents }) });
    if (this.sampled.includes(step)) report.names.push(this.sample(asks));
  }

  /**
   * Completes a report. If the run stands `still`, the report has the attention even if the last attention is recent.
   * @param {Draft} draft
   * @param {Asks} asks
   * @param {boolean} still
   * @param {boolean} [failed] whether the run has failed, so that its end has no hash
   * @returns {Report}
   */
  complete({ since, ...report }, asks, still, failed = false) {
    const now = performance.now();
    report.step = this.step;
    report.wall = now - since;
    if (still || now - this.shown >= ATTENTION) {
      report.attention = this.attention(asks);
      this.shown = now;
    }
    if (this.ended && !failed) report.hash = this.call({ do: "hash" }).hash;
    return report;
  }
}
