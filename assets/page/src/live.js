// The live view, which asks the worker to train and shows its reports.
import { announce, announceProgress } from "./announce.js";
import { hideAttention, showAttention } from "./attention.js";
import { clearBits, compareBits, showForm, takeHash } from "./bits.js";
import { complain } from "./complaint.js";
import {
  corpusError,
  hasNewText,
  hasOwnCorpus,
  isInitialCorpus,
  onCorpus,
  resendCorpus,
  sendCorpus,
  useBox,
} from "./corpus.js";
import { adviceOf, lowerRate } from "./divergence.js";
import { $, grouped, input } from "./dom.js";
import { drop, onMessage, send, start } from "./engine.js";
import { fragment, go, onPlace, setting } from "./fragment.js";
import { RUN } from "./keys.js";
import { Losses } from "./losses.js";
import { counted, lossText } from "./numbers.js";
import { curveOf, drawCurve } from "./plot.js";
import { beforeClick } from "./press.js";
import { clearNames, showNames } from "./samples.js";
import {
  areDefault,
  drawFault,
  draws,
  invalidity,
  restore,
  runSettings,
  setExample,
  setVocabulary,
  takeSettings,
} from "./settings.js";
import { trained, trainedValues, VALIDATED } from "./trained.js";

/** @import { Message, Opened, Report } from "./engine.js" */
/** @import { Trained } from "./trained.js" */

/** The nats by which the validation loss exceeds that of training, if the model knows its documents by heart. */
const BY_HEART = 0.5;

/** The least time in milliseconds whose steps per second are shown. Browsers round times. */
const MEASURABLE = 5;

/** Whether the run goes on by itself. */
let running = false;
/** The open model, if there is one. @type {Opened | null} */
let opened = null;
let losses = new Losses(500);
/** The number of steps taken. */
let step = 0;
/** The time of these steps in milliseconds. */
let time = 0;
/** Whether the page has said that the run diverges. */
let diverged = false;
/** Whether the run has ended in an error, so that it cannot go on. */
let failed = false;
/** Whether the worker's module is compiled. */
let ready = false;
/** Whether the worker was replaced after a trap. The same settings would trap again. */
let trapped = false;
/** What the next model does at once. @type {"" | "run" | "step"} */
let wanted = "";
/** Whether the next model is the one that the program has trained, as it is until the user wants another one. */
let opensTrained = trained !== null;
/** The step at which a changed setting has ended the last run, or null. @type {number | null} */
let ended = null;

/**
 * Shows whether the run goes on.
 * @param {boolean} now
 */
const setRunning = (now) => {
  running = now;
  const continues = opened && !failed && step > 0 && step < losses.steps && !hasNewText();
  $("train").textContent = running ? "Pause" : continues ? "Continue" : "Train";
  $("step", HTMLButtonElement).disabled = opened !== null && step === losses.steps && !hasNewText();
};

const asks = () => ({
  samples: 8,
  ...draws(),
  text: input("text").value,
  documents: VALIDATED,
});
const pace = () => Number($("pace", HTMLSelectElement).value);

/** Drops the model with all that the view shows of it. */
const clear = () => {
  opened = null;
  failed = false;
  losses = new Losses(runSettings().steps || 1);
  step = 0;
  time = 0;
  setRunning(false);
  drop();
  setVocabulary(Number.POSITIVE_INFINITY);
  clearNames();
  hideAttention();
  clearBits();
  for (const id of ["loss", "val", "rate"]) $(id).textContent = "–";
  for (const id of ["opened", "attention-message"]) $(id).textContent = "";
  $("validated").textContent = "on documents that it never trains on";
  $("at").textContent = "0";
  $("announcement").textContent = "";
  $("afterwards").hidden = true;
  redraw();
};

/** Opens a new model. */
const reset = () => {
  clear();
  // A worker that becomes ready, or that has read the corpus, calls this function again.
  if (!ready || !sendCorpus()) return;
  const model = opensTrained ? trained : null;
  const wrong = (model ? drawFault() : invalidity()) ?? corpusError();
  complain(wrong ?? "");
  if (wrong !== undefined) {
    wanted = "";
    return;
  }
  const settings = { ...takeSettings(), ...(model && trainedModel(model)) };
  send({ asks: asks(), pace: pace(), open: { own_corpus: hasOwnCorpus(), ...settings } });
};

/**
 * Gives the worker the model that the program has trained, and returns the settings that open it.
 * @param {Trained} model
 */
const trainedModel = ({ step, vocabulary, shuffle, initial_seed }) => {
  send({ trained: trainedValues() });
  return { steps: step, trained: { step, vocabulary, shuffle, initial_seed } };
};

