// The parts of the sums behind cells.
import { labelOf, split } from "./labels.js";

/** @import { OpenedStep } from "./buffers.js" */

/** A factor of a summand: a value of a buffer, or a constant without a place. @typedef {{ label: string, value: number, name?: string, index?: number[] }} Factor */
/** @typedef {{ factors: Factor[], value: number }} Term */
/**
 * The sum behind a cell. The cell's value is the sum of the terms, then changed as `finish` says.
 * @typedef {{ name: string, index: number[], label: string, value: number, formula: string, text: string, terms: Term[],
 *   finish?: string, factors?: Factor[] }} Sum
 */

/**
 * A rule returns the formula, a sentence, and the terms. `finish` says what becomes of their sum, with the factors in it.
 * @typedef {{ formula: string, text: string, terms: Term[], finish?: string, factors?: Factor[] }} Rule
 */
/** The rule of a buffer. @typedef {(sums: Sums, index: number[]) => Rule} RuleOf */

/**
 * Returns the name of the buffer that is the input of a layer.
 * @param {number} layer
 */
export const inputOf = (layer) => (layer === 0 ? "x_embed" : `layer${layer - 1}.x_out`);

/**
 * Returns a factor without a place.
 * @param {string} label
 * @param {number} value
 * @returns {Factor}
 */
export const constant = (label, value) => ({ label, value });

/**
 * Returns the product of factors.
 * @param {Factor[]} factors
 * @returns {Term}
 */
export const term = (factors) => ({ factors, value: factors.reduce((product, { value }) => product * value, 1) });

/** The tensors that give the queries, keys and values. */
export const QKV = { q: "attn_wq", k: "attn_wk", v: "attn_wv" };

/** The sums of one step, for a buffer of some layer. */
export class Sums {
  /**
   * @param {OpenedStep} step
   * @param {string} name
   */
  constructor(step, name) {
    this.step = step;
    const { layer, prefix } = split(name);
    this.layer = layer;
    this.prefix = prefix;
  }

  /**
   * Returns a factor from a buffer. `name` is that of the same layer if there is one.
   * @param {string} name
   * @param {number[]} index
   * @returns {Factor}
   */
  of(name, ...index) {
    const full = this.step.buffers.has(this.prefix + name) && !["probs"].includes(name) ? this.prefix + name : name;
    return this.exactly(full, index);
  }

  /**
   * Returns a factor from the buffer of exactly this name.
   * @param {string} name
   * @param {number[]} index
   * @returns {Factor}
   */
  exactly(name, index) {
    return { label: labelOf(this.step, name, index), value: this.step.at(name, index), name, index };
  }

  /**
   * Returns a probability of attention.
   * @param {number} h
   * @param {number} t
   * @param {number} key
   */
  attention(h, t, key) {
    return this.exactly(`layer${this.layer}.probs`, [h, t, key]);
  }

  /**
   * Returns the terms of a sum over `count` indices.
   * @param {number} count
   * @param {(i: number) => Factor[]} factors
   * @param {number} [first]
   */
  sum(count, factors, first = 0) {
    return Array.from({ length: count - first }, (_, i) => term(factors(first + i)));
  }

  /**
   * Returns the terms of a norm's gradient: that of the skip connection, the scaled one, and the part along the output.
   * @param {[Factor | null, string, string, string]} names
   * @param {number} t
   * @param {number} c
   */
  normBackward([skip, y, dy, rstd], t, c) {
    const channels = this.step.channels;
    let mean = 0;
    for (let i = 0; i < channels; i++) mean += (this.of(y, t, i).value * this.of(dy, t, i).value) / channels;
    const scale = this.of(rstd, t);
    const terms = [
      term([scale, this.of(dy, t, c)]),
      term([constant(`−mean(${y} · ${dy})`, -mean), scale, this.of(y, t, c)]),
    ];
    return skip ? [term([skip]), ...terms] : terms;
  }
}
