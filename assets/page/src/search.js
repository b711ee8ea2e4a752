// The search in the sources.
import { $, all, input } from "./dom.js";
import { go, onPlace, setSetting, setting } from "./fragment.js";
import { mark, unmark } from "./lines.js";
import { showLine, showsSources } from "./sources.js";
import { currentView } from "./views.js";

/** @typedef {{ path: string, line: number }} Hit */

/** The least length of a text that is searched for. */
const LEAST = 2;
/** The longest time of a task in milliseconds. */
const TASK = 5;

const query = input("query");
/** The text that `hits` are for. */
let text = "";
/** @type {Hit[]} */
let hits = [];
/** The hit that is shown, or -1. */
let at = -1;
let timer = 0;
/** Resolves to whether no other search has begun meanwhile. @type {Promise<boolean>} */
let done = Promise.resolve(true);

/** The lower-case lines of each file. @type {Map<string, string[]>} */
const lines = new Map();
/** @param {HTMLElement} file */
const linesOf = (file) => {
  const known = lines.get(file.id) ?? (file.querySelector("code")?.textContent ?? "").toLowerCase().split("\n");
  lines.set(file.id, known);
  return known;
};

/** Returns the selector of the files of the view's panes, or of all files if the view has no pane or both. */
const scope = () => {
  const view = currentView();
  return view === "reference" || view === "kernels" ? `#pane-${view} .file` : ".file";
};

/** Shows the number of hits, and which one is shown. */
const tell = () => {
  const count = hits.length === 1 ? "1 line" : `${hits.length.toLocaleString("en")} lines`;
  const found = at >= 0 ? `${at + 1} of ${hits.length}` : hits.length > 0 ? count : "no match";
  $("hits").textContent = text.length >= LEAST ? found : text.length > 0 ? `${LEAST} letters or more` : "";
  for (const id of ["previous", "next"]) $(id).hidden = hits.length === 0;
};

/** Searches in tasks of a few milliseconds. Returns false if another search has begun meanwhile. */
const look = async () => {
  /** @type {Hit[]} */
  const found = [];
  text = query.value.toLowerCase();
  hits = found;
  at = -1;
  unmark("hit");
  unmark("here");
  let start = performance.now();
  for (const file of text.length >= LEAST ? all(scope()) : []) {
    for (const [i, line] of linesOf(file).entries())
      if (line.includes(text)) found.push({ path: file.id, line: i + 1 });
    if (performance.now() - start > TASK) {
      await new Promise((resume) => setTimeout(resume));
      if (hits !== found) return false;
      start = performance.now();
    }
  }
  tell();
  return true;
};

/** Begins a search for the text in the box. */
const find = () => {
  clearTimeout(timer);
  done = look();
};

/**
 * Shows the next hit, or the previous one if `by` is -1.
 * @param {1 | -1} by
 */
const move = async (by) => {
  if (query.value.toLowerCase() !== text) find();
  if (!(await done) || hits.length === 0) return;
  if (!showsSources()) go({ view: "side-by-side" });
  // The first step forward goes to the first hit, and the first step back to the last one.
  at = at < 0 ? (by > 0 ? 0 : hits.length - 1) : (at + by + hits.length) % hits.length;
  const { path, line } = hits[at];
  unmark("hit");
  unmark("here");
  for (const hit of hits) if (hit.path === path) mark({ className: "hit", path, first: hit.line, last: hit.line });
  mark({ className: "here", path, first: line, last: line });
  // A view that has just been opened scrolls to its op first.
  requestAnimationFrame(() => setTimeout(() => requestAnimationFrame(() => showLine(path, line))));
  tell();
};

query.addEventListener("input", () => {
  clearTimeout(timer);
  timer = setTimeout(() => {
    setSetting("q", query.value, "");
    find();
  }, 150);
});
$("search").addEventListener("submit", (event) => {
  event.preventDefault();
  move(1);
});
$("previous").addEventListener("click", () => move(-1));
query.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && event.shiftKey) {
    event.preventDefault();
    move(-1);
  } else if (event.key === "Escape") {
    query.value = "";
    setSetting("q", "", "");
    find();
    query.blur();
  }
});

/** The selector of the files that were searched last. */
let searched = scope();
onPlace(() => {
  const wanted = setting("q", "");
  const isOther = searched !== scope();
  searched = scope();
  if (wanted === query.value && !isOther) return;
  if (document.activeElement !== query) query.value = wanted;
  if (query.value !== "" || text !== "") find();
});
