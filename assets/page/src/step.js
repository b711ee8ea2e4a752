// The view of one training step, opened. Every number is from the kernels' buffers.
import { showCell } from "./cell.js";
import { forgetColours } from "./colours.js";
import { $, all, element } from "./dom.js";
import { go, onPlace, place, repair } from "./fragment.js";
import { labelTips } from "./map.js";
import { notify } from "./notice.js";
import { sentences } from "./numbers.js";
import { onOpened } from "./opened.js";
import { showDocument } from "./step-document.js";
import { OpRows, tipOf } from "./step-ops.js";
import { showUpdate, TensorMaps } from "./step-update.js";
import { isBeyond, stay } from "./timeline.js";
import { AGAIN } from "./trained.js";

/** @import { OpenedStep } from "./buffers.js" */

/** The step on the page. @type {OpenedStep | null} */
let opened = null;
/** The cell whose sum is shown. @type {{ name: string, index: number[] } | null} */
let picked = null;

/** @type {import("./map.js").Listener} */
const listener = { point: () => {}, pick: (shown, index) => pick(shown.name, index) };
const rows = new OpRows($("step-rows"), listener);
const tensors = new TensorMaps($("step-tensors"), listener);

/**
 * Picks a cell. The address names it with its step.
 * @param {string} name
 * @param {number[]} index
 */
const pick = (name, index) => {
  go({ view: "step", part: `${name}:${index.join(",")}`, settings: { at: stay() } });
};

/** Shows the picked cell, its map's mark, and its sum. */
const showPicked = () => {
  const [name, at = ""] = place().part.split(":", 2);
  const index = at.split(",").map(Number);
  const shown = picked && `${picked.name}:${picked.index}`;
  picked = opened?.has(name, index) ? { name, index } : null;
  // Another sum is read from its beginning.
  if (picked && shown !== `${name}:${index}`) $("cell").scrollTop = 0;
  if (opened && !picked && name !== "") {
    repair({ part: "" });
    notify("The page leaves out what it cannot use of this address.", [
      `The step has no cell “${[name, at].filter(Boolean).join(":")}”.`,
    ]);
  }
  rows.mark(picked?.name ?? null, index);
  tensors.mark(picked?.name ?? null, index);
  $("cell").classList.toggle("filled", picked !== null);
  $("cell-close").hidden = picked === null;
  if (opened && picked) showCell(opened, picked.name, picked.index, pick);
  else
    $("cell-body").replaceChildren(
      element("h3", { textContent: "Where does a number come from?" }),
      element("p", {
        textContent:
          "Pick a cell of any map. Here stands the sum that made it, and every factor leads on to its own cell, back to the letters or on to the loss.",
      }),
    );
};

/**
 * Shows the cells that a newcomer may start with.
 * @param {{ tensor: string, index: number[] }} mover the weight that moved most
 */
const showQuestions = (mover) => {
  if (!opened) return;
  const last = opened.n - 1;
  const { tokens, ids } = opened.reply;
  const letter = `“${tokens[last]}”`;
  /** @type {[string, string, number[]][]} */
  const questions = [
    [`What does the position of ${letter} look for? A query`, "layer0.q", [last, 0]],
    ["How much does head 1 take from one position back?", "layer0.probs", [0, last, Math.max(0, last - 1)]],
    ["Why is the gradient of a logit p − y?", "dlogits", [last, ids[last + 1]]],
    ["How did the weight move that moved most?", mover.tensor, mover.index],
  ];
  // A step beyond the run moves no weight.
  if (isBeyond()) questions.pop();
  const items = questions.map(([text, name, index]) => {
    const button = element("button", { type: "button", className: "link", textContent: text });
    button.addEventListener("click", () => pick(name, index));
    return element("li", {}, button);
  });
  $("cell-questions").replaceChildren(...items);
};

/** Draws the step. */
const show = () => {
  if (!opened) return;
  showDocument(opened, pick);
  rows.show(opened);
  tensors.show(opened);
  showQuestions(showUpdate(opened, pick));
  if (isBeyond()) showBeyond(opened.reply.step - 1);
  $("view-step").classList.toggle("beyond", isBeyond());
  showPicked();
};

/**
 * Says that the step would follow the run of the program.
 * @param {number} steps the number of steps of the run
 */
const showBeyond = (steps) => {
  const [number, text] = all("#step-lead strong");
  const follows = ` would follow the ${steps.toLocaleString("en")} steps of the program’s run, and train on `;
  $("step-lead").replaceChildren(number, follows, text, `. ${AGAIN}`);
  $("step-moved").textContent = `The run is over and its learning rate is 0, so this step moves no weight. ${AGAIN}`;
};

/** Starts the view. */
export const startStep = () => {
  labelTips((map, cell) => (opened ? tipOf(opened, map, cell) : ""));
  $("view-step").classList.add("empty");
  onOpened((step, error) => {
    $("step-message").hidden = error === "";
    $("step-message").textContent = error === "" ? "" : sentences(error);
    opened = step;
    if (!step) {
      $("view-step").classList.add("empty");
      delete $("view-step").dataset.step;
    }
    if (!step || place().view !== "step") return;
    $("view-step").classList.remove("empty");
    show();
    $("view-step").dataset.step = String(step.reply.step);
  });
  onPlace(({ view }) => {
    if (view === "step") showPicked();
  });
  const close = () => go({ part: "" }, { replace: true });
  $("cell-close").addEventListener("click", close);
  $("view-step").addEventListener("keydown", ({ key }) => {
    if (key === "Escape") close();
  });
  let width = 0;
  new ResizeObserver(([entry]) => {
    if (Math.abs(entry.contentRect.width - width) < 8) return;
    width = entry.contentRect.width;
    rows.measure();
    tensors.width = width;
    show();
  }).observe($("step-rows"));
  const recolour = () => {
    forgetColours();
    rows.repaint();
    tensors.repaint();
  };
  new MutationObserver(recolour).observe(document.documentElement, { attributeFilter: ["data-theme"] });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", recolour);
  matchMedia("(forced-colors: active)").addEventListener("change", recolour);
};
