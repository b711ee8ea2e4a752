// The live view, which asks the worker to train and shows its reports.
import { showAttention } from "./attention.js";
import { $, grouped, input, json } from "./dom.js";
import { onMessage, send, start } from "./engine.js";
import { onPlace, setting } from "./fragment.js";
import { Losses } from "./losses.js";
import { curveOf, drawCurve } from "./plot.js";
import { clearNames, showNames } from "./samples.js";
import { areDefault, invalidity, RUN, restore, runSettings } from "./settings.js";

/** @import { Message, Opened, Report } from "./engine.js" */
/** @import { Kernels } from "./kernels.js" */

const native = json("native");
/** Whether the run goes on by itself. */
let running = false;
/** The open model, if there is one. @type {Opened | null} */
let opened = null;
/** The user's text, or null for the built-in names. @type {string | null} */
let corpus = null;
let losses = new Losses(1);
/** The number of steps taken. */
let step = 0;
/** The time of these steps in milliseconds. */
let time = 0;
/** Whether the worker's module is compiled. */
let ready = false;
/** Whether the worker was replaced after a trap. The same settings would trap again. */
let trapped = false;
/** Whether the next model trains at once. */
let wanted = false;

/**
 * Shows an error, or hides the last one if `text` is empty.
 * @param {string} text
 */
const complain = (text) => {
  $("message").hidden = text === "";
  $("message").textContent = text.replace(/^error: /, "");
  if (text !== "") $("message").scrollIntoView({ block: "nearest" });
};

/**
 * Shows whether the run goes on.
 * @param {boolean} now
 */
const setRunning = (now) => {
  running = now;
  $("train").textContent = running ? "Pause" : step > 0 && step < losses.steps ? "Continue" : "Train";
};

const asks = () => ({
  samples: 8,
  top_k: Number(input("top_k").value),
  temperature: Number(input("temperature").value),
  text: input("text").value,
});
const pace = () => Number($("pace", HTMLSelectElement).value);

/** Opens a new model. */
const reset = () => {
  const wrong = invalidity();
  setRunning(false);
  opened = null;
  if (wrong !== null) return complain(wrong);
  // A worker that becomes ready calls this function again.
  if (!ready) return;
  complain("");
  send({ asks: asks(), pace: pace(), open: { corpus, ...runSettings() } });
};

/** Trains, pauses, or opens a new model if there is none or its run has ended. */
export const train = () => {
  if (running) {
    setRunning(false);
    send({ run: false });
  } else if (!opened || step === losses.steps) {
    wanted = true;
    reset();
  } else {
    setRunning(true);
    send({ pace: pace(), run: true });
  }
};

