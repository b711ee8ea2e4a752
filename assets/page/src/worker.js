"use strict";
// This worker holds the model, so that the page's own thread stays free. The page sends `{module}` once, then messages
// with `open`, `run`, `step`, `pace`, `asks` and `again`. assets/page/wasm/src/session.rs has the requests to the
// module.

/** The module's exports, once the module is compiled. */
let exports;
/** The run. A launch ends at the steps `stops`, and the model is sampled at the steps `names`. */
let run = null;
/** Whether the run goes on by itself. */
let running = false;
/** Whether the browser has optimised the module. */
let warm = false;
/** The settings of samples and attention. */
let asks = { samples: 8, top_k: 5, temperature: 0.6, text: "" };

/** The longest time of a launch in milliseconds. Messages are received between launches. */
const SLICE = 12;
/** The least time between two reports to the page, in milliseconds. */
const REPORT = 80;
/** The least time between two reports with the attention, in milliseconds. */
const ATTENTION = 240;
/** The largest number of validations of a run. A curve could not show more. */
const VALIDATIONS = 100;

/** Returns the exports of a module, base64 of gzip. */
const instantiate = async (module) => {
  const bytes = Uint8Array.from(atob(module), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const { instance } = await WebAssembly.instantiate(await new Response(stream).arrayBuffer(), {});
  return instance.exports;
};

/** Returns the module's reply to a request. */
const call = (request) => {
  const view = (length) => {
    const at = exports.buffer(length);
    return new Uint8Array(exports.memory.buffer, at, length);
  };
  const bytes = new TextEncoder().encode(JSON.stringify(request));
  view(bytes.length).set(bytes);
  const reply = JSON.parse(new TextDecoder().decode(view(exports.call())));
  if (reply.error) throw new Error(reply.error);
  return reply;
};

/** Samples the model. */
const sample = () => {
  const { samples, top_k, temperature } = asks;
  return { step: run.step, ...call({ do: "sample", samples, top_k: Math.min(top_k, run.vocab), temperature }) };
};

/** Returns the attention over the page's text, or the error for a text that the model cannot take. */
const attention = () => {
  try {
    return { step: run.step, ...call({ do: "attention", text: asks.text }) };
  } catch (error) {
    return { step: run.step, error: error.message };
  }
};

/** Trains `limit` steps, or fewer up to the next stop, and adds the results to a report. */
const advance = (report, limit) => {
  const next = run.stops.find((step) => step > run.step) ?? run.steps;
  const start = performance.now();
  const { step, losses } = call({ do: "train", steps: Math.min(limit, next - run.step) });
  const time = performance.now() - start;
  run.slice = Math.max(1, Math.round((losses.length * SLICE) / Math.max(time, SLICE / 4)));
  run.step = step;
  report.losses.push(...losses);
  report.time += time;
  if (step % run.every === 0 || step === run.steps) {
    report.validations.push({ step, ...call({ do: "validate", documents: 20 }) });
  }
  if (run.names.includes(step)) report.names.push(sample());
};

/** Returns an empty report. */
const empty = () => ({ losses: [], time: 0, validations: [], names: [], since: performance.now() });

/** Sends a report. If the run stands `still`, the report has the attention even if the last attention is recent. */
const send = (report, still = run.step === run.steps) => {
  report.step = run.step;
  report.wall = performance.now() - report.since;
  const now = performance.now();
  if (still || now - run.shown >= ATTENTION) {
    report.attention = attention();
    run.shown = now;
  }
  if (run.step === run.steps) {
    running = false;
    report.hash = call({ do: "hash" }).hash;
  }
  postMessage({ report });
};

/** Waits until messages that have arrived are received. */
const turn = () => new Promise((resume) => {
  const { port1, port2 } = new MessageChannel();
  port1.onmessage = resume;
  port2.postMessage(0);
});

/** Trains at the run's pace until it is paused, replaced or finished. */
const loop = async () => {
  const mine = run;
  let report = empty();
  let due = 0;
  while (running && run === mine) {
    if (run.pace) {
      const ticks = Math.min(run.pace, 30);
      await new Promise((resume) => setTimeout(resume, 1000 / ticks));
      due += run.pace / ticks;
    } else {
      await turn();
      due = run.slice;
    }
    if (!running || run !== mine || due < 1) continue;
    advance(report, Math.floor(due));
    due %= 1;
    if (run.step === run.steps || performance.now() - report.since >= REPORT) {
      send(report);
      report = empty();
    }
  }
  // Otherwise a pause would drop the steps since the last report.
  if (run === mine && report.losses.length > 0) send(report, true);
};

/** Opens a model, in place of any earlier one. */
const open = (settings, pace) => {
  running = false;
  run = null;
  const opened = call({ do: "open", ...settings });
  const { steps } = settings;
  // Samples come soon after the start and then ever more rarely, so that the first words can be seen to form.
  const names = [0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1].map((part) => Math.max(1, Math.round(part * steps)));
  const every = 100 * Math.ceil(steps / 100 / VALIDATIONS);
  const validations = Array.from({ length: Math.floor(steps / every) }, (_, i) => (i + 1) * every);
  const stops = [...names, ...validations].sort((a, b) => a - b);
  run = { steps, step: 0, every, shown: 0, slice: 8, pace, vocab: opened.vocab, names, stops };
  postMessage({ opened, names: sample(), attention: attention() });
  if (warm) return;
  // A browser optimises only code that has run often. So some steps are taken and discarded before the user waits.
  warm = true;
  call({ do: "train", steps: Math.min(steps, 300) });
  call({ do: "open", ...settings });
  postMessage({ warm });
};

/** Serves a message of the page. */
const serve = async (message) => {
  if (message.module) {
    exports = await instantiate(message.module);
    postMessage({ ready: true });
  }
  if (message.asks) asks = { ...asks, ...message.asks };
  if (message.pace !== undefined && run) run.pace = message.pace;
  if (message.open) open(message.open, message.pace);
  if (message.step && run && run.step < run.steps) {
    const report = empty();
    advance(report, 1);
    send(report, true);
  }
  if (message.run !== undefined && run) {
    const start = message.run && !running && run.step < run.steps;
    running = message.run;
    if (start) await loop();
  }
  if (message.again && run) postMessage({ names: sample(), attention: attention(), again: true });
};

onmessage = ({ data }) => serve(data).catch((error) => {
  running = false;
  // After a trap the state of the module is unknown, so the page starts another worker.
  postMessage({ error: error.message, trap: error instanceof WebAssembly.RuntimeError });
});
