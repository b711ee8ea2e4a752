// The parts of the tour's figures.
import { element } from "./dom.js";

/** @import { OpenedStep } from "./buffers.js" */
/** A figure is drawn in a box, for a position of the step's document. @typedef {(box: HTMLElement, step: OpenedStep, t: number) => void} Figure */

/**
 * Returns a row of a buffer.
 * @param {OpenedStep} step
 * @param {string} name
 * @param {number} row
 * @param {number} [first] the first column
 * @param {number} [count] the number of columns
 */
export const rowOf = (step, name, row, first = 0, count = step.buffer(name).shape[1]) => {
  const { shape, values } = step.buffer(name);
  return values.subarray(row * shape[1] + first, row * shape[1] + first + count);
};

/**
 * Returns the width for a figure's charts, of which some stand side by side.
 * @param {HTMLElement} box
 * @param {number} [beside]
 */
export const widthOf = (box, beside = 1) => {
  const width = box.clientWidth - 40;
  return width / beside < 280 ? width : (width - 24 * (beside - 1)) / beside;
};

/**
 * Returns a sentence of a figure.
 * @param {string} text
 */
export const note = (text) => element("p", { className: "tour-note", textContent: text });
