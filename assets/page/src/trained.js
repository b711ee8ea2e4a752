// The model that the program has trained, if `--page` wrote this page.
import { $, grouped, input, json } from "./dom.js";

/**
 * The model: the settings of its run, the number of its steps, its validation loss if there is one, the number of
 * documents of a validation, the seed of its initial weights if they were drawn, whether the page can repeat the run,
 * whether the documents are shuffled, the characters of its tokens, its documents, and its weights and moments in base64.
 * @typedef {{ settings: Record<string, number>, step: number, val_loss: number | null, val_docs: number,
 *   initial_seed: number | null, repeats: boolean, shuffle: boolean, vocabulary: string, corpus: string,
 *   values: string }} Trained
 */

/** @type {Trained | null} */
export const trained = json("trained");

/** The most documents of a validation. */
export const VALIDATED = trained?.val_docs ?? 20;

/** What Train does in a page of a trained model. */
export const AGAIN = trained?.repeats
  ? "Train repeats the run in this page, from new weights to the same bits."
  : "Train starts a run with these settings from new weights. The run of the program had others too, which this page lacks.";

/** Returns the weights and moments as bytes. */
export const trainedValues = () => Uint8Array.from(atob(trained?.values ?? ""), (c) => c.charCodeAt(0));

if (trained) {
  // The page starts with the settings of the run, and only others are part of its address.
  for (const [id, value] of Object.entries(trained.settings)) {
    const of = input(id);
    // The program takes larger models than the page offers.
    if (of.max !== "") of.max = String(Math.max(Number(of.max), value));
    of.defaultValue = String(value);
    of.value = String(value);
  }
  const documents = trained.corpus.split("\n").length;
  $("lead").textContent =
    `This model was trained by microgpt for ${grouped(trained.step)} steps on ${grouped(documents)} documents. ` +
    `The page begins with the model as it was at the end. ${AGAIN} Nothing leaves your computer.`;
  $("timeline-after").textContent = trained.repeats
    ? "to repeat the run in this page, then drag to any of its steps."
    : "to start a run in this page from new weights, then drag to any of its steps.";
}
