// The guided tour. Each station is an article of the page with one figure, drawn from the step of the timeline.
import { shown } from "./buffers.js";
import { $, all, element, json } from "./dom.js";
import { fragment, onPlace, place } from "./fragment.js";
import { sentences } from "./numbers.js";
import { onOpened, openedStep } from "./opened.js";
import { isBeyond } from "./timeline.js";
import { FIGURES } from "./tour-figures.js";

/** @import { OpenedStep } from "./buffers.js" */

const articles = all("#tour-articles article");
/** The places of the stations in both sources, by side and item. @type {Record<string, { path: string, lines: [number, number] }>} */
const places = json("tour-places");
/** The position that the figures show. */
let position = Number.POSITIVE_INFINITY;

/** Returns the article of the station in the address. */
const current = () => articles.find((article) => article.dataset.station === place().part) ?? articles[0];

/**
 * Makes a link lead to a station, or hides it if there is none.
 * @param {string} id
 * @param {HTMLElement | undefined} article
 */
const leadTo = (id, article) => {
  const link = $(id, HTMLAnchorElement);
  link.hidden = article === undefined;
  if (article) link.href = fragment({ view: "tour", part: article.dataset.station });
};

/**
 * Makes a link lead to the lines of an item.
 * @param {string} id
 * @param {"reference" | "kernels"} side
 * @param {string} item
 */
const leadToLines = (id, side, item) => {
  const { path, lines } = places[`${side} ${item}`];
  const link = $(id, HTMLAnchorElement);
  link.href = fragment({ view: side, part: "", settings: { line: `${path}:${lines[0]}` } });
  link.textContent = `${side}, ${path.split("/").at(-1)}, lines ${lines[0]} to ${lines[1]}`;
};

/** Draws the figure of a station. @param {HTMLElement} article @param {OpenedStep} step */
const draw = (article, step) => {
  const box = article.querySelector(".tour-figure");
  if (!(box instanceof HTMLElement)) return;
  FIGURES[box.dataset.figure ?? ""](box, step, position);
};

/** Shows the letters of the step's name, of which one is picked for the figures. @param {OpenedStep} step */
const showPicker = (step) => {
  const letters = step.reply.tokens.slice(0, step.n).map((token, t) => {
    const button = element("button", { type: "button", textContent: shown(token) });
    button.setAttribute("aria-pressed", String(t === position));
    button.setAttribute("aria-label", `Position ${t}, ${shown(token)}`);
    button.addEventListener("click", () => {
      position = t;
      show();
      all("#tour-pick button")[t]?.focus();
    });
    return button;
  });
  $("tour-pick").replaceChildren(
    `Step ${step.reply.step}${isBeyond() ? ", which would follow the program’s run," : ""} reads `,
    ...letters,
    " Pick the position that the figures show.",
  );
};

/** Shows the station of the address. */
const show = () => {
  const article = current();
  const i = articles.indexOf(article);
  for (const other of articles) other.hidden = other !== article;
  for (const [j, link] of all("#tour-stations a").entries()) {
    if (i === j) link.setAttribute("aria-current", "step");
    else link.removeAttribute("aria-current");
    link.setAttribute("href", fragment({ view: "tour", part: articles[j].dataset.station }));
  }
  leadTo("tour-back", articles[i - 1]);
  leadTo("tour-next", articles[i + 1]);
  leadToLines("tour-reference", "reference", article.dataset.reference ?? "");
  leadToLines("tour-kernels", "kernels", article.dataset.kernels ?? "");
  const step = openedStep();
  if (!step) return;
  position = Math.min(position, step.n - 1);
  showPicker(step);
  draw(article, step);
  $("view-tour").dataset.step = String(step.reply.step);
};

/** Starts the view. */
export const startTour = () => {
  const links = articles.map((article, i) => {
    const title = article.querySelector("h2")?.textContent ?? "";
    return element("a", { title, textContent: String(i + 1), ariaLabel: `Station ${i + 1}: ${title}` });
  });
  $("tour-stations").replaceChildren(...links);
  onPlace(({ view }) => {
    if (view === "tour") show();
  });
  onOpened((step, error) => {
    if (!step) {
      $("tour-pick").textContent = error === "" ? "" : sentences(error);
      for (const figure of all(".tour-figure")) figure.replaceChildren();
      delete $("view-tour").dataset.step;
    } else if (place().view === "tour") show();
  });
  let width = 0;
  new ResizeObserver(([{ contentRect }]) => {
    if (contentRect.width === 0 || Math.abs(contentRect.width - width) < 8) return;
    width = contentRect.width;
    show();
  }).observe($("tour-articles"));
  $("view-tour").addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!by || (event.target instanceof Element && event.target.matches("input"))) return;
    const to = articles[articles.indexOf(current()) + by];
    if (to) location.hash = fragment({ view: "tour", part: to.dataset.station });
  });
};