/** Opens a new model, also in place of one that the program has trained. */
const renew = () => {
  opensTrained = false;
  reset();
};

/** Opens a new model for a setting that the user has changed, and says so if that ends a run. */
const renewBySetting = () => {
  ended = opened && (running || (step > 0 && step < losses.steps)) ? step : null;
  renewByHand();
  if (ended !== null) announce(endedText(ended));
};

/**
 * Returns the sentence on a run that a new setting has ended.
 * @param {number} at
 */
const endedText = (at) => `The change of a setting has ended the run at step ${grouped(at)}. `;

/** Opens a new model as the user asks. The address may name a step of the last run. */
const renewByHand = () => {
  go({ settings: { at: null } }, { replace: true });
  if (hasNewText()) useBox();
  else renew();
};

/** Pauses the run. */
const pause = () => {
  setRunning(false);
  send({ run: false });
  announce(`Paused at step ${step}.`);
};

/** Starts the run, or continues it. */
const run = () => {
  const wrong = drawFault();
  if (wrong !== undefined) return complain(wrong);
  setRunning(true);
  $("afterwards").hidden = true;
  send({ pace: pace(), run: true });
};

/** Trains, pauses, or opens a new model if there is none, its run has ended, or there is another text. */
export const train = () => {
  if (running) pause();
  else if (!opened || failed || step === losses.steps || hasNewText()) {
    wanted = "run";
    renewByHand();
  } else {
    // A new run is followed from its beginning.
    if (step === 0) go({ settings: { at: null } }, { replace: true });
    run();
  }
};

/** Trains for a step that the address names, if the run has not come to it. */
export const trainForStep = () => {
  if (running || wanted === "run") return;
  if (opened && !failed && step < losses.steps) return run();
  wanted = "run";
  renew();
};

/** Takes a single step. */
const takeStep = () => {
  if (running) pause();
  if (opened && !failed && !hasNewText()) {
    const wrong = drawFault();
    if (wrong !== undefined) return complain(wrong);
    // The views show the step that is taken.
    go({ settings: { at: null } }, { replace: true });
    return send({ step: true });
  }
  wanted = "step";
  renewByHand();
};

let frame = 0;
/** Draws the curve. */
const draw = () => {
  frame = 0;
  // Another view hides the plot. When the plot is shown again, its size changes, and the observer of the size draws.
  const { clientWidth } = $("plot");
  if (clientWidth === 0) return;
  const width = Math.max(240, clientWidth);
  const empty = corpusError() === undefined ? "Press Train to draw the loss" : "There is no text to train on";
  drawCurve($("plot"), curveOf(losses, width, width < 500 ? 260 : 300, empty));
};
/** Draws once before the next frame, however many reports arrive until then. */
const redraw = () => {
  if (frame === 0) frame = requestAnimationFrame(draw);
};

/** @param {Message} message */
const receive = (message) => {
  if (message.ready) {
    ready = true;
    showForm(message.ready);
    if (!trapped) reset();
    trapped = false;
  }
  if (message.warm) document.body.dataset.warm = "";
  if (message.opened) showOpened(message.opened);
  if (message.names) showNames(message.names, message.again);
  if (message.attention) showAttention(message.attention);
  if (message.hash !== undefined) takeHash(message.hash);
  if (message.report) showReport(message.report);
  if (message.error !== undefined) {
    failed = true;
    setRunning(false);
    wanted = "";
    complain(message.error);
  }
  if (message.trap) {
    opened = null;
    trapped = true;
    restart();
  }
};

/** Starts a worker with the form of the module that the fragment asks for. */
const restart = () => {
  ready = false;
  clear();
  resendCorpus();
  start(setting("multiply_add", "fastest") === "exact");
};

/**
 * Shows a new model.
 * @param {Opened} model
 */
const showOpened = (model) => {
  opened = model;
  losses = new Losses(runSettings().steps);
  diverged = false;
  setVocabulary(model.vocab);
  if (setExample(model.example)) sendAsks();
  const [are, beginnings] = model.cut === 1 ? ["is", "its beginning is"] : ["are", "their beginnings are"];
  const cut = ` ${grouped(model.cut)} of the documents ${are} longer than the block, and only ${beginnings} used.`;
  const end = ended === null ? "" : endedText(ended);
  ended = null;
  $("opened").textContent =
    `${end}${counted(model.train, "document")} to train on, ${grouped(model.val)} to validate; ` +
    `vocabulary ${model.vocab}, ${counted(model.params, "parameter")}.${model.cut > 0 ? cut : ""}`;
  $("validated").textContent = validatedText(model.val);
  if (model.step > 0 && trained) showTrained(trained);
  setRunning(false);
  redraw();
  if (wanted === "run") run();
  else if (wanted === "step") send({ step: true });
  wanted = "";
};

