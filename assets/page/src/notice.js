// A notice above every view. It stays until it is closed, or until another address is opened.
import { $, element } from "./dom.js";
import { onCheck } from "./fragment.js";

/**
 * Adds a notice with a list of reasons.
 * @param {string} text
 * @param {string[]} reasons
 */
export const notify = (text, reasons) => {
  $("notice-text").append(
    element("p", { textContent: text }),
    element("ul", {}, ...reasons.map((reason) => element("li", { textContent: reason }))),
  );
  $("notice").hidden = false;
};

/** Closes the notice. */
const close = () => {
  $("notice-text").replaceChildren();
  $("notice").hidden = true;
};

$("notice-close").addEventListener("click", close);
// A module that notifies imports this one, so its own check of the new place comes later.
onCheck((_, isOpened) => isOpened && close());
