// The settings of the live view. The fragment holds those that differ from their defaults.
import { $, element, grouped, input } from "./dom.js";
import { setSetting, setting } from "./fragment.js";
import { LISTS, OTHERS, RUN } from "./keys.js";
import "./trained.js";

/** @import { Settings } from "./engine.js" */

const ALL = [...RUN, ...OTHERS];
/** The settings that are numbers. */
const NUMBERS = [...RUN, "temperature", "top_k"];
/** A number as inputs take it. */
const NUMBER = /^-?(\d+(\.\d+)?|\.\d+)(e[-+]?\d+)?$/i;

/** The settings of the model that was asked for last. @type {Settings | null} */
let asked = null;
/** The number of tokens of that model. */
let vocabulary = Number.POSITIVE_INFINITY;
/** The values of the fragment that were taken last. A value that the user is writing stays. @type {Map<string, string>} */
const taken = new Map();

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

/** Returns the settings that the inputs show. */
const shownSettings = () =>
  /** @type {Settings} */ (Object.fromEntries(RUN.map((id) => [id, Number(input(id).value)])));

/** Returns the settings of a new model, which are those of the page until the next one. */
export const takeSettings = () => {
  asked = shownSettings();
  return asked;
};

/** Returns the settings of the model that the page shows. The inputs may show others, which the user is writing. */
export const runSettings = () => asked ?? shownSettings();

/** Returns whether all settings of a run are those with which the page begins. */
export const areDefault = () => RUN.every((id) => Number(input(id).value) === Number(input(id).defaultValue));

/**
 * Takes the number of the model's tokens, and shows if the model has fewer than are to be kept.
 * @param {number} tokens
 */
export const setVocabulary = (tokens) => {
  vocabulary = tokens;
  showKept();
};

/** Shows whether fewer tokens are kept than the user asks for. */
const showKept = () => {
  $("top_k-note").hidden = !(Number(input("top_k").value) > vocabulary);
  $("top_k-note").textContent = `The model has ${vocabulary} tokens, so all of them are kept.`;
};

/**
 * Takes the default of the text that the attention goes over, and returns whether the text has changed.
 * @param {string} example
 */
export const setExample = (example) => {
  const of = input("text");
  const changes = of.value === of.defaultValue && example !== of.value;
  of.defaultValue = example;
  if (changes) of.value = example;
  return changes;
};

/** Returns the settings by which tokens are drawn. */
export const draws = () => ({
  top_k: Math.min(Number(input("top_k").value), vocabulary),
  temperature: Number(input("temperature").value),
});

/**
 * Returns whether a list has a value.
 * @param {string} id
 * @param {string} value
 */
export const isChoice = (id, value) => [...$(id, HTMLSelectElement).options].some((option) => option.value === value);

/**
 * Returns what is wrong with a value of an input, or an empty text.
 * @param {string} id
 * @param {string} text
 */
export const faultOf = (id, text) => {
  if (!NUMBERS.includes(id)) return "";
  const { min, max, step, dataset } = input(id);
  const value = NUMBER.test(text) ? Number(text) : Number.NaN;
  const isWhole = step === "";
  const isAbove = dataset.above === undefined ? value >= Number(min) : value > Number(dataset.above);
  if (isAbove && value <= Number(max || Number.MAX_VALUE) && (!isWhole || Number.isInteger(value))) return "";
  const least = dataset.above === undefined ? `from ${min}` : `above ${dataset.above}`;
  const range =
    max === "" ? `${least}${dataset.above === undefined ? " on" : ""}` : `${least} to ${grouped(Number(max))}`;
  return `must be a ${isWhole ? "whole number" : "number"} ${range}, got ${text || (input(id).validity.badInput ? "something else" : "nothing")}`;
};

/**
 * Returns what is wrong with the first input that is not valid, or undefined.
 * @param {readonly string[]} [ids]
 */
export const invalidity = (ids = NUMBERS) => {
  for (const id of ids) {
    const fault = faultOf(id, input(id).value);
    if (fault !== "") return `${input(id).labels?.[0].firstChild?.textContent?.trim()} ${fault}`;
  }
  return undefined;
};

/** Returns what is wrong with the settings by which tokens are drawn, or undefined. */
export const drawFault = () => invalidity(["temperature", "top_k"]);

/** Takes the settings of the fragment, and returns the names of those that have changed. */
export const restore = () =>
  ALL.filter((id) => {
    const of = control(id);
    const value = setting(id, defaultOf(of));
    if (value === (taken.get(id) ?? defaultOf(of))) return false;
    taken.set(id, value);
    if (value === of.value) return false;
    of.value = value;
    if (NUMBERS.includes(id)) showFault(id);
    return true;
  });

/**
 * Shows what is wrong with a number below its field, or that nothing is.
 * @param {string} id
 */
const showFault = (id) => {
  const field = input(id);
  const fault = faultOf(id, field.value);
  const name = `${id}-fault`;
  document.getElementById(name)?.remove();
  const descriptions = (field.getAttribute("aria-describedby") ?? "")
    .split(" ")
    .filter((other) => other && other !== name);
  if (fault !== "") {
    const text = element("p", { id: name, className: "field-fault", textContent: `It ${fault}.` });
    field.closest("label")?.after(text);
    descriptions.push(name);
  }
  field.setAttribute("aria-describedby", descriptions.join(" "));
  field.setAttribute("aria-invalid", String(fault !== ""));
};

for (const id of ALL) {
  const of = control(id);
  of.addEventListener("input", () => {
    if (id === "top_k") showKept();
    if (NUMBERS.includes(id)) showFault(id);
  });
  // The beginning of a number that is being typed is none that the user wants in the address.
  of.addEventListener(RUN.some((other) => other === id) ? "change" : "input", () => {
    // An address with a value that the page cannot use would not open.
    if (faultOf(id, of.value) !== "") return;
    taken.set(id, of.value);
    setSetting(id, of.value, defaultOf(of));
  });
}
