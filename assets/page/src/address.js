// The check of the address. Anyone can write an address, so each part that the page cannot use is left out and named.
import { all, input } from "./dom.js";
import { onCheck, repair } from "./fragment.js";
import { ALL, AT, LINE, LISTS } from "./keys.js";
import { lineElement } from "./lines.js";
import { notify } from "./notice.js";
import { faultOf, isChoice } from "./settings.js";
import { trained } from "./trained.js";
import { VIEWS } from "./views.js";

/** @import { Place } from "./fragment.js" */

/** The parts of the views that have any. The step's parts are cells, which only an opened step knows. @type {Record<string, string[]>} */
const PARTS = {
  live: [],
  letter: [],
  tour: all("#tour-articles article").map((article) => article.dataset.station ?? ""),
};
for (const view of ["reference", "kernels", "side-by-side"])
  PARTS[view] = all("#ops a").map((link) => link.dataset.op ?? "");

/**
 * Returns what is wrong with the step of the timeline, or an empty text.
 * @param {string} text
 * @param {URLSearchParams} settings
 */
const faultOfStep = (text, settings) => {
  const asked = settings.get("steps") ?? "";
  const steps = Number(faultOf("steps", asked) === "" ? asked : (trained?.settings.steps ?? 500));
  const isStep = /^\d+$/.test(text) && Number(text) <= steps;
  return isStep ? "" : `must be a whole number from 0 to ${steps}, the number of steps, got ${text || "nothing"}`;
};

/**
 * Returns what is wrong with a setting, or an empty text.
 * @param {string} name
 * @param {string} value
 * @param {URLSearchParams} settings
 */
const faultOfSetting = (name, value, settings) => {
  if (!ALL.includes(name)) return "is unknown";
  if (name === AT) return faultOfStep(value, settings);
  if (name === "pane") return /^(reference|math|kernels)$/.test(value) ? "" : `is unknown as ${value || "nothing"}`;
  if (LISTS.includes(name)) return isChoice(name, value) ? "" : `cannot be ${value || "nothing"}`;
  if (name === LINE) {
    const [path, line] = value.split(":");
    return lineElement(path, Number(line)) ? "" : `must be a file and a line of it, got ${value || "nothing"}`;
  }
  return faultOf(name, value);
};

/**
 * Repairs the place of the address, and says what it could not use.
 * @param {Place} place
 * @param {boolean} isOpened
 */
const check = ({ view, part, settings }, isOpened) => {
  /** @type {string[]} */
  const faults = [];
  /** @type {Parameters<typeof repair>[0]} */
  const change = {};
  const isView = VIEWS.includes(view);
  if (!isView) {
    faults.push(`The view “${view}” is unknown.`);
    change.view = VIEWS[0];
  } else if (part !== "" && PARTS[view] && !PARTS[view].includes(part)) {
    faults.push(`The part “${part}” of the view “${view}” is unknown.`);
    change.part = "";
  }
  for (const name of new Set(settings.keys())) {
    const fault = faultOfSetting(name, settings.get(name) ?? "", settings);
    if (fault === "") continue;
    faults.push(`“${name}” ${fault}.`);
    change.settings = { ...change.settings, [name]: null };
  }
  const [channels, heads] = ["n_embd", "n_head"].map(
    (name) => (change.settings?.[name] !== null && settings.get(name)) || input(name).defaultValue,
  );
  // A user who writes one of two settings may be about to write the other one.
  if (isOpened && Number(channels) % Number(heads) !== 0) {
    faults.push(`“n_embd” must be a multiple of “n_head”, got ${channels} and ${heads}.`);
    change.settings = { ...change.settings, n_embd: null, n_head: null };
  }
  if (faults.length === 0) return;
  repair(change);
  notify("The page leaves out what it cannot use of this address, and takes its defaults.", faults);
};

onCheck(check);
