// The step that the timeline shows, opened. The views that draw it share it.
import { OpenedStep } from "./buffers.js";
import { ask, Dropped, onMessage } from "./engine.js";
import { onPlace, place } from "./fragment.js";
import { latestOnly } from "./latest.js";
import { hasModel, onStep, shownStep } from "./timeline.js";

/** The views that draw an opened step. */
const VIEWS = ["step", "tour"];

/** @type {OpenedStep | null} */
let opened = null;
/** @type {((step: OpenedStep | null, error: string) => void)[]} */
const listeners = [];

/** Returns the opened step, or null before the first one. */
export const openedStep = () => opened;

/**
 * Calls a function whenever another step is open, or none is, with the reason if a step could not be opened.
 * @param {(step: OpenedStep | null, error: string) => void} listener
 */
export const onOpened = (listener) => listeners.push(listener);

/** Opens a step, if a view draws it. @type {(step: number) => void} */
const open = latestOnly(async (step) => {
  if (!hasModel() || !VIEWS.includes(place().view)) return;
  let error = "";
  try {
    opened = new OpenedStep(await ask({ do: "open_step", step }));
  } catch (failure) {
    if (failure instanceof Dropped) return;
    opened = null;
    error = failure instanceof Error ? failure.message : String(failure);
  }
  tell(error);
});

/** @param {string} error */
const tell = (error) => {
  for (const listener of listeners) listener(opened, error);
};

/** Opens the steps that the timeline shows. */
export const startOpened = () => {
  let view = "";
  onMessage(({ dropped }) => {
    if (!dropped) return;
    opened = null;
    tell("");
  });
  onStep(() => open(shownStep()));
  onPlace((to) => {
    if (to.view !== view && VIEWS.includes(to.view)) open(shownStep());
    view = to.view;
  });
};
