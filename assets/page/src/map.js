// A map of a buffer: a cell for each value, with a pointer and the keyboard to read and pick cells.
import { paint } from "./colours.js";
import { element } from "./dom.js";
import { digits } from "./numbers.js";

/** The height of a cell in pixels. */
const HEIGHT = 14;
/** The largest width of a cell in pixels. */
const WIDTH = 14;

/**
 * A part of a buffer `[.., rows, cols]` as it is drawn. The leading indices are `lead`.
 * @typedef {{ name: string, lead: number[], values: ArrayLike<number>, rows: number, cols: number, most: number,
 *   title: string, label: string, marks?: [number, number][] }} Shown
 */
/**
 * The places of a map's cells for the page around it.
 * @typedef {{ point: (shown: Shown, index: number[] | null, box: DOMRect | null) => void,
 *   pick: (shown: Shown, index: number[]) => void }} Listener
 */

/** The box that shows the value under the pointer. There is one for all maps. */
const tip = element("div", { className: "map-tip", hidden: true });
tip.setAttribute("aria-hidden", "true");

/** A map on the page. */
export class CellMap {
  /** @param {Listener} listener */
  constructor(listener) {
    this.listener = listener;
    /** @type {Shown | null} */
    this.shown = null;
    this.cursor = [0, 0];
    this.title = element("span", { className: "map-title" });
    this.canvas = element("canvas");
    this.mark = element("div", { className: "map-cursor", hidden: true });
    this.marks = element("div", { className: "map-marks" });
    this.cells = element("div", { className: "map-cells", tabIndex: 0 }, this.canvas, this.marks, this.mark);
    this.cells.setAttribute("role", "application");
    this.cells.setAttribute("aria-roledescription", "map of values");
    this.root = element("div", { className: "map" }, this.title, this.cells);
    this.listen();
  }

  /** Follows pointer and keyboard. */
  listen() {
    const { cells } = this;
    cells.addEventListener("pointermove", (event) => this.pointAt(this.cellOf(event), event));
    cells.addEventListener("pointerleave", () => this.pointAt(null));
    cells.addEventListener("blur", () => this.mark.toggleAttribute("hidden", !this.picked));
    cells.addEventListener("focus", () => this.moveTo(this.cursor));
    cells.addEventListener("click", (event) => {
      const cell = this.cellOf(event);
      if (cell) this.pick(cell);
    });
    cells.addEventListener("keydown", (event) => {
      const moves = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
      const move = moves[/** @type {keyof typeof moves} */ (event.key)];
      if (!this.shown || event.ctrlKey || event.metaKey || event.altKey) return;
      if (move) this.moveTo([this.cursor[0] + move[0], this.cursor[1] + move[1]]);
      else if (event.key === "Home") this.moveTo([this.cursor[0], 0]);
      else if (event.key === "End") this.moveTo([this.cursor[0], this.shown.cols - 1]);
      else if (event.key === "Enter" || event.key === " ") this.pick(this.cursor);
      else return;
      event.preventDefault();
      event.stopPropagation();
    });
  }

  /**
   * Draws a buffer.
   * @param {Shown} shown
   * @param {number} available the width in pixels that the map may take
   */
  show(shown, available) {
    const { rows, cols } = shown;
    this.shown = shown;
    this.width = Math.max(2, Math.min(WIDTH, Math.floor(available / cols)));
    this.height = rows > 32 ? Math.max(3, Math.floor(384 / rows)) : HEIGHT;
    this.root.style.setProperty("--cw", `${this.width}px`);
    this.root.style.setProperty("--ch", `${this.height}px`);
    this.cells.style.width = `${this.width * cols}px`;
    this.cells.style.height = `${this.height * rows}px`;
    this.title.textContent = shown.title;
    this.cells.setAttribute(
      "aria-label",
      `${shown.label}, ${rows} rows and ${cols} columns, values up to ${digits(shown.most)}`,
    );
    paint(this.canvas, shown.values, rows, cols, shown.most);
    this.marks.replaceChildren(...(shown.marks ?? []).map(([row, col]) => this.place(element("i"), row, col)));
    this.cursor = [Math.min(this.cursor[0], rows - 1), Math.min(this.cursor[1], cols - 1)];
  }

  /**
   * Puts an element on a cell.
   * @template {HTMLElement} T
   * @param {T} element
   * @param {number} row
   * @param {number} col
   */
  place(element, row, col) {
    element.style.left = `${col * (this.width ?? WIDTH)}px`;
    element.style.top = `${row * (this.height ?? HEIGHT)}px`;
    return element;
  }

  /**
   * Returns the cell under a pointer.
   * @param {MouseEvent} event
   * @returns {[number, number] | null}
   */
  cellOf(event) {
    if (!this.shown) return null;
    const box = this.cells.getBoundingClientRect();
    const row = Math.floor((event.clientY - box.top) / (this.height ?? HEIGHT));
    const col = Math.floor((event.clientX - box.left) / (this.width ?? WIDTH));
    return row >= 0 && col >= 0 && row < this.shown.rows && col < this.shown.cols ? [row, col] : null;
  }

  /**
   * Shows the value of a cell near a pointer, or none.
   * @param {[number, number] | null} cell
   * @param {MouseEvent} [event]
   */
  pointAt(cell, event) {
    const { shown } = this;
    if (!cell || !shown || !event) {
      tip.hidden = true;
      this.listener.point(/** @type {Shown} */ (shown), null, null);
      return;
    }
    if (!tip.isConnected) document.body.append(tip);
    this.listener.point(shown, [...shown.lead, ...cell], this.cells.getBoundingClientRect());
    const value = shown.values[cell[0] * shown.cols + cell[1]];
    tip.textContent = `${tipLabel(this, cell)} = ${digits(value)}`;
    tip.hidden = false;
    const left = Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8);
    tip.style.transform = `translate(${Math.max(4, left)}px, ${Math.max(4, event.clientY - 34)}px)`;
  }

  /**
   * Moves the cursor of the keyboard.
   * @param {number[]} cell
   */
  moveTo([row, col]) {
    if (!this.shown) return;
    const { rows, cols, lead } = this.shown;
    this.cursor = [Math.max(0, Math.min(rows - 1, row)), Math.max(0, Math.min(cols - 1, col))];
    this.place(this.mark, this.cursor[0], this.cursor[1]).hidden = false;
    this.listener.point(this.shown, [...lead, ...this.cursor], null);
  }

  /**
   * Picks a cell.
   * @param {number[]} cell
   */
  pick(cell) {
    if (!this.shown) return;
    this.cursor = [...cell];
    this.listener.pick(this.shown, [...this.shown.lead, ...cell]);
  }

  /**
   * Marks the cell that is picked, or none.
   * @param {[number, number] | null} cell
   */
  markPicked(cell) {
    this.picked = cell !== null;
    this.mark.hidden = !cell;
    this.root.classList.toggle("picked", cell !== null);
    if (cell) {
      this.cursor = cell;
      this.place(this.mark, cell[0], cell[1]);
    }
  }

  /** Draws the same values again, in other colours. */
  repaint() {
    if (this.shown) paint(this.canvas, this.shown.values, this.shown.rows, this.shown.cols, this.shown.most);
  }
}

/** The label of a cell for the tip. The page sets it, because only a step knows its tokens. @type {(map: CellMap, cell: [number, number]) => string} */
let tipLabel = (map, [row, col]) => `${map.shown?.title ?? ""}[${row}, ${col}]`;

/**
 * Sets the label of cells under the pointer.
 * @param {typeof tipLabel} label
 */
export const labelTips = (label) => {
  tipLabel = label;
};
