// The worker, which holds the model so that the page's own thread stays free. The page sends `{module}` once, then the
// messages of `Message`.
import { callModule, giveTrained, loadKernels, readCorpus } from "./kernels.js";
import { Run } from "./run.js";

/** @import { Exports } from "./kernels.js" */
/** @import { Asks, Draft, OpenSettings } from "./run.js" */

/**
 * A message of the page: the module and whether its exact form is asked for, the user's corpus, the values of a trained model, the settings of a new model, whether it
 * trains by itself, the number of the next model if the present one is to be dropped, a single step, the steps per second or 0 for full speed, the settings of samples and attention, and
 * whether they are shown again. A `request` is for the module, whose reply is sent with the `id`.
 * @typedef {{ module?: string, exact?: boolean, corpus?: { blob: Blob | ArrayBuffer, number: number }, drop?: number, trained?: Uint8Array, open?: OpenSettings, run?: boolean, step?: true, pace?: number,
 *   asks?: Partial<Asks>, again?: true, id?: number, request?: object }} Message
 */

/** The least time between two reports to the page, in milliseconds. */
const REPORT = 80;
/** The number of steps that the browser needs to optimise the module. */
const WARM_UP = 300;

/** The module's exports, once the module is compiled. @type {Exports | null} */
let exports = null;
/** @type {Run | null} */
let run = null;
/** Whether the run goes on by itself. */
let running = false;
/** The number of times that a run was started. Only the last loop goes on, also if the one before is still waiting. */
let loops = 0;
/** Whether the browser has optimised the module. */
let warm = false;
/** The steps per second, or 0 for full speed. */
let pace = 0;
/** The number that the page has given the model. */
let model = 0;
/** The corpus that was sent last. @type {Blob | ArrayBuffer | null} */
let latest = null;
/** @type {Asks} */
let asks = { samples: 8, top_k: 5, temperature: 0.6, text: "", documents: 20 };

/** @param {object} request */
const call = (request) => {
  if (!exports) throw new Error("the module is not compiled yet");
  return callModule(exports, request);
};

/**
 * Sends a message on the model to the page.
 * @param {import("./engine.js").Message} message
 */
const post = (message) => postMessage({ model, ...message });

/** Waits until messages that have arrived are received. */
const turn = () =>
  new Promise((resume) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = resume;
    port2.postMessage(0);
  });

/**
 * Sends a report.
 * @param {Run} run
 * @param {Draft} draft
 * @param {boolean} still
 */
const report = (run, draft, still) => {
  if (run.ended) running = false;
  post({ report: run.complete(draft, asks, still || run.ended) });
};

/**
 * Takes steps of a run. If one fails, the page still gets those before it.
 * @param {Run} run
 * @param {Draft} draft
 * @param {number} limit
 */
const advance = (run, draft, limit) => {
  try {
    run.advance(draft, limit, asks);
  } catch (error) {
    const trap = error instanceof WebAssembly.RuntimeError;
    if (!trap && draft.losses.length > 0) post({ report: run.complete(draft, asks, true, true) });
    throw error;
  }
};

/**
 * Trains at the page's pace until the run is paused, replaced or finished.
 * @param {Run} mine
 */
const loop = async (mine) => {
  loops += 1;
  const number = loops;
  let draft = mine.draft();
  let due = 0;
  while (running && run === mine && loops === number) {
    if (pace > 0) {
      const ticks = Math.min(pace, 30);
      await new Promise((resume) => setTimeout(resume, 1000 / ticks));
      due += pace / ticks;
    } else {
      await turn();
      due = mine.slice;
    }
    if (!running || run !== mine || loops !== number || due < 1) continue;
    advance(mine, draft, Math.floor(due));
    due %= 1;
    if (mine.ended || performance.now() - draft.since >= REPORT) {
      report(mine, draft, false);
      draft = mine.draft();
    }
  }
  // Otherwise a pause would drop the steps since the last report.
  if (run === mine && draft.losses.length > 0) report(mine, draft, true);
};

/**
 * Opens a model, in place of any earlier one.
 * @param {OpenSettings} settings
 */
const open = (settings) => {
  running = false;
  run = null;
  const opening = new Run(call, settings);
  run = opening;
  post({ opened: opening.opened, names: opening.sample(asks), attention: opening.attention(asks) });
  if (opening.step > 0) post({ hash: call({ do: "hash" }).hash });
  if (warm || opening.ended) {
    postMessage({ warm: true });
    return;
  }
  // A browser optimises only code that has run often. So some steps are taken and discarded before the user waits.
  warm = true;
  call({ do: "train", steps: Math.min(settings.steps, WARM_UP) });
  call({ do: "open", ...settings });
  postMessage({ warm });
};

/**
 * Reads the user's corpus.
 * @param {{ blob: Blob | ArrayBuffer, number: number }} corpus
 */
const read = async ({ blob, number }) => {
  running = false;
  run = null;
  if (!exports) throw new Error("the module is not compiled yet");
  let shown = 0;
  /** @param {number} part */
  const progress = (part) => {
    if (performance.now() - shown < REPORT) return;
    shown = performance.now();
    postMessage({ reading: part });
  };
  latest = blob;
  const corpus = await readCorpus(exports, blob, progress, () => latest === blob);
  if (corpus) postMessage({ corpus: { ...corpus, number } });
};

/**
 * Serves a message of the page.
 * @param {Message} message
 */
const serve = async (message) => {
  if (message.module !== undefined) {
    const kernels = await loadKernels(message.module, message.exact ?? false);
    exports = kernels.exports;
    postMessage({ ready: { form: kernels.form, why: kernels.why, wrong: kernels.wrong } });
  }
  if (message.drop !== undefined) {
    model = message.drop;
    running = false;
    run = null;
  }
  if (message.request !== undefined) post({ id: message.id, reply: call(message.request) });
  if (message.corpus) await read(message.corpus);
  if (message.trained && exports) giveTrained(exports, message.trained);
  if (message.asks) asks = { ...asks, ...message.asks };
  if (message.pace !== undefined) pace = message.pace;
  if (message.open) {
    // A text that is still being read is no longer wanted. The module would drop the model for it.
    latest = null;
    open(message.open);
  }
  if (!run) return;
  if (message.step && !run.ended) {
    const draft = run.draft();
    advance(run, draft, 1);
    report(run, draft, true);
  }
  if (message.run !== undefined) {
    const starts = message.run && !running && !run.ended;
    running = message.run;
    if (starts) await loop(run);
  }
  if (message.again) post({ names: run.sample(asks), attention: run.attention(asks), again: true });
};

self.onmessage = ({ data }) =>
  serve(data).catch((error) => {
    const trap = error instanceof WebAssembly.RuntimeError;
    if (data.id === undefined || trap) running = false;
    // After a trap the state of the module is unknown, so the page starts another worker.
    post({ id: data.id, error: error.message, trap });
  });
