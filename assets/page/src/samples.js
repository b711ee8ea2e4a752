// The samples of the model, the latest first.
import { $, element, grouped } from "./dom.js";

/** @import { Names } from "./engine.js" */

/** The largest number of rows. */
const ROWS = 12;

const body = $("names", HTMLTableElement).tBodies[0];

/** Removes all samples. */
export const clearNames = () => body.replaceChildren();

/**
 * Shows samples. Samples that were drawn `again` replace those of the same step.
 * @param {Names} names
 * @param {boolean} [again]
 */
export const showNames = ({ step, samples }, again) => {
  if (again && Number(body.rows[0]?.dataset.step) === step) body.deleteRow(0);
  const row = body.insertRow(0);
  row.dataset.step = String(step);
  row.append(element("th", { textContent: grouped(step), scope: "row" }));
  const cell = row.insertCell();
  for (const name of samples) cell.append(element("span", { textContent: name || "·" }), " ");
  while (body.rows.length > ROWS) body.deleteRow(-1);
};
