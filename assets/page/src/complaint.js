// The error that the live view shows.
import { $ } from "./dom.js";

/**
 * Shows an error, or hides the last one if `text` is empty.
 * @param {string} text
 */
export const complain = (text) => {
  $("message").hidden = text === "";
  $("message").textContent = text.replace(/^error: /, "");
  if (text !== "") $("message").scrollIntoView({ block: "nearest" });
};
