// The lines of the sources. The generator writes a file in chunks of a few lines. A chunk gets an element for each line
// when it comes into view, or when one of its lines is marked or scrolled to.
import { all } from "./dom.js";
import { fragment } from "./fragment.js";

/** A range of lines with a class. `first` and `last` count from 1. @typedef {{ className: string, path: string, first: number, last: number }} Mark */

/** The chunks of each file. @type {Map<string, HTMLElement[]>} */
const files = new Map(all(".file").map((file) => [file.id, all(".chunk", file)]));
/** The number of lines of a chunk. */
const CHUNK = Number([...files.values()][0]?.[0]?.dataset.lines ?? 1);
/** The chunks with an element for each line. @type {Set<HTMLElement>} */
const split = new Set();

/**
 * Gives each line of a chunk an element.
 * @param {HTMLElement} chunk
 */
const splitChunk = (chunk) => {
  if (split.has(chunk)) return;
  split.add(chunk);
  const path = chunk.closest(".file")?.id ?? "";
  const first = Number(chunk.dataset.first) + 1;
  // A token of several lines, such as a comment, is open at the end of a line and goes on in the next one.
  let open = "";
  const lines = chunk.innerHTML.replace(/\n(<\/[ibu]>)?$/, "$1").split("\n");
  chunk.innerHTML = lines
    .map((line, i) => {
      const text = open + line;
      const [tag] = line.match(/<[ibu](?: class="\w")?>(?!.*<\/[ibu]>)/) ?? [];
      open = tag ?? (/<\/[ibu]>/.test(line) ? "" : open);
      const to = `data-line="${path}:${first + i}"`;
      return `<span class="line"><a class="number" tabindex="-1" aria-hidden="true" data-number="${first + i}" ${to}></a><span>${text}${open && `</${open[1]}>`}\n</span></span>`;
    })
    .join("");
};

/**
 * Returns the element of a line, counted from 1, or null if there is none.
 * @param {string} path
 * @param {number} line
 * @returns {HTMLElement | null}
 */
export const lineElement = (path, line) => {
  const chunk = files.get(path)?.[Math.floor((line - 1) / CHUNK)];
  if (!chunk || !(line >= 1)) return null;
  splitChunk(chunk);
  return /** @type {HTMLElement | null} */ (chunk.children[(line - 1) % CHUNK]) ?? null;
};

/**
 * Gives lines a class.
 * @param {Mark} mark
 */
export const mark = ({ className, path, first, last }) => {
  for (let line = first; line <= last; line++) lineElement(path, line)?.classList.add(className);
};

/**
 * Takes a class from all lines.
 * @param {string} className
 */
export const unmark = (className) => {
  for (const line of all(`.line.${className}`)) line.classList.remove(className);
};

/**
 * Returns the path and the number of the line at a point of the window, or null if there is no line.
 * @param {number} x
 * @param {number} y
 */
export const lineAt = (x, y) => {
  const chunk = document.elementFromPoint(x, y)?.closest(".chunk");
  if (chunk instanceof HTMLElement) splitChunk(chunk);
  const line = document.elementFromPoint(x, y)?.closest(".line");
  const number = line?.querySelector(".number");
  if (!(number instanceof HTMLElement)) return null;
  return { path: line?.closest(".file")?.id ?? "", line: Number(number.dataset.number) };
};

/** The scroll that each pane is in. @type {Map<HTMLElement, object>} */
const scrolls = new Map();
/** The number of frames in which a scroll is corrected. Chunks that come into view get their height only then. */
const FRAMES = 8;

/**
 * Scrolls a pane until a line is `lead` pixels below the pane's top.
 * @param {HTMLElement} pane
 * @param {HTMLElement} line
 * @param {number} lead
 */
export const scrollToLine = (pane, line, lead) => {
  const scroll = {};
  scrolls.set(pane, scroll);
  let frames = FRAMES;
  const settle = () => {
    if (scrolls.get(pane) !== scroll || !pane.offsetParent) return;
    const by = line.getBoundingClientRect().top - pane.getBoundingClientRect().top - lead;
    // Whole pixels give the same picture from whichever side a line is reached.
    const top = Math.round(pane.scrollTop + by);
    if (top !== pane.scrollTop) pane.scrollTo({ top, behavior: "instant" });
    frames -= 1;
    if (frames > 0) requestAnimationFrame(settle);
    else scrolls.delete(pane);
  };
  settle();
};

/**
 * Ends the scroll of a pane that the user scrolls.
 * @param {HTMLElement} pane
 */
export const endScroll = (pane) => scrolls.delete(pane);

/** Returns whether a pane is being scrolled by `scrollToLine`. @param {HTMLElement} pane */
export const isScrolling = (pane) => scrolls.has(pane);

if ("oncontentvisibilityautostatechange" in document.body) {
  const show = (/** @type {any} */ { target, skipped }) =>
    !skipped &&
    target instanceof HTMLElement &&
    files.get(target.closest(".file")?.id ?? "")?.includes(target) &&
    splitChunk(target);
  addEventListener("contentvisibilityautostatechange", show, true);
} else for (const chunks of files.values()) chunks.forEach(splitChunk);

// The numbers are thousands of links, which keep the settings of the place. So a link gets its address when it is needed.
for (const kind of ["pointerover", "click"]) {
  document.addEventListener(kind, ({ target }) => {
    if (!(target instanceof HTMLAnchorElement) || !target.matches(".number")) return;
    target.href = fragment({ settings: { line: target.dataset.line ?? null } });
  });
}
