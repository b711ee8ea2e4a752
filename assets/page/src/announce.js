// News for screen readers, few enough that they can be heard.
import { $ } from "./dom.js";

/** The least time between two pieces of news of a run, in milliseconds. */
const PAUSE = 10_000;

let last = 0;

/**
 * Announces a text.
 * @param {string} text
 */
export const announce = (text) => {
  last = performance.now();
  $("announcement").textContent = text;
};

/**
 * Announces a text, unless another one was announced just before.
 * @param {string} text
 */
export const announceProgress = (text) => {
  if (performance.now() - last > PAUSE) announce(text);
};
