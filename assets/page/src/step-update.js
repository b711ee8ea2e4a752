// The gradients of the weights, and the update by AdamW.
import { largest, OpenedStep } from "./buffers.js";
import { $, element, grouped } from "./dom.js";
import { labelOf } from "./labels.js";
import { CellMap } from "./map.js";
import { digits, pair } from "./numbers.js";

/** @typedef {(name: string, index: number[]) => void} Pick */

/** The number of weights that are listed. */
const MOVERS = 8;
/** A weight has moved if it changed by more than this part of the learning rate. Decay alone changes it by far less. */
const MOVED = 0.01;

/** The maps of the weights. */
export class TensorMaps {
  /**
   * @param {HTMLElement} box
   * @param {import("./map.js").Listener} listener
   */
  constructor(box, listener) {
    this.box = box;
    this.listener = listener;
    this.key = "";
    /** The width of the box. */
    this.width = box.clientWidth;
    /** @type {Map<string, CellMap>} */
    this.maps = new Map();
  }

  /**
   * Draws weights, gradients and changes.
   * @param {OpenedStep} step
   */
  show(step) {
    const key = step.tensors.join();
    if (this.key !== key) {
      this.key = key;
      this.maps.clear();
      this.box.replaceChildren(...step.tensors.map((tensor) => this.rowOf(tensor)));
    }
    const changes = changesOf(step);
    // Changes have one scale for all tensors, so that a tensor that hardly moves looks so.
    const fastest = Math.max(...changes.map(({ changes }) => largest(changes)));
    for (const { tensor, changes: change } of changes) {
      const [rows, cols] = step.buffer(tensor).shape;
      /** @type {[string, string, ArrayLike<number> & Float32Array][]} */
      const maps = [
        ["", "weight", step.buffer(tensor).values],
        [".grad", "gradient", step.buffer(`${tensor}.grad`).values],
        [".after", "change", change],
      ];
      const width = Math.max(90, (Math.min(this.width, cols > 32 ? 1000 : 480) - 40) / 3);
      for (const [suffix, title, values] of maps) {
        const most = largest(values);
        this.maps.get(tensor + suffix)?.show(
          {
            name: tensor + suffix,
            lead: [],
            values,
            rows,
            cols,
            most: suffix === ".after" ? fastest : most,
            title: `${title} ±${digits(most)}`,
            label: `${title} of ${tensor}`,
          },
          Math.min(width, 8 * cols),
        );
      }
    }
  }

  /** @param {string} tensor */
  rowOf(tensor) {
    const maps = ["", ".grad", ".after"].map((suffix) => {
      const map = new CellMap(this.listener);
      this.maps.set(tensor + suffix, map);
      return map.root;
    });
    return element(
      "div",
      { className: "tensor" },
      element("h3", { textContent: tensor }),
      element("div", { className: "tensor-maps" }, ...maps),
    );
  }

  /**
   * Marks the picked cell on its map.
   * @param {string | null} name
   * @param {number[]} index
   */
  mark(name, index) {
    for (const [key, map] of this.maps)
      map.markPicked(key === name ? /** @type {[number, number]} */ (index.slice(-2)) : null);
  }

  /** Draws all maps again, in other colours. */
  repaint() {
    for (const map of this.maps.values()) map.repaint();
  }
}

/**
 * The changes of a tensor's weights.
 * @typedef {{ tensor: string, count: number, moved: number, mean: number, changes: Float32Array }} Change
 */

/**
 * Returns the changes of each tensor.
 * @param {OpenedStep} step
 * @returns {Change[]}
 */
const changesOf = (step) =>
  step.tensors.map((tensor) => {
    const before = step.buffer(tensor).values;
    const changes = step.buffer(`${tensor}.after`).values.map((after, i) => after - before[i]);
    const moved = changes.filter((change) => Math.abs(change) > MOVED * step.reply.optimizer.learning_rate);
    const mean = moved.reduce((sum, change) => sum + Math.abs(change), 0) / Math.max(1, moved.length);
    return { tensor, count: changes.length, moved: moved.length, mean, changes };
  });

/**
 * Returns the weights that moved most, the largest change first.
 * @param {OpenedStep} step
 * @param {Change[]} [changes]
 */
