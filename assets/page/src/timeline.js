// The timeline of the run. Its slider chooses the step that every view shows.
import { $, grouped, input, prefersLessMotion } from "./dom.js";
import { onMessage } from "./engine.js";
import { go, onPlace, setting } from "./fragment.js";
import { train, trainForStep } from "./live.js";
import { notify } from "./notice.js";
import { runSettings } from "./settings.js";
import { trained } from "./trained.js";

/** The steps per second of each speed. @type {Record<string, number>} */
const SPEEDS = { slow: 2, fast: 20, full: 200 };

/**
 * The timeline. `taken` is the number of steps that the run has taken, `first` that of the model at its start, and `total`
 * that of the whole run. `wanted` is the step that the user asks for, or null if the slider moves with the run.
 * @type {{ first: number, taken: number, total: number, wanted: number | null, playing: number }}
 */
const state = { first: 0, taken: 0, total: 0, wanted: null, playing: 0 };
/** @type {((step: number) => void)[]} */
const listeners = [];
/** The time for which the slider rests before the address names its step. Browsers allow a few changes a second. */
const REST = 200;
/** The timer that ends the rest, or 0. */
let named = 0;
/** The step in the address, as it was last. */
let addressed = "";
/** The model and the step that the views were told last. */
let told = "";
/** The number of models so far. */
let models = 0;

/** Returns the number of steps of the model that the views show. */
export const currentStep = () =>
  state.wanted === null ? state.taken : Math.max(state.first, Math.min(state.wanted, state.taken));

/** Returns the number of the training step that the views show: the one that led to the model. */
export const shownStep = () => Math.max(state.first + 1, currentStep());

/** Returns whether the shown step would follow the end of the run. A trained model has no step before its end. */
export const isBeyond = () => state.total > 0 && shownStep() > state.total;

/** Returns the number of steps of the whole run. */
export const totalSteps = () => state.total;

/** Returns whether a model is open. */
export const hasModel = () => state.total > 0;

/**
 * Calls a function whenever another step is shown, or another run.
 * @param {(step: number) => void} listener
 */
export const onStep = (listener) => listeners.push(listener);

/** Shows the state on the bar, and tells the listeners. */
const tell = () => {
  const { first, taken, total } = state;
  const step = currentStep();
  const slider = input("timeline-step");
  slider.min = String(first);
  slider.max = String(Math.max(first + 1, total));
  slider.value = String(step);
  slider.disabled = taken === first;
  const part = (taken - first) / Math.max(1, total - first);
  $("timeline-track").style.setProperty("--taken", String(part));
  const done = taken < total ? `, of which ${grouped(taken)} are done` : "";
  slider.setAttribute("aria-valuetext", `after step ${step} of ${grouped(total)}${done}`);
  $("timeline-label").textContent =
    total === 0 ? "" : step === 0 ? "before training" : `after step ${grouped(step)} of ${grouped(total)}`;
  $("timeline-taken").textContent = step < taken && taken < total ? `${grouped(taken)} done` : "";
  document.body.classList.toggle("idle", taken === first);
  for (const [id, off] of /** @type {[string, boolean][]} */ ([
    ["timeline-first", step === first],
    ["timeline-back", step === first],
    ["timeline-on", step >= taken],
    ["timeline-last", step >= taken],
  ])) {
    $(id, HTMLButtonElement).disabled = off;
  }
  $("timeline-play", HTMLButtonElement).disabled = taken === first;
  // The end of a run has a plane of its own, in which the views draw all steps.
  const now = [models, step, taken === total].join();
  if (now === told) return;
  told = now;
  for (const listener of listeners) listener(step);
};

/**
 * Goes to a step. The address names it.
 * @param {number} step
 */
export const goToStep = (step) => {
  const to = Math.max(state.first, Math.min(state.taken, Math.round(step)));
  state.wanted = to === state.taken ? null : to;
  nameSoon();
  tell();
};

/** Names the step in the address once the slider rests. */
const nameSoon = () => {
  clearTimeout(named);
  named = setTimeout(name, REST);
};

