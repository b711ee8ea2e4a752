// The settings of the live view. The fragment holds those that differ from their defaults.
import { $, input } from "./dom.js";
import { setSetting, setting } from "./fragment.js";
import { isOfDefaultRun } from "./trained.js";

/** @import { Settings } from "./engine.js" */

/** The inputs of a run. A change of any of them needs a new model. */
export const RUN = /** @type {const} */ ([
  "steps",
  "learning_rate",
  "seed",
  "n_embd",
  "n_head",
  "n_layer",
  "block_size",
]);
/** The inputs that apply to any model. */
const OTHERS = ["temperature", "top_k", "text", "pace", "multiply_add"];
/** The inputs that are lists of values. */
const LISTS = ["pace", "multiply_add"];

/**
 * @param {string} id
 * @returns {HTMLInputElement | HTMLSelectElement}
 */
const control = (id) => (LISTS.includes(id) ? $(id, HTMLSelectElement) : input(id));

/**
 * Returns the value that an input has in the page without a fragment.
 * @param {HTMLInputElement | HTMLSelectElement} of
 */
const defaultOf = (of) =>
  of instanceof HTMLInputElement
    ? of.defaultValue
    : ([...of.options].find((option) => option.defaultSelected)?.value ?? of.options[0].value);

/** Returns the settings of a run. */
export const runSettings = () =>
  /** @type {Settings} */ (Object.fromEntries(RUN.map((id) => [id, Number(input(id).value)])));

/** Returns whether all settings of a run are those of the default run. */
export const areDefault = () => RUN.every(isOfDefaultRun);

/** Returns what is wrong with the first input that is not valid, or undefined. */
export const invalidity = () => {
  if (input("learning_rate").value !== "" && Number(input("learning_rate").value) === 0)
    return "Learning rate: 0 would leave every weight as it is\nhint: choose a value above 0, for example 0.01";
  for (const id of [...RUN, "temperature", "top_k"]) {
    const checked = input(id);
    if (!checked.validity.valid)
      return `${checked.labels?.[0].firstChild?.textContent?.trim()}: ${checked.validationMessage}`;
  }
  return undefined;
};

/** Takes the settings of the fragment, and returns whether a setting of a run has changed. */
export const restore = () => {
  let changed = false;
  for (const id of [...RUN, ...OTHERS]) {
    const to = control(id);
    const value = setting(id, defaultOf(to));
    if (value === to.value) continue;
    to.value = value;
    changed ||= RUN.some((name) => name === id);
  }
  return changed;
};

for (const id of [...RUN, ...OTHERS]) {
  const of = control(id);
  of.addEventListener("input", () => setSetting(id, of.value, defaultOf(of)));
}