export const moversOf = (step, changes = changesOf(step)) => {
  const all = changes.flatMap(({ tensor, changes }) => [...changes].map((change, i) => ({ tensor, change, i })));
  all.sort((a, b) => Math.abs(b.change) - Math.abs(a.change));
  return all.slice(0, MOVERS).map(({ tensor, i }) => {
    const cols = step.buffer(tensor).shape[1];
    return { tensor, index: [Math.floor(i / cols), i % cols] };
  });
};

/**
 * Returns the sentences on the update.
 * @param {OpenedStep} step
 * @param {Change[]} changes
 */
const story = (step, changes) => {
  const { step: number, optimizer } = step.reply;
  const lr = digits(optimizer.learning_rate);
  const [count, moved] = [
    changes.reduce((sum, { count }) => sum + count, 0),
    changes.reduce((sum, { moved }) => sum + moved, 0),
  ];
  const still = changes.filter(({ moved }) => moved === 0).map(({ tensor }) => tensor.replace(/^layer0\./, ""));
  const share = `${grouped(moved)} of ${grouped(count)} weights moved by more than 1 % of the learning rate`;
  const absent = "No gradient comes to the rows of wpe for positions after the end of the document.";
  if (number > 1)
    return `${share}. The learning rate of this step is ${lr}. A weight whose gradients agree from step to step moves by about that much, and one whose gradients cancel hardly moves. ${absent}`;
  const why =
    still.length > 0
      ? ` ${still.join(", ")} moved by the weight decay alone: wo and fc2 begin at zero, so no gradient comes through them yet.`
      : "";
  return `In the first step ${share}, and nearly all by the same amount, the learning rate ${lr}. AdamW divides the mean gradient by the root of the mean square, and after one step that is g / |g|: only the sign counts. ${absent}${why}`;
};

/**
 * Returns a weight before and after the step, with as many decimals as show its change.
 * @param {number} before
 * @param {number} after
 */
const valuesOf = (before, after) => {
  const [first, second] = pair(before, after).map((text) => element("span", { className: "value", textContent: text }));
  return [first, " → ", second];
};

/**
 * Shows the clip and the update of a step, and returns the weight that moved most.
 * @param {OpenedStep} step
 * @param {Pick} pick
 */
export const showUpdate = (step, pick) => {
  const { grad_norm: norm, clip, optimizer } = step.reply;
  $("step-clip").replaceChildren(
    "All gradients together have the norm ",
    element("strong", { className: "value", textContent: digits(norm) }),
    clip < 1
      ? `, more than ${optimizer.max_grad_norm}. So all are clipped, multiplied by ${digits(clip)}, and keep their direction.`
      : `, at most ${optimizer.max_grad_norm}. So they are not clipped.`,
  );
  const changes = changesOf(step);
  $("step-moved").textContent = story(step, changes);
  const most = Math.max(...changes.map(({ mean }) => mean));
  const rows = changes.map(({ tensor, count, moved, mean }) => {
    const bar = element("span", { className: "change-bar" });
    bar.style.setProperty("--share", `${most > 0 ? (100 * mean) / most : 0}%`);
    return element(
      "tr",
      {},
      element("th", { scope: "row", textContent: tensor }),
      element("td", { className: "value", textContent: `${grouped(moved)} of ${grouped(count)}` }),
      element("td", {}, bar, element("span", { className: "value", textContent: digits(mean) })),
    );
  });
  $("step-changes", HTMLTableElement).tBodies[0].replaceChildren(...rows);
  const ranked = moversOf(step, changes);
  const movers = ranked.map(({ tensor, index }) => {
    const label = labelOf(step, tensor, index);
    const button = element("button", { type: "button", className: "link", textContent: label });
    button.addEventListener("click", () => pick(tensor, index));
    const [before, after] = [step.at(tensor, index), step.at(`${tensor}.after`, index)];
    return element(
      "tr",
      {},
      element("th", { scope: "row" }, button),
      element("td", { className: "value", textContent: digits(step.at(`${tensor}.grad`, index)) }),
      element("td", { className: "value", textContent: digits(after - before) }),
      element("td", {}, ...valuesOf(before, after)),
    );
  });
  $("step-movers", HTMLTableElement).tBodies[0].replaceChildren(...movers);
  return ranked[0];
};
