// The meaning of a term, which a button in the text shows. The generator makes the buttons, and the list of all terms.
import { $, all, element } from "./dom.js";

/** The width of the box in pixels, and its distance from the term and the edges of the window. */
const [WIDTH, GAP] = [340, 8];

const box = $("term");
/** The meanings by term. @type {Map<string, string>} */
const meanings = new Map(
  all("#glossary dt").map((term) => [term.textContent ?? "", term.nextElementSibling?.textContent ?? ""]),
);

/**
 * Fills the box with the meaning of a term, and puts it below the term, or above it near the window's lower edge.
 * @param {HTMLElement} button
 */
const fill = (button) => {
  const term = button.dataset.term ?? "";
  box.replaceChildren(element("strong", { textContent: term }), ` ${meanings.get(term) ?? ""}`);
  const { left, top, bottom } = button.getBoundingClientRect();
  const width = Math.min(WIDTH, innerWidth - 2 * GAP);
  const below = bottom < innerHeight / 2;
  Object.assign(box.style, {
    width: `${width}px`,
    left: `${Math.max(GAP, Math.min(left, innerWidth - width - GAP))}px`,
    top: below ? `${bottom + GAP}px` : "auto",
    bottom: below ? "auto" : `${innerHeight - top + GAP}px`,
  });
};

document.addEventListener("click", ({ target }) => {
  const button = target instanceof Element ? target.closest(".term") : null;
  if (button instanceof HTMLElement) fill(button);
});
// The box is fixed in the window, so it would lose its term.
addEventListener(
  "scroll",
  () => {
    if (box.matches(":popover-open")) box.hidePopover();
  },
  { passive: true },
);
