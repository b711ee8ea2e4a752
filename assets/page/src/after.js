// The model at the step of the timeline: its samples, its attention, and its embeddings in a plane.
import { hideAttention, showAttention } from "./attention.js";
import { shown } from "./buffers.js";
import { $, element, grouped, input } from "./dom.js";
import { ask, Dropped, onMessage } from "./engine.js";
import { onPlace, place } from "./fragment.js";
import { latestOnly } from "./latest.js";
import { lossText, sentences } from "./numbers.js";
import { drawFault, draws } from "./settings.js";
import { currentStep, goToStep, hasModel, onStep, totalSteps } from "./timeline.js";
import { trained } from "./trained.js";

/** @import { Attention } from "./engine.js" */
/**
 * The reply to `after`, see `ModelAfter` in `assets/page/wasm/src/session/look.rs`.
 * @typedef {{ step: number, loss: number | null, hash: string, samples: string[], attention: Attention, vocab: string[],
 *   plane: [number, number][], extent: [number, number] }} After
 */

/** Vowels of the Latin, Greek and Cyrillic scripts, without marks. */
const VOWELS = new Set([..."aeiouyæøœαεηιουωаеиоуыэюяєіѫ"]);
/** Returns whether a token is a vowel, with or without marks. @param {string} token */
const isVowel = (token) => VOWELS.has(token.toLowerCase().normalize("NFD")[0]);
/** Half the width and half the height of the plane in its own units. */
const HALF = [170, 120];
/** The margin of the plane. */
const MARGIN = 12;
const SVG = "http://www.w3.org/2000/svg";

/**
 * Shows the embeddings. An element stays that of its token, so that a letter moves from place to place.
 * @param {After} after
 */
const showPlane = ({ vocab, plane, extent }) => {
  const key = vocab.join("\n");
  let svg = $("plane").querySelector("svg");
  if (!svg || $("plane").dataset.key !== key) {
    $("plane").dataset.key = key;
    svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("viewBox", `${-HALF[0]} ${-HALF[1]} ${2 * HALF[0]} ${2 * HALF[1]}`);
    svg.setAttribute("role", "img");
    const texts = vocab.map((token) => {
      const text = document.createElementNS(SVG, "text");
      text.textContent = shown(token);
      if (isVowel(token)) text.setAttribute("class", "vowel");
      return text;
    });
    const axes = document.createElementNS(SVG, "path");
    axes.setAttribute("class", "rule");
    axes.setAttribute("d", `M${-HALF[0]} 0H${HALF[0]}M0 ${-HALF[1]}V${HALF[1]}`);
    svg.append(axes, ...texts);
    $("plane").replaceChildren(svg);
  }
  const scale = Math.min(...HALF.map((half, axis) => (half - MARGIN) / (extent[axis] || 1)));
  for (const [i, text] of [...svg.querySelectorAll("text")].entries()) {
    // Before its last step, an embedding may lie outside of the plane.
    const [x, y] = plane[i].map((at, axis) => Math.max(MARGIN - HALF[axis], Math.min(HALF[axis] - MARGIN, at * scale)));
    text.setAttribute("x", x.toFixed(1));
    text.setAttribute("y", (-y).toFixed(1));
  }
  const vowels = vocab.filter(isVowel);
  const among = vowels.length === 0 ? "" : `, among them the vowels ${vowels.join(", ")}`;
  svg.setAttribute("aria-label", `Places of ${vocab.length} tokens${among}`);
  $("plane-vowels").hidden = vowels.length === 0;
};

/**
 * Shows what is wrong in place of the model, or hides that there is no model yet.
 * @param {string} error
 */
const hide = (error) => {
  $("after-message").hidden = error === "";
  $("after-message").textContent = error;
  $("after").classList.add("stale");
};

/**
 * Returns the sentence on the loss of a step.
 * @param {number} step
 * @param {number | null} loss
 */
const story = (step, loss) => {
  if (loss !== null) {
    const value = element("strong", { className: "value", textContent: lossText(loss, 3) });
    return ["Step ", grouped(step), " had the loss ", value, "."];
  }
  if (step === 0 || !trained) return ["Its weights are random, so its samples are noise."];
  const validation = trained.val_loss === null ? "" : `, and its validation loss is ${lossText(trained.val_loss, 3)}`;
  return [`The program has trained it${validation}.`];
};

/** Shows the model after a step. @type {(step: number) => void} */
const show = latestOnly(async (step) => {
  if (!hasModel() || place().view !== "live") return;
  const fault = drawFault();
  if (fault !== undefined) return hide(fault);
  try {
    /** @type {After} */
    const after = await ask({ do: "after", step, samples: 8, ...draws(), text: input("text").value });
    $("after-message").hidden = true;
    $("after").classList.remove("stale");
    $("after-title").textContent = step === 0 ? "The model before training" : `The model after step ${grouped(step)}`;
    $("after-loss").replaceChildren(...story(step, after.loss));
    $("after-samples").replaceChildren(...after.samples.map((text) => element("li", { textContent: text || "·" })));
    showAttention(after.attention);
    showPlane(after);
    $("after").dataset.step = String(step);
    $("after").dataset.hash = after.hash;
  } catch (error) {
    if (error instanceof Dropped) return;
    hideAttention();
    hide(sentences(error instanceof Error ? error.message : String(error)));
  }
});

/** Puts the cursor of the curve on the step of the timeline. */
const moveCursor = () => {
  $("curve").style.setProperty("--at", String(Math.min(1, currentStep() / Math.max(1, totalSteps()))));
};

/** Starts the section. */
export const startAfter = () => {
  onMessage(({ dropped }) => dropped && hide(""));
  onStep((step) => {
    moveCursor();
    show(step);
  });
  onPlace(() => show(currentStep()));
  for (const id of ["top_k", "temperature", "text"]) input(id).addEventListener("input", () => show(currentStep()));
  $("plot").addEventListener("click", (event) => {
    const box = $("curve-cursor").parentElement?.getBoundingClientRect();
    if (box) goToStep(((event.clientX - box.left) / box.width) * totalSteps());
  });
};
