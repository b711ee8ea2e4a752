// The panel that shows the sum behind a cell. Each factor of the sum leads to its own cell.
import { OpenedStep } from "./buffers.js";
import { derivationList } from "./derivation.js";
import { $, element } from "./dom.js";
import { sumOf } from "./equations.js";
import { factorOf } from "./factor.js";
import { labelOf, partsOf } from "./labels.js";
import { digits } from "./numbers.js";
import { updateLines } from "./update.js";

/** @typedef {import("./sums.js").Term} Term */
/** @typedef {(name: string, index: number[]) => void} Pick */

/** The most terms of a group that are listed. The smaller ones are summed up in one line. */
const TERMS = 16;

/**
 * Returns a bar for a summand, from the middle to the left if it is negative.
 * @param {number} value
 * @param {number} most
 */
const barOf = (value, most) => {
  const bar = element("span", { className: value < 0 ? "bar below" : "bar above" });
  bar.style.setProperty("--share", `${most > 0 ? (50 * Math.abs(value)) / most : 0}%`);
  return element("span", { className: "bar-box" }, bar);
};

/**
 * Returns a term as a line: a label, the factors, a bar and the product.
 * @param {string} label
 * @param {HTMLElement[]} factors
 * @param {number} value
 * @param {number} most
 */
const lineOf = (label, factors, value, most) => {
  const times = factors.flatMap((factor, i) =>
    i > 0 ? [element("span", { className: "times", textContent: "×" }), factor] : [factor],
  );
  const name = element("span", { className: "term-name", textContent: label });
  const product = element("span", { className: "value", textContent: digits(value) });
  return element("li", {}, name, element("span", { className: "factors" }, ...times), barOf(value, most), product);
};

/**
 * Returns the axis along which the factors at one place of a group's terms differ, or -1.
 * @param {Term[]} group
 * @param {number} place
 */
const axisOf = (group, place) => {
  const [first, second] = group.map(({ factors }) => factors[place].index ?? []);
  return first.findIndex((index, axis) => index !== second[axis]);
};

/**
 * Returns the lines of terms that differ by one index alone. A head names the factors once for all of them.
 * @param {OpenedStep} step
 * @param {Term[]} group
 * @param {number} most
 * @param {Pick} pick
 */
const groupLines = (step, group, most, pick) => {
  const { factors } = group[0];
  const axes = factors.map((_, place) => axisOf(group, place));
  const heads = factors.map(({ label, name, index }, place) =>
    name && index ? labelOf(step, name, index, axes[place]) : label,
  );
  const varying = axes.findIndex((axis) => axis >= 0);
  const lines = [element("li", { className: "term-head", textContent: `${heads.join(" × ")}, for each i` })];
  const kept = new Set([...group].sort((a, b) => Math.abs(b.value) - Math.abs(a.value)).slice(0, TERMS));
  for (const term of group.filter((term) => kept.has(term))) {
    const { name, index } = term.factors[varying] ?? {};
    const label = name && index ? partsOf(step, name, index)[axes[varying]] : "";
    lines.push(
      lineOf(
        label,
        term.factors.map((factor) => factorOf(factor, pick, true)),
        term.value,
        most,
      ),
    );
  }
  const rest = group.filter((term) => !kept.has(term));
  const text = element("span", { textContent: `${rest.length} smaller terms` });
  if (rest.length > 0)
    lines.push(
      lineOf(
        "",
        [text],
        rest.reduce((sum, { value }) => sum + value, 0),
        most,
      ),
    );
  return lines;
};

/**
 * Returns the list of a sum's terms. Terms whose factors are from the same buffers stand together.
 * @param {OpenedStep} step
 * @param {Term[]} terms
 * @param {Pick} pick
 */
const listOf = (step, terms, pick) => {
  /** @param {Term} term */
  const kind = ({ factors }) => factors.map(({ name, label }) => name ?? label).join("×");
  /** @type {Map<string, Term[]>} */
  const groups = new Map();
  for (const term of terms) groups.set(kind(term), [...(groups.get(kind(term)) ?? []), term]);
  const most = terms.reduce((most, { value }) => Math.max(most, Math.abs(value)), 0);
  const list = element("ul", { className: "terms" });
  for (const group of groups.values()) {
    if (group.length > 1) list.append(...groupLines(step, group, most, pick));
    else
      list.append(
        lineOf(
          "",
          group[0].factors.map((factor) => factorOf(factor, pick)),
          group[0].value,
          most,
        ),
      );
  }
  return list;
};

/**
 * Returns the head of the panel: the cell and its value.
 * @param {string} label
 * @param {number} value
 */
const headOf = (label, value) =>
  element(
    "p",
    { className: "cell-head" },
    element("strong", { textContent: label }),
    " = ",
    element("span", { className: value < 0 ? "value below" : "value above", textContent: digits(value) }),
  );

/**
 * Shows the sum behind a cell, or the update of a weight.
 * @param {OpenedStep} step
 * @param {string} name
 * @param {number[]} index
 * @param {Pick} pick
 */
export const showCell = (step, name, index, pick) => {
  const body = $("cell-body");
  const sum = sumOf(step, name, index);
  if (!sum) {
    const tensor = name.replace(/\.after$/, "");
    body.replaceChildren(
      headOf(labelOf(step, tensor, index), step.at(tensor, index)),
      element("p", {
        textContent:
          "A weight. AdamW moves it against its mean gradient m, divided by the root of its mean square v. So every weight has its own step size.",
      }),
      updateLines(step, tensor, index, pick),
    );
    return;
  }
  const total = sum.terms.reduce((sum, { value }) => sum + value, 0);
  /** @type {HTMLElement[]} */
  const parts = [
    headOf(sum.label, sum.value),
    element("p", { className: "formula", textContent: sum.formula }),
    element("p", { textContent: sum.text }),
  ];
  if (sum.terms.length > 0) parts.push(listOf(step, sum.terms, pick));
  if (sum.terms.length > 1 || sum.finish)
    parts.push(
      element(
        "p",
        { className: "total" },
        sum.terms.length > 1 ? `sum ${digits(total)}` : "",
        sum.finish ? `${sum.terms.length > 1 ? ", " : ""}${sum.finish}` : "",
      ),
    );
  if (sum.factors?.length)
    parts.push(element("p", { className: "after" }, ...sum.factors.map((factor) => factorOf(factor, pick))));
  parts.push(element("p", { className: "total" }, "= ", element("strong", { textContent: digits(sum.value) })));
  if (name === "dlogits") parts.push(...derivationList(step, index[0], index[1]));
  body.replaceChildren(...parts);
};
