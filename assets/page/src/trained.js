// The model that the program has trained, if `--page` wrote this page.
import { $, grouped, input, json } from "./dom.js";

/**
 * The model: the settings of its run, the number of its steps, its validation loss if there is one, whether the page can
 * repeat the run, whether the documents are shuffled, the characters of its tokens, its documents, and its weights and
 * moments in base64.
 * @typedef {{ settings: Record<string, number>, step: number, val_loss: number | null, repeats: boolean,
 *   shuffle: boolean, vocabulary: string, corpus: string, values: string }} Trained
 */

/** @type {Trained | null} */
export const trained = json("trained");

/** The values of the inputs for the default run, whose native results the page knows. @type {Map<string, string>} */
const defaults = new Map();

/**
 * Returns whether an input has the value of the default run.
 * @param {string} id
 */
export const isOfDefaultRun = (id) => Number(input(id).value) === Number(defaults.get(id) ?? input(id).defaultValue);

/** Returns the weights and moments as bytes. */
export const trainedValues = () => Uint8Array.from(atob(trained?.values ?? ""), (c) => c.charCodeAt(0));

if (trained) {
  // The page starts with the settings of the run, and only others are part of its address.
  for (const [id, value] of Object.entries(trained.settings)) {
    const of = input(id);
    defaults.set(id, of.defaultValue);
    of.defaultValue = String(value);
    of.value = String(value);
  }
  const documents = trained.corpus.split("\n").length;
  const again = trained.repeats
    ? "Train repeats the run in this page, from new weights to the same bits."
    : "Train starts a run with these settings from new weights. The run of the program had others too, which this page lacks.";
  $("lead").textContent =
    `This model was trained by microgpt for ${grouped(trained.step)} steps on ${grouped(documents)} documents. ` +
    `It is shown as it was at the end. ${again} Nothing leaves your computer.`;
}
