// The views of the sources. A pane that the user scrolls leads, and the other one follows to the same op.
import { $, all, element, json } from "./dom.js";
import { go, onPlace, setSetting, setting } from "./fragment.js";
import { endScroll, lineAt, lineElement, mark, scrollToLine, unmark } from "./lines.js";
import { currentView } from "./views.js";

/** The path of a file and its first and last line, counted from 1. @typedef {{ path: string, lines: [number, number] }} Place */
/** An op with its place in both sources. @typedef {{ name: string, reference: Place, kernels: Place }} Op */

/** @type {Op[]} */
const ops = json("op-places");
const SIDES = /** @type {const} */ (["reference", "kernels"]);
const panes = { reference: $("pane-reference"), kernels: $("pane-kernels") };
/** The distance in pixels from the top of a pane to the first line of its op. */
const LEAD = 70;
/** The distance in pixels below `LEAD` at which a pane is read. */
const BELOW = 40;

/** The list of the ops in a narrow window. */
const pick = $("op-pick", HTMLSelectElement);
pick.append(...ops.map(({ name }) => element("option", { textContent: name })));
pick.addEventListener("change", () => {
  leader = null;
  go({ part: pick.value });
});

let current = ops[0];
/** The pane that the user scrolls. @type {HTMLElement | null} */
let leader = null;
/** The view and the op that the panes were scrolled to last. */
let shown = "";
/** The line that the fragment named last. */
let lastLine = "";
/** Whether a pane comes into view for one of its lines. Otherwise it comes with its op. */
let jumping = false;

/** Returns whether the page shows sources. */
export const showsSources = () => !$("code").hidden;

/**
 * Shows the math of an op, and scrolls to it in each pane except the leader.
 * @param {Op} op
 */
const show = (op) => {
  current = op;
  unmark("op");
  for (const link of all("#ops a")) {
    if (link.dataset.op === op.name) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }
  pick.value = op.name;
  for (const doc of all("#op article")) doc.hidden = doc.dataset.op !== op.name;
  for (const side of SIDES) {
    const { path, lines } = op[side];
    mark({ className: "op", path, first: lines[0], last: lines[1] });
    const line = lineElement(path, lines[0]);
    if (line && panes[side] !== leader) scrollToLine(panes[side], line, LEAD);
  }
  $("op").scrollTop = 0;
};

/**
 * Shows the op `by` places after the current one.
 * @param {number} by
 */
export const moveOp = (by) => {
  leader = null;
  go({ part: ops[(ops.indexOf(current) + by + ops.length) % ops.length].name });
};

/**
 * Shows a line in its pane, a third below the top.
 * @param {string} path
 * @param {number} number
 */
export const showLine = (path, number) => {
  const line = lineElement(path, number);
  const pane = line?.closest(".pane");
  if (!line || !(pane instanceof HTMLElement)) return;
  leader = null;
  if (!pane.offsetParent) {
    jumping = true;
    showPane(pane === panes.reference ? "reference" : "kernels");
    jumping = false;
  }
  scrollToLine(pane, line, Math.max(LEAD, pane.clientHeight / 3));
};

/**
 * Shows one of the panes of a narrow window: `reference`, `math` or `kernels`.
 * @param {string} name
 */
const showPane = (name) => setSetting("pane", name, "reference");

/**
 * Returns the op that lies where `show` puts one.
 * @param {"reference" | "kernels"} side
 */
const opAt = (side) => {
  const box = panes[side].getBoundingClientRect();
  const at = lineAt(box.left + box.width / 2, box.top + LEAD + BELOW);
  return (
    at && ops.find(({ [side]: { path, lines } }) => path === at.path && lines[0] <= at.line && at.line <= lines[1])
  );
};

for (const side of SIDES) {
  const pane = panes[side];
  // Only a pane that the user touches leads. The other one scrolls too, but by script.
  for (const kind of ["wheel", "touchstart", "pointerdown", "keydown"]) {
    const lead = () => {
      leader = pane;
      endScroll(pane);
    };
    pane.addEventListener(kind, lead, { passive: true });
  }
  let frame = 0;
  const follow = () => {
    frame = 0;
    const op = leader === pane && opAt(side);
    if (!op || op === current) return;
    show(op);
    shown = `${currentView()}/${op.name}`;
    go({ part: op.name }, { replace: true });
  };
  const scrolled = () => {
    if (leader === pane && frame === 0) frame = requestAnimationFrame(follow);
  };
  pane.addEventListener("scroll", scrolled, { passive: true });
}

for (const button of all("#pane-switch button"))
  button.addEventListener("click", () => showPane(button.dataset.pane ?? ""));

onPlace(({ view, part, settings }) => {
  if (!showsSources()) {
    shown = "";
    return;
  }
  const pane = setting("pane", "reference");
  const switched = document.body.dataset.pane !== pane;
  document.body.dataset.pane = pane;
  for (const button of all("#pane-switch button"))
    button.setAttribute("aria-pressed", String(button.dataset.pane === pane));

  const [path, number] = (settings.get("line") ?? "").split(":");
  unmark("linked");
  mark({ className: "linked", path, first: Number(number), last: Number(number) });
  const op = ops.find((op) => op.name === part) ?? current;
  const now = `${view}/${op.name}`;
  const line = settings.get("line") ?? "";
  if (now !== shown) {
    shown = now;
    leader = null;
    // The next key counts from this op, also if it comes before the op is shown.
    current = op;
    // The view and the op are laid out in two tasks, since one task would take long.
    requestAnimationFrame(() =>
      setTimeout(() => {
        if (current !== op) return;
        show(op);
        if (line !== "") showLine(path, Number(number));
      }),
    );
  } else if (line !== "" && line !== lastLine) showLine(path, Number(number));
  else if (switched && !jumping) requestAnimationFrame(() => show(current));
  lastLine = line;
});