/**
 * Returns the documents that a validation goes over.
 * @param {number} documents the number of validation documents
 */
const validatedText = (documents) =>
  documents > VALIDATED
    ? `on ${VALIDATED} of the ${grouped(documents)} validation documents`
    : `on the ${counted(documents, "validation document")}`;

/**
 * Shows the end of the run of the program.
 * @param {Trained} model
 */
const showTrained = (model) => {
  step = model.step;
  losses = new Losses(step);
  $("at").textContent = `${grouped(step)} / ${grouped(step)}`;
  if (model.val_loss === null) return;
  $("val").textContent = lossText(model.val_loss, 3);
  losses.validations.push({ step, val_loss: model.val_loss });
};

/**
 * Shows a report of the training.
 * @param {Report} report
 */
const showReport = (report) => {
  for (const loss of report.losses) losses.push(loss);
  losses.validations.push(...report.validations);
  step = report.step;
  time += report.time;
  $("at").textContent = `${grouped(step)} / ${grouped(losses.steps)}`;
  $("loss").textContent = lossText(losses.mean, 3);
  if (report.wall >= MEASURABLE)
    $("rate").textContent = grouped(Math.round((1000 * report.losses.length) / report.wall));
  const validation = report.validations.at(-1);
  if (validation) $("val").textContent = lossText(validation.val_loss, 3);
  for (const names of report.names) showNames(names);
  if (report.attention) showAttention(report.attention);
  warn();
  if (report.hash === undefined) announceProgress(`Step ${step} of ${losses.steps}, loss ${lossText(losses.mean, 2)}.`);
  else finish(report.hash);
  setRunning(running);
  redraw();
};

/** Says once that the run diverges, if it does. */
const warn = () => {
  const advice = diverged || !opened ? "" : adviceOf(losses, opened.vocab, runSettings().learning_rate);
  if (advice === "") return;
  diverged = true;
  complain(advice);
};

/**
 * Shows the end of a run.
 * @param {string} hash
 */
const finish = (hash) => {
  setRunning(false);
  const milliseconds = time / step;
  $("rate").textContent = grouped(Math.round(1000 / milliseconds));
  const { val_loss } = losses.validations[losses.validations.length - 1];
  $("try-lower").hidden = !diverged;
  const lower = lowerRate(runSettings().learning_rate);
  $("try-lower-rate").dataset.settings = `learning_rate=${lower}`;
  $("try-lower-rate", HTMLAnchorElement).href = fragment({
    view: "live",
    part: "",
    settings: { learning_rate: lower },
  });
  $("try-lower-rate").textContent = `a learning rate of ${lower}`;
  $("try-higher").hidden = diverged;
  $("try-longer").hidden = diverged || val_loss - losses.mean < BY_HEART;
  const isSame = isInitialCorpus() && areDefault() && (trained?.repeats ?? true);
  compareBits({ isSame, hash, val_loss, milliseconds });
  $("afterwards").hidden = false;
  announce(`Trained ${step} steps. The validation loss is ${lossText(val_loss, 2)}.`);
};

/** Gives the worker the settings that apply to any model, and asks for the samples and the attention by them. */
const sendAsks = () => {
  if (opened) send({ asks: asks(), pace: pace(), again: true });
};

$("train").onclick = train;
$("start-train").onclick = () => {
  if (!running) train();
};
$("step").onclick = takeStep;
$("to-settings").onclick = () => input("steps").focus();
$("reset").onclick = renewByHand;
$("settings").onsubmit = (event) => event.preventDefault();
for (const name of RUN) $(name).onchange = () => beforeClick(renewBySetting);
$("corpus").addEventListener("input", () => setRunning(running));
$("pace").onchange = () => send({ pace: pace() });
$("multiply_add").onchange = restart;
for (const name of ["temperature", "top_k"]) {
  $(name).oninput = () => {
    complain(invalidity() ?? corpusError() ?? "");
    if (drawFault() === undefined) sendAsks();
  };
}
$("text").oninput = sendAsks;
onMessage(receive);
onCorpus((isNew) => (isNew ? renew() : reset()));
onPlace(() => {
  const changed = restore();
  if (changed.includes("multiply_add")) restart();
  if (changed.some((name) => RUN.some((id) => id === name))) renew();
  else if (changed.length > 0) sendAsks();
});
new ResizeObserver(redraw).observe($("plot"));
// The first paint needs no model, so the worker starts after it.
requestAnimationFrame(() => setTimeout(restart));
