// The update of a weight by AdamW, as lines whose numbers the reader can follow.
import { element } from "./dom.js";
import { updateOf } from "./equations.js";
import { factorOf } from "./factor.js";
import { labelOf } from "./labels.js";
import { pair, significant } from "./numbers.js";

/** @import { OpenedStep } from "./buffers.js" */
/** @typedef {(name: string, index: number[]) => void} Pick */

/** The relative difference from which the rounding of a weight is explained. */
const ROUNDED = 0.005;
/** The part of a weight that each step adds to `m`, `M_BIAS` of `gpu-kernels/src/ops/adamw.rs`. */
const M_BIAS = 1e-20;
/** The addend of `v` in each step, `V_BIAS` of the same file. */
const V_BIAS = 1e-24;
/** The part of a moment from which an addend changes the digits that are shown. */
const SHOWN = 0.0005;
/** The number of bits of a single-precision fraction. */
const FRACTION = 23;

/**
 * Returns the lines of an update after that of the gradient, each with its name.
 * @param {OpenedStep} step
 * @param {string} tensor
 * @param {number[]} index
 * @returns {[string, string][]}
 */
export const updateTexts = (step, tensor, index) => {
  const update = updateOf(step, tensor, index);
  const { optimizer, clip, step: number } = step.reply;
  const { learning_rate: rate, beta1, beta2, eps, weight_decay: decay } = optimizer;
  const ratio = update.mHat / (Math.sqrt(update.vHat) + eps);
  const change = -rate * (ratio + decay * update.before);
  const moved = update.after - update.before;
  const [before, after] = pair(update.before, update.after);
  // The kernels add tiny values, which keep a moment from becoming denormal. They count where the gradient vanishes.
  const mBias = M_BIAS * update.before;
  const mAddend = Math.abs(mBias) > SHOWN * Math.abs(update.m) ? ` + ${significant(M_BIAS)} × w` : "";
  const vAddend = V_BIAS > SHOWN * update.v ? ` + ${significant(V_BIAS)}` : "";
  /** @type {[string, string][]} */
  const lines = [
    ["after the clip", `g = ${significant(update.gradient)} × ${significant(clip)} = ${significant(update.clipped)}`],
    [
      "mean gradient",
      `m = ${beta1} × ${significant(update.m_before)} + ${significant(1 - beta1)} × g${mAddend} = ${significant(update.m)}`,
    ],
    [
      "mean square",
      `v = ${beta2} × ${significant(update.v_before)} + ${significant(1 - beta2)} × g²${vAddend} = ${significant(update.v)}`,
    ],
    [
      "corrected",
      `m̂ = m / (1 − ${beta1}^${number}) = ${significant(update.mHat)}, v̂ = v / (1 − ${beta2}^${number}) = ${significant(update.vHat)}`,
    ],
    ["direction", `m̂ / (√v̂ + ${significant(eps)}) = ${significant(ratio)}`],
    [
      "change",
      `−rate × (direction + decay × w) = −${significant(rate)} × (${significant(ratio)} + ${decay} × ${significant(update.before)}) = ${significant(change)}`,
    ],
    ["weight", `${before} → ${after}`],
  ];
  if (mAddend !== "" || vAddend !== "")
    lines.push([
      "addends",
      `The kernels add ${significant(M_BIAS)} × w to m and ${significant(V_BIAS)} to v, so that no moment becomes too small for full precision.`,
    ]);
  if (update.gradient === 0 && Math.abs(ratio) < Math.abs(decay * update.before))
    lines.push(["no gradient", "Nearly all of the change is the weight decay, which pulls each weight towards zero."]);
  if (Math.abs(moved - change) > ROUNDED * Math.abs(change)) {
    const gap = 2 ** (Math.floor(Math.log2(Math.abs(update.after))) - FRACTION);
    lines.push([
      "rounding",
      `Single-precision numbers of this size are ${significant(gap)} apart, so the weight moves by ${significant(moved)}.`,
    ]);
  }
  return lines;
};

/**
 * Returns the lines of an update by AdamW.
 * @param {OpenedStep} step
 * @param {string} tensor
 * @param {number[]} index
 * @param {Pick} pick
 */
export const updateLines = (step, tensor, index, pick) => {
  const name = `${tensor}.grad`;
  const gradient = factorOf({ label: labelOf(step, name, index), value: step.at(name, index), name, index }, pick);
  const list = element("dl", { className: "update" });
  /** @type {[string, string | HTMLElement][]} */
  const lines = [["gradient", gradient], ...updateTexts(step, tensor, index)];
  for (const [name, value] of lines) list.append(element("dt", { textContent: name }), element("dd", {}, value));
  return list;
};
