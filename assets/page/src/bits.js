// The comparison of a run in the page with the native run.
import { $, json } from "./dom.js";
import { lossText } from "./numbers.js";

/** @import { Kernels } from "./kernels.js" */

/** The results of the native default run. @type {{ hash: string, val_loss: number }} */
const native = json("native");

/**
 * Shows which form of the module runs, and why.
 * @param {Omit<Kernels, "exports">} kernels
 */
export const showForm = ({ why, wrong }) => {
  $("form").textContent = {
    fused: "This run uses relaxed SIMD, since all of 10,000 test cases of its multiply-add are rounded once here.",
    asked: "This run uses the exact function, as you asked.",
    unknown: "This run uses the exact function, since this browser has no relaxed SIMD.",
    unfused: `This run uses the exact function, since ${wrong} of 10,000 test cases of relaxed SIMD are not rounded once here.`,
  }[why];
};

/**
 * Shows the hash of a model's weights and moments.
 * @param {string} hash
 */
export const showHash = (hash) => {
  $("here-hash").textContent = hash;
};

/** Shows that no run has ended yet. */
export const clearBits = () => {
  for (const id of ["here-val", "here-hash"]) $(id).textContent = "–";
  $("verdict").textContent = "";
};

/**
 * Compares a run that has ended with the native run.
 * @param {{ isDefault: boolean, hash: string, val_loss: number, milliseconds: number }} run its time is per step
 */
export const compareBits = ({ isDefault, hash, val_loss, milliseconds }) => {
  showHash(hash);
  $("here-val").textContent = lossText(val_loss, 6);
  $("here-step").textContent =
    milliseconds < 1 ? `${(1000 * milliseconds).toFixed(0)} µs a step` : `${milliseconds.toFixed(1)} ms a step`;
  const same = hash === native.hash && val_loss === native.val_loss;
  const equal = same ? "Equal, bit for bit." : "They differ, which is a bug of this page or of your browser.";
  const other = "The native figures are those of the default run, which has seed 42, 500 steps and the built-in names.";
  $("verdict").textContent = isDefault ? equal : other;
  $("verdict").className = isDefault ? (same ? "same" : "different") : "";
};

$("native-val").textContent = native.val_loss.toFixed(6);
$("native-hash").textContent = native.hash;
