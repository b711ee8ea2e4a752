// The advice for a run whose loss rises instead of falling.
import { lossText, significant } from "./numbers.js";

/** @import { Losses } from "./losses.js" */

/** The number of steps after which a mean loss says enough. */
const STEPS = 10;
/** A run diverges if its mean loss is this many times that of a guess. */
const FAR = 2;

/** The learning rate with which the page begins. It suits most models. */
const USUAL = 0.01;

/**
 * Returns a learning rate to try after one that was too high.
 * @param {number} rate
 */
export const lowerRate = (rate) => significant(rate > USUAL ? USUAL : rate / 10);

/**
 * Returns what is wrong with a run that diverges, with advice, or an empty text.
 * @param {Losses} losses
 * @param {number} vocab the number of tokens
 * @param {number} rate the learning rate
 */
export const adviceOf = ({ mean, count }, vocab, rate) => {
  const guess = Math.log(vocab);
  if (count < STEPS || mean < FAR * guess) return "";
  return (
    `the run diverges: its loss has risen to ${lossText(mean, 2)}, and a guess among ${vocab} tokens costs only ` +
    `ln ${vocab} = ${significant(guess)}\nhint: lower the learning rate, for example to ${lowerRate(rate)}`
  );
};
