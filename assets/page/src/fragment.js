// The state of the page in the fragment of its address, such as `#side-by-side/attention?seed=7`. The fragment names the
// view, a part of the view, and every setting that differs from its default, so a link reproduces what the page shows.
import { all } from "./dom.js";
import { AT, CORPUS, FILE, LINE, RUN } from "./keys.js";

/**
 * A place in the page. `part` is empty if the fragment names none.
 * @typedef {{ view: string, part: string, settings: URLSearchParams }} Place
 */

/** The view without a fragment. */
const FIRST_VIEW = "live";

/** The settings that make a run what it is. */
const MAKE_RUN = [...RUN, CORPUS, FILE];

/** @type {((place: Place) => void)[]} */
const listeners = [];
/** @type {((place: Place, isOpened: boolean) => unknown)[]} */
const checks = [];

/**
 * Returns the place that a fragment names.
 * @param {string} [fragment]
 * @returns {Place}
 */
export const place = (fragment = location.hash) => {
  const [path, query = ""] = fragment.replace(/^#/, "").split("?", 2);
  const [view, part = ""] = path.split("/", 2).map(decoded);
  return { view: view || FIRST_VIEW, part, settings: new URLSearchParams(query) };
};

/**
 * Decodes a part of a path, or returns it unchanged if it is damaged.
 * @param {string} text
 */
const decoded = (text) => {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
};

/**
 * Returns the fragment of a place with the settings of this one. A setting of `null` is left out. A step of the run is
 * left out if the settings are those of another run, unless they name it.
 * @param {{ view?: string, part?: string, settings?: Record<string, string | null> }} change
 */
export const fragment = ({ view, part, settings = {} }) => {
  const now = place();
  const stays = (view ?? now.view) === now.view && (part ?? now.part) === now.part;
  if (!stays) now.settings.delete(LINE);
  if (MAKE_RUN.some((name) => name in settings && settings[name] !== now.settings.get(name))) now.settings.delete(AT);
  for (const [name, value] of Object.entries(settings)) {
    if (value === null) now.settings.delete(name);
    else now.settings.set(name, value);
  }
  // Another view has other parts.
  const kept = part ?? (view === undefined || view === now.view ? now.part : "");
  const path = [view ?? now.view, kept]
    .filter((name) => name !== "")
    .map(encodeURIComponent)
    .join("/");
  const query = now.settings.toString();
  return query === "" ? `#${path}` : `#${path}?${query}`;
};

/**
 * Goes to another place, and tells the listeners. `replace` leaves no entry in the history.
 * @param {Parameters<typeof fragment>[0]} change
 * @param {{ replace?: boolean }} [options]
 */
export const go = (change, { replace = false } = {}) => {
  const next = fragment(change);
  if (next === location.hash) return;
  if (replace) history.replaceState(null, "", next);
  else history.pushState(null, "", next);
  tell();
};

/**
 * Goes to another place without an entry in the history, and tells nobody.
 * @param {Parameters<typeof fragment>[0]} change
 */
export const repair = (change) => history.replaceState(null, "", fragment(change));

/**
 * Returns a setting of the fragment, or `fallback` if the fragment has none of that name.
 * @param {string} name
 * @param {string} fallback
 */
export const setting = (name, fallback) => place().settings.get(name) ?? fallback;

/**
 * Changes a setting without an entry in the history. A setting that equals its default is left out.
 * @param {string} name
 * @param {string} value
 * @param {string} fallback the default
 */
export const setSetting = (name, value, fallback) =>
  go({ settings: { [name]: value === fallback ? null : value } }, { replace: true });

/**
 * Calls a function at every change of the place, by a link, by `go`, and by the browser's buttons.
 * @param {(place: Place) => void} listener
 */
export const onPlace = (listener) => listeners.push(listener);

/**
 * Calls a function at every change of the place before the listeners. It may repair the place. `isOpened` tells it whether
 * the browser has opened the place, by a link or by one of its buttons.
 * @param {(place: Place, isOpened: boolean) => unknown} check
 */
export const onCheck = (check) => checks.push(check);

/**
 * Tells the listeners, and gives the links of the page the settings of this place. A link names a view and a part, as in
 * `<a data-to="reference/clip">`, or a part of any view, as in `<a data-to="/clip">`, and may change settings, as in
 * `data-settings="seed=7&pace=8"`.
 * @param {boolean} [isOpened] whether the browser has opened the place
 */
export const tell = (isOpened = false) => {
  for (const check of checks) check(place(), isOpened);
  const now = place();
  for (const link of all("a[data-to]")) {
    const [view, part] = (link.dataset.to ?? "").split("/", 2);
    const settings = Object.fromEntries(new URLSearchParams(link.dataset.settings));
    link.setAttribute("href", fragment({ view: view || now.view, part: part ?? "", settings }));
  }
  for (const listener of listeners) listener(now);
};

addEventListener("hashchange", () => tell(true));
