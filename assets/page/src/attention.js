// The attention of each head of the last layer, as tables.
import { $, element, input } from "./dom.js";
import { counted, sentences } from "./numbers.js";

/** @import { Attention } from "./engine.js" */

const box = $("heads");
/** The tokens and the number of heads that the tables are for. */
let shown = "";
/** The probabilities of each head, by query and key. @type {number[][][]} */
let latest = [];
/** The number of heads whose cells show older probabilities. */
let older = 0;
/** The head that is painted next. */
let next = 0;
/** The request of a frame that paints, or 0. */
let frame = 0;

/**
 * Returns an empty table for the attention of head `h`, with a row for each query and a column for each key.
 * @param {string[]} tokens
 * @param {number} h
 */
const table = (tokens, h) => {
  /**
   * @param {string} token
   * @param {string} scope
   */
  const label = (token, scope) => element("th", { textContent: token === "<BOS>" ? "·" : token, scope, title: token });
  const table = element("table");
  table.createCaption().textContent = `head ${h + 1}`;
  const corner = element("td");
  table
    .createTHead()
    .insertRow()
    .append(corner, ...tokens.map((token) => label(token, "col")));
  const body = table.createTBody();
  for (const [t, token] of tokens.entries()) {
    const row = body.insertRow();
    row.append(label(token, "row"));
    for (const key of tokens.keys()) row.insertCell().className = key <= t ? "seen" : "later";
  }
  return table;
};

/** Hides the tables, which show another model or another text. */
export const hideAttention = () => box.classList.add("stale");

/**
 * Shows the attention of each head, or the error for its text.
 * @param {Attention} attention
 */
export const showAttention = ({ tokens, heads, error }) => {
  const isCut = tokens !== undefined && tokens.length <= [...input("text").value].length;
  const cut = isCut ? `Only ${counted(tokens.length, "token")} fit the block, the dot first.` : "";
  $("attention-message").textContent = error === undefined ? cut : sentences(error);
  if (!tokens || !heads) return hideAttention();
  box.classList.remove("stale");
  const key = JSON.stringify([tokens, heads.length]);
  if (shown !== key) {
    shown = key;
    box.style.setProperty("--n", String(tokens.length));
    box.replaceChildren(...heads.map((_, h) => table(tokens, h)));
  }
  latest = heads;
  older = heads.length;
  if (frame === 0) frame = requestAnimationFrame(paintNext);
};

/** Paints a head. Each frame paints one, since the style of all cells would take most of a frame's time. */
const paintNext = () => {
  next %= latest.length;
  const body = /** @type {HTMLTableElement} */ (box.children[next]).tBodies[0];
  for (const [t, row] of latest[next].entries()) {
    for (const [key, probability] of row.slice(0, t + 1).entries()) paint(body.rows[t].cells[key + 1], probability);
  }
  next += 1;
  older -= 1;
  frame = older > 0 ? requestAnimationFrame(paintNext) : 0;
};

/**
 * Shows a probability in a cell.
 * @param {HTMLTableCellElement} cell
 * @param {number} probability
 */
const paint = (cell, probability) => {
  const percent = Math.round(100 * probability);
  if (cell.dataset.percent === String(percent)) return;
  cell.dataset.percent = String(percent);
  cell.style.setProperty("--p", `${percent}%`);
  cell.title = `${percent} %`;
  cell.setAttribute("aria-label", `${percent} %`);
};
