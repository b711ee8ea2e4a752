// The derivation of p − y, with the numbers of a step.
import { shown } from "./buffers.js";
import { element } from "./dom.js";
import { significant } from "./numbers.js";

/** @import { OpenedStep } from "./buffers.js" */

/** The amount by which the logit is moved, as a check. */
const NUDGE = 0.001;

/**
 * Returns the loss of a position if the logit of a token is moved.
 * @param {OpenedStep} step
 * @param {number} t the position
 * @param {number} v the token
 * @param {number} by
 */
export const lossIfMoved = (step, t, v, by) => {
  const { ids, vocab } = step.reply;
  const logits = vocab.map((_, i) => step.at("logits", [t, i]) + (i === v ? by : 0));
  const most = Math.max(...logits);
  return Math.log(logits.reduce((sum, z) => sum + Math.exp(z - most), 0)) + most - logits[ids[t + 1]];
};

/**
 * Returns why the gradient of a logit is p − y: each line has a sentence and a formula.
 * @param {OpenedStep} step
 * @param {number} t the position
 * @param {number} v the token
 * @returns {[string, string][]}
 */
export const derivationOf = (step, t, v) => {
  const { ids, vocab } = step.reply;
  const came = ids[t + 1];
  const [p, y] = [step.at("probs", [t, v]), v === came ? 1 : 0];
  const [token, truth] = [`z[${shown(vocab[v])}]`, `z[${shown(vocab[came])}]`];
  const [before, after] = [lossIfMoved(step, t, v, 0), lossIfMoved(step, t, v, NUDGE)];
  return [
    [
      `The token that came is “${shown(vocab[came])}”, and p is the softmax of the logits z. So the loss of this position has two parts:`,
      `loss = −ln p[${shown(vocab[came])}] = −${truth} + ln Σ exp(z)`,
    ],
    [
      y === 1
        ? "The first part falls by as much as this logit grows, so its slope is −y = −1:"
        : "The first part has the logit of another token, so its slope is −y = 0:",
      `d(−${truth}) / d${token} = −y = ${y === 1 ? "−1" : "0"}`,
    ],
    [
      "The slope of a logarithm is 1 over its argument, and exp is its own slope. That is the softmax again:",
      `d(ln Σ exp(z)) / d${token} = exp(${token}) / Σ exp(z) = p = ${significant(p)}`,
    ],
    ["Together:", `d loss / d${token} = p − y = ${significant(p)} − ${y} = ${significant(p - y)}`],
    [
      `A check: if ${token} grows by ${NUDGE}, the loss goes from ${before.toFixed(7)} to ${after.toFixed(7)}. That is a slope of`,
      `(${after.toFixed(7)} − ${before.toFixed(7)}) / ${NUDGE} = ${significant((after - before) / NUDGE)}`,
    ],
  ];
};

/**
 * Returns the derivation as a title and a list.
 * @param {OpenedStep} step
 * @param {number} t
 * @param {number} v
 */
export const derivationList = (step, t, v) => {
  const items = derivationOf(step, t, v).map(([text, formula]) =>
    element("li", {}, text, element("span", { className: "formula", textContent: formula })),
  );
  return [element("h3", { textContent: "Why p − y?" }), element("ol", { className: "derivation" }, ...items)];
};
