// The keys of the page.
import { $ } from "./dom.js";
import { train } from "./live.js";
import { moveOp, showsSources } from "./sources.js";
import { switchTheme } from "./theme.js";
import { goToView } from "./views.js";

/**
 * Serves a key, and returns whether the page has a use for it.
 * @param {string} key
 */
const serve = (key) => {
  if (/^[1-9]$/.test(key)) return goToView(key);
  if (key === "/") $("query").focus();
  else if (key === "t") train();
  else if (key === "d") switchTheme();
  else if (key === "j" && showsSources()) moveOp(1);
  else if (key === "k" && showsSources()) moveOp(-1);
  else return false;
  return true;
};

addEventListener("keydown", (event) => {
  const typing = event.target instanceof Element && event.target.matches("input, textarea, select");
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  if (serve(event.key)) event.preventDefault();
});
