// The timeline of the run. Its slider chooses the step that every view shows.
import { $, grouped, input, prefersLessMotion } from "./dom.js";
import { onMessage } from "./engine.js";
import { go, onPlace, setting } from "./fragment.js";
import { train } from "./live.js";
import { runSettings } from "./settings.js";

/** The steps per second of each speed. @type {Record<string, number>} */
const SPEEDS = { slow: 2, fast: 20, full: 200 };

/**
 * The timeline. `step` is the place of the slider, `taken` the number of steps that the run has taken, and `first` that of
 * the model at its start. The slider moves with the run while it is `following`.
 */
const state = { step: 0, first: 0, taken: 0, total: 0, following: true, playing: 0 };
/** @type {((step: number) => void)[]} */
const listeners = [];
/** The time for which the slider rests before the address names its step. Browsers allow a few changes a second. */
const REST = 200;
/** The timer that ends the rest, or 0. */
let named = 0;
/** Whether the step in the address that the page was opened with has been served. */
let linked = false;

/** Returns the number of steps of the model that the views show. */
export const currentStep = () => state.step;

/** Returns the number of the training step that the views show: the one that led to the model. */
export const shownStep = () => Math.max(state.first + 1, state.step);

/** Returns whether a model is open. */
export const hasModel = () => state.total > 0;

/**
 * Calls a function whenever another step is shown, or another run.
 * @param {(step: number) => void} listener
 */
export const onStep = (listener) => listeners.push(listener);

/** Shows the state on the bar, and tells the listeners. */
const tell = () => {
  const { step, first, taken, total } = state;
  const slider = input("timeline-step");
  slider.min = String(first);
  slider.max = String(Math.max(first + 1, taken));
  slider.value = String(step);
  slider.disabled = taken === first;
  slider.style.setProperty("--at", `${(100 * step) / Math.max(1, taken)}%`);
  slider.setAttribute("aria-valuetext", `after ${step} of ${taken} steps`);
  $("timeline-label").textContent =
    total === 0 ? "" : step === 0 ? "before training" : `after step ${grouped(step)} of ${grouped(total)}`;
  $("timeline").classList.toggle("idle", taken === first);
  for (const [id, off] of /** @type {[string, boolean][]} */ ([
    ["timeline-first", step === first],
    ["timeline-back", step === first],
    ["timeline-on", step >= taken],
    ["timeline-last", step >= taken],
  ])) {
    $(id, HTMLButtonElement).disabled = off;
  }
  $("timeline-play", HTMLButtonElement).disabled = taken === first;
  for (const listener of listeners) listener(step);
};

/**
 * Goes to a step. The address names it, unless it is the last one that the run has taken.
 * @param {number} step
 */
export const goToStep = (step) => {
  state.step = Math.max(state.first, Math.min(state.taken, Math.round(step)));
  state.following = state.step === state.taken;
  clearTimeout(named);
  named = setTimeout(name, REST);
  tell();
};

/** Names the step in the address. */
const name = () => {
  named = 0;
  go({ settings: { at: state.following ? null : String(state.step) } }, { replace: true });
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
    goToStep(state.step + Math.max(1, Math.round((speed * wait) / 1000)));
    if (state.step >= state.taken) stop();
    else play();
  }, wait);
  showPlaying();
};

/** Starts the replay, from the beginning if it stands at the end, or stops it. */
const togglePlay = () => {
  if (state.playing) return stop();
  if (state.step >= state.taken) goToStep(state.first);
  play();
};

/** Follows the worker's run and the bar's controls. */
export const startTimeline = () => {
  onMessage(({ opened, report }) => {
    if (opened) {
      stop();
      const first = opened.step;
      Object.assign(state, { step: first, first, taken: first, total: Math.max(first, runSettings().steps) });
      state.following = setting("at", "") === "";
      // A link to a step of the run needs the run.
      if (!linked && !state.following) train();
      linked = true;
      tell();
    }
    if (report) {
      state.taken = report.step;
      const wanted = Number(setting("at", ""));
      if (state.following) state.step = report.step;
      else if (state.step < wanted) state.step = Math.min(wanted, report.step);
      tell();
    }
  });
  onPlace(() => {
    // Another part of the address has changed before the slider came to rest.
    if (named) return;
    const wanted = setting("at", "");
    const step = wanted === "" ? state.taken : Math.min(Number(wanted), state.taken);
    if (Number.isInteger(step) && step >= state.first && step !== state.step && state.taken > 0) {
      Object.assign(state, { step, following: wanted === "" });
      tell();
    }
  });
  const slider = input("timeline-step");
  slider.addEventListener("input", () => {
    stop();
    goToStep(Number(slider.value));
  });
  /** @type {[string, () => number][]} */
  const moves = [
    ["timeline-first", () => state.first],
    ["timeline-back", () => state.step - 1],
    ["timeline-on", () => state.step + 1],
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
