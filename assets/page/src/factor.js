// A factor of a sum as a button that leads to its own cell.
import { element } from "./dom.js";
import { digits } from "./numbers.js";

/** @typedef {import("./sums.js").Factor} Factor */
/** @typedef {(name: string, index: number[]) => void} Pick */

/**
 * Returns a factor as a button that leads to its cell, or as text.
 * @param {Factor} factor
 * @param {Pick} pick
 * @param {boolean} [brief] whether only the value is shown
 */
export const factorOf = ({ label, value, name, index }, pick, brief = false) => {
  const parts = [element("span", { className: "value", textContent: digits(value) })];
  if (!brief) parts.unshift(element("span", { className: "name", textContent: label }));
  if (name === undefined || index === undefined)
    return element("span", { className: "factor", title: label }, ...parts);
  const button = element("button", { type: "button", className: "factor", title: label }, ...parts);
  button.setAttribute("aria-label", `${label} = ${digits(value)}, show its sum`);
  button.addEventListener("click", () => pick(name, index));
  return button;
};