/** Names the step in the address, unless it is still to change because the run goes on. */
const name = () => {
  named = 0;
  const isMoving = state.wanted === null && state.taken < state.total;
  const at = isMoving || state.taken === state.first ? null : String(currentStep());
  addressed = at ?? "";
  go({ settings: { at } }, { replace: true });
};

/** Takes the step that the address names. A step that the page has not taken needs the run. */
const takeAddressed = () => {
  const { first, taken, total } = state;
  const wanted = addressed === "" ? null : Number(addressed);
  state.wanted = wanted;
  if (total === 0 || wanted === null || (wanted >= first && wanted <= taken && taken > 0)) return;
  if (first > 0 && trained?.repeats === false) {
    const what = `Step ${wanted} is that of a new run from new weights.`;
    notify(what, ["The run of the program had settings that this page lacks, so the page cannot repeat it."]);
  }
  trainForStep();
};

/**
 * Stays at the shown step, and returns it for the address of a part of the step. A step beyond the run is in no address.
 * @returns {string | null}
 */
export const stay = () => {
  if (!hasModel() || isBeyond()) return null;
  clearTimeout(named);
  named = 0;
  state.wanted = shownStep();
  addressed = String(state.wanted);
  return addressed;
};

/** Shows whether the timeline plays. */
const showPlaying = () => {
  $("timeline-play").textContent = state.playing ? "❚❚" : "▶";
  $("timeline-play").setAttribute("aria-label", state.playing ? "Pause the replay" : "Replay the run");
};

/** Stops the replay. */
const stop = () => {
  clearTimeout(state.playing);
  state.playing = 0;
  showPlaying();
};

/** Moves on by the steps that are due since the last frame. */
const play = () => {
  const speed = SPEEDS[$("timeline-speed", HTMLSelectElement).value] ?? SPEEDS.fast;
  const frame = prefersLessMotion() ? 500 : 33;
  const wait = Math.max(frame, 1000 / speed);
  state.playing = setTimeout(() => {
    goToStep(currentStep() + Math.max(1, Math.round((speed * wait) / 1000)));
    if (currentStep() >= state.taken) stop();
    else play();
  }, wait);
  showPlaying();
};

/** Starts the replay, from the beginning if it stands at the end, or stops it. */
const togglePlay = () => {
  if (state.playing) return stop();
  if (currentStep() >= state.taken) goToStep(state.first);
  play();
};

/** Follows the worker's run and the bar's controls. */
export const startTimeline = () => {
  onMessage(({ dropped, opened, report }) => {
    if (dropped) {
      stop();
      clearTimeout(named);
      named = 0;
      Object.assign(state, { first: 0, taken: 0, total: 0, wanted: null });
      models += 1;
      tell();
    }
    if (opened) {
      const first = opened.step;
      // A trained model is at the end of its run, which may have had fewer steps than were planned.
      Object.assign(state, { first, taken: first, total: first || runSettings().steps });
      models += 1;
      takeAddressed();
      tell();
    }
    if (report) {
      state.taken = report.step;
      if (report.hash !== undefined && state.wanted === null) nameSoon();
      tell();
    }
  });
  onPlace(() => {
    const at = setting("at", "");
    // Another part of the address may change before the slider comes to rest.
    if (at === addressed) return;
    addressed = at;
    clearTimeout(named);
    named = 0;
    takeAddressed();
    tell();
  });
  const slider = input("timeline-step");
  slider.addEventListener("input", () => {
    stop();
    goToStep(Number(slider.value));
  });
  /** @type {[string, () => number][]} */
  const moves = [
    ["timeline-first", () => state.first],
    ["timeline-back", () => currentStep() - 1],
    ["timeline-on", () => currentStep() + 1],
    ["timeline-last", () => state.taken],
  ];
  for (const [id, to] of moves) {
    $(id).addEventListener("click", () => {
      stop();
      goToStep(to());
    });
  }
  $("timeline-play").addEventListener("click", togglePlay);
  $("timeline-train").addEventListener("click", train);
  showPlaying();
};
