// The views of the page. A section of the class `view` names in `data-views` the views that it is a part of.
import { $, all } from "./dom.js";
import { go, onPlace, place } from "./fragment.js";

/** The names of the views, in the order of their links. */
export const VIEWS = all("#views a").map((link) => (link.dataset.to ?? "").split("/")[0]);

/** Returns the view that the page shows. */
export const currentView = () => {
  const { view } = place();
  return VIEWS.includes(view) ? view : VIEWS[0];
};

/** The title of the page. */
const TITLE = document.title;

/** Shows the sections of the view. */
const show = () => {
  const view = currentView();
  if (document.body.dataset.view === view) return;
  document.body.dataset.view = view;
  for (const section of all(".view")) section.hidden = !(section.dataset.views ?? "").split(" ").includes(view);
  // A rule with `:has` would be matched anew after each change of a text.
  document.body.classList.toggle("sources", !$("code").hidden);
  for (const [i, link] of all("#views a").entries()) {
    if (VIEWS[i] === view) {
      link.setAttribute("aria-current", "page");
      document.title = i === 0 ? TITLE : `${link.textContent} – ${TITLE}`;
    } else link.removeAttribute("aria-current");
  }
  window.scrollTo(0, 0);
};

/**
 * Goes to the view with this number, counted from 1, and returns whether there is one.
 * @param {string} number
 */
export const goToView = (number) => {
  const view = VIEWS[Number(number) - 1];
  if (view) go({ view });
  return view !== undefined;
};

/** Tells the style sheets how much of the window the header covers. In a low window it scrolls away. */
const measureHeader = () => {
  const [header] = all("body > header");
  const height = getComputedStyle(header).position === "sticky" ? header.offsetHeight : 0;
  document.body.style.setProperty("--bar", `${height}px`);
};

new ResizeObserver(measureHeader).observe(all("body > header")[0]);
window.addEventListener("resize", measureHeader);
onPlace(show);
$("skip").addEventListener("click", (event) => {
  // The link's own target would replace the place in the fragment.
  event.preventDefault();
  $("main").focus();
  $("main").scrollIntoView();
});
