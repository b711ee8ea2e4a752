// Numbers as texts.
import { grouped } from "./dom.js";

/** The magnitude from which a loss is shown with an exponent, so that it fits its box. */
const LARGE = 10_000;
/** The most decimals of a weight. Single precision has no more for weights above 1e-5. */
const DECIMALS = 12;

/** Replaces the hyphen by a minus, and drops the plus of an exponent. @param {string} text */
const withMinus = (text) => text.replaceAll("-", "−").replace("+", "");

/**
 * Returns a value in a few digits, such as `0.0312`, `−1.25` or `3.1e−6`.
 * @param {number} value
 */
export const digits = (value) => {
  const size = Math.abs(value);
  if (value === 0) return "0";
  return withMinus(
    size >= 1000 || size < 0.001 ? value.toExponential(1) : size >= 1 ? value.toFixed(3) : value.toFixed(4),
  );
};

/**
 * Returns a value in four significant digits, so that a reader who multiplies the numbers of a text gets its result.
 * @param {number} value
 */
export const significant = (value) => {
  const size = Math.abs(value);
  if (value === 0) return "0";
  return withMinus(size >= 1000 || size < 0.001 ? value.toExponential(3) : String(Number(value.toPrecision(4))));
};

/**
 * Returns a loss. It is short at any magnitude.
 * @param {number} value
 * @param {number} decimals
 */
export const lossText = (value, decimals) => {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "NaN" : "∞";
  return withMinus(Math.abs(value) < LARGE ? value.toFixed(decimals) : value.toExponential(2));
};

/**
 * Returns two values with as many decimals as show the change from one to the other.
 * @param {number} before
 * @param {number} after
 * @returns {[string, string]}
 */
export const pair = (before, after) => {
  const change = Math.abs(after - before);
  const decimals = change > 0 ? Math.ceil(-Math.log10(change)) + 1 : 0;
  const shown = Math.max(4, Math.min(DECIMALS, decimals));
  return [withMinus(before.toFixed(shown)), withMinus(after.toFixed(shown))];
};

/**
 * Returns the report of an error as sentences in one line.
 * @param {string} report
 */
export const sentences = (report) =>
  report
    .replace(/^error: /, "")
    .split(/\n *(?:hint: |caused by: )?/)
    .map((line) => `${line.charAt(0).toUpperCase()}${line.slice(1)}${/[.…]$/.test(line) ? "" : "."}`)
    .join(" ");

/**
 * Returns a number of things, such as `1 document` or `4,646 documents`.
 * @param {number} count
 * @param {string} thing
 */
export const counted = (count, thing) => `${grouped(count)} ${thing}${count === 1 ? "" : "s"}`;
