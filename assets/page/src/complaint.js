// The error that stands beside each button that trains.
import { $, all, prefersLessMotion } from "./dom.js";

/**
 * Returns whether an element is in the window.
 * @param {HTMLElement} element
 */
const isInView = (element) => {
  const { top, bottom } = element.getBoundingClientRect();
  return element.checkVisibility() && top >= 0 && bottom <= innerHeight;
};

/**
 * Shows an error, or hides the last one if `text` is empty.
 * @param {string} text
 */
export const complain = (text) => {
  const shown = text.replace(/^error: /, "");
  for (const box of all(".complaint")) {
    const isSame = box.textContent === shown;
    box.hidden = shown === "";
    box.textContent = shown;
    if (shown === "" || !box.checkVisibility()) continue;
    // An error at the text that the user looks at is enough.
    if (!isInView($("corpus-message"))) box.scrollIntoView({ block: "nearest" });
    // A button that does nothing twice would seem broken.
    if (isSame && !prefersLessMotion())
      box.animate({ transform: ["translateX(-4px)", "translateX(3px)", "none"] }, 250);
  }
};

/**
 * Shows at the box what is wrong with the user's text, or hides the last error if `text` is empty.
 * @param {string} text
 */
export const complainOfCorpus = (text) => {
  $("corpus-message").hidden = text === "";
  $("corpus-message").textContent = text;
  if (text !== "" && isInView($("corpus"))) $("corpus-message").scrollIntoView({ block: "nearest" });
};
