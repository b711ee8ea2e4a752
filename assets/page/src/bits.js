// The comparison of a run in the page with the native run.
import { $, json } from "./dom.js";
import { lossText } from "./numbers.js";
import { trained } from "./trained.js";

/** @import { Kernels } from "./kernels.js" */

/** The results of the native run: the default one, or that of the trained model. @type {{ hash: string, val_loss: number | null }} */
const native = trained ? { hash: "", val_loss: trained.val_loss } : json("native");

/** Why a run is not compared with the native one. */
const OTHER = trained
  ? "The other figures are those of the program’s run, which this run does not repeat."
  : "The native figures are those of the default run, which has seed 42, 500 steps and the built-in names.";

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

/** Shows the results of the native run. */
const showNative = () => {
  $("native-val").textContent = native.val_loss === null ? "–" : lossText(native.val_loss, 6);
  $("native-hash").textContent = native.hash;
};

/**
 * Takes the hash of the trained model's weights and moments, to which the program's run has led.
 * @param {string} hash
 */
export const takeHash = (hash) => {
  native.hash = hash;
  showNative();
};

/** Shows that no run has ended yet. */
export const clearBits = () => {
  for (const id of ["here-val", "here-hash"]) $(id).textContent = "–";
  $("verdict").textContent = "";
};

/**
 * Compares a run that has ended with the native run.
 * @param {{ isSame: boolean, hash: string, val_loss: number, milliseconds: number }} run its time is per step
 */
export const compareBits = ({ isSame, hash, val_loss, milliseconds }) => {
  $("here-hash").textContent = hash;
  $("here-val").textContent = lossText(val_loss, 6);
  $("here-step").textContent =
    milliseconds < 1 ? `${(1000 * milliseconds).toFixed(0)} µs a step` : `${milliseconds.toFixed(1)} ms a step`;
  const same = hash === native.hash && (native.val_loss === null || val_loss === native.val_loss);
  const equal = same ? "Equal, bit for bit." : "They differ, which is a bug of this page or of your browser.";
  $("verdict").textContent = isSame ? equal : OTHER;
  $("verdict").className = isSame ? (same ? "same" : "different") : "";
};

showNative();
if (trained) $("native-name").textContent = "the program’s run";