let _frame = 0;
/** Draws the curve. */
const draw = () => {
  _frame = 0;
  // Another view hides the plot. When the plot is shown again, its size changes, and the observer of the size draws.
  const { clientWidth } = $("plot");
  if (clientWidth === 0) return;
  const width = Math.max(280, clientWidth);
  drawCurve($("plot"), curveOf(losses, width, width < 500 ? 220 : 280));
};
/** Draws once before the next frame, however many reports arrive until then. */
const redraw = () => {
  _frame ||= requestAnimationFrame(draw);
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
  if (message.report) showReport(message.report);
  if (message.error !== undefined) {
    setRunning(false);
    wanted = false;
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
  start(setting("multiply_add", "fastest") === "exact");
};

/**
 * Shows which form of the module runs, and why.
 * @param {Omit<Kernels, "exports">} kernels
 */
const showForm = ({ why, wrong }) => {
  $("form").textContent = {
    fused: "This run uses relaxed SIMD, since all of 10,000 test cases of its multiply-add are rounded once here.",
    asked: "This run uses the exact function, as you asked.",
    unknown: "This run uses the exact function, since this browser has no relaxed SIMD.",
    unfused: `This run uses the exact function, since ${wrong} of 10,000 test cases of relaxed SIMD are not rounded once here.`,
  }[why];
};

/**
 * Shows a new model.
 * @param {Opened} model
 */
const showOpened = (model) => {
  opened = model;
  losses = new Losses(runSettings().steps);
  step = 0;
  time = 0;
  $("opened").textContent =
    `${grouped(model.train)} documents to train on, ${grouped(model.val)} to validate; ` +
    `vocabulary ${model.vocab}, ${grouped(model.params)} parameters.`;
  clearNames();
  for (const id of ["loss", "val", "rate", "here-val", "here-hash"]) $(id).textContent = "–";
  $("at").textContent = "0";
  $("verdict").textContent = "";
  setRunning(false);
  redraw();
  if (wanted) {
    wanted = false;
    train();
  }
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
  $("loss").textContent = losses.mean.toFixed(3);
  $("rate").textContent = grouped(Math.round((1000 * report.losses.length) / report.wall));
  const validation = report.validations.at(-1);
  if (validation) $("val").textContent = validation.val_loss.toFixed(3);
  for (const names of report.names) showNames(names);
  if (report.attention) showAttention(report.attention);
  if (report.hash !== undefined) finish(report.hash);
  redraw();
};

/**
 * Shows the end of a run, and compares a default run with the native one.
 * @param {string} hash
 */
const finish = (hash) => {
  setRunning(false);
  const per = time / step;
  $("rate").textContent = grouped(Math.round(1000 / per));
  $("here-hash").textContent = hash;
  const loss = losses.validations[losses.validations.length - 1].val_loss;
  if (corpus === null && areDefault()) {
    $("here-step").textContent = per < 1 ? `${(1000 * per).toFixed(0)} µs a step` : `${per.toFixed(1)} ms a step`;
    $("here-val").textContent = loss.toFixed(6);
    const same = hash === native.hash && loss === native.val_loss;
    $("verdict").textContent = same
      ? "Equal, bit for bit."
      : "They differ, which is a bug of this page or of your browser.";
    $("verdict").className = same ? "same" : "different";
  } else {
    $("verdict").textContent =
      "The native figures are those of the default run, which has seed 42, 500 steps and the built-in names.";
    $("verdict").className = "";
  }
};

/**
 * Opens a model on a text, or on the built-in names if the text is empty.
 * @param {string} text
 */
const useCorpus = (text) => {
  corpus = text.trim() === "" ? null : text;
  reset();
};
/**
 * Opens a model on the text of a file.
 * @param {File} file
 */
const useFile = async (file) => {
  $("corpus-box", HTMLDetailsElement).open = true;
  try {
    if (file.size > 100e6) throw new Error(`a file must be below 100 MB, got ${Math.round(file.size / 1e6)} MB`);
    const text = new TextDecoder("utf-8", { fatal: true }).decode(await file.arrayBuffer());
    const box = $("corpus", HTMLTextAreaElement);
    // A long text would make the box slow.
    box.value = text.length > 200_000 ? "" : text;
    box.placeholder = `${file.name}: ${grouped(text.length)} characters`;
    corpus = text;
    reset();
  } catch (error) {
    complain(
      `cannot use ${file.name}: ${error instanceof TypeError ? "it is not UTF-8 text" : /** @type {Error} */ (error).message}`,
    );
  }
};

$("native-val").textContent = native.val_loss.toFixed(6);
$("native-hash").textContent = native.hash;
$("train").onclick = train;
$("step").onclick = () => {
  if (running) train();
  if (opened) send({ step: true });
  else reset();
};
$("reset").onclick = reset;
$("settings").onsubmit = (event) => event.preventDefault();
for (const name of RUN) $(name).onchange = reset;
$("pace").onchange = () => send({ pace: pace() });
$("multiply_add").onchange = restart;
for (const name of ["temperature", "top_k"]) {
  $(name).oninput = () => {
    if (!opened || invalidity() !== null) return;
    complain("");
    send({ asks: asks(), again: true });
  };
}
$("text").oninput = () => opened && send({ asks: asks(), again: true });
$("use").onclick = () => {
  const text = $("corpus", HTMLTextAreaElement).value;
  if (text.trim() === "") complain("your corpus is empty\nhint: paste a text with one document on each line");
  else useCorpus(text);
};
$("builtin").onclick = () => {
  $("corpus", HTMLTextAreaElement).value = "";
  useCorpus("");
};
$("file").onchange = () => {
  const file = input("file").files?.[0];
  if (file) useFile(file);
};
document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", (event) => {
  event.preventDefault();
  const file = event.dataTransfer?.files[0];
  if (file) useFile(file);
});
onMessage(receive);
onPlace(() => {
  if (restore()) reset();
});
new ResizeObserver(redraw).observe($("plot"));
// The first paint needs no model, so the worker starts after it.
requestAnimationFrame(() => setTimeout(restart));
