"use strict";
// The model lives here, away from the page's own thread. The page sends `{module}` once, then requests; what a request
// means is in assets/page/wasm/src/session.rs. `{run}` trains until told otherwise.

/** The module's exports, once it is there. */
let exports;
/** The run, and whether it is going: `stops` are the steps at which a launch ends, `names` those at which it is sampled. */
let run = null;
let running = false;
let warm = false;
let asks = { samples: 8, top_k: 5, temperature: 0.6, text: "" };

/** The longest that a launch may take, in milliseconds: a pause is heard between launches. */
const SLICE = 12;
/** The least time between two reports to the page, and between two that come with the attention, in milliseconds. */
const REPORT = 80;
const ATTENTION = 240;
/** Validations of a run at most: of more, a curve would show nothing. */
const VALIDATIONS = 100;

const fresh = async (module) => {
  const bytes = Uint8Array.from(atob(module), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const { instance } = await WebAssembly.instantiate(await new Response(stream).arrayBuffer(), {});
  return instance.exports;
};

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

const sample = () => {
  const { samples, top_k, temperature } = asks;
  return { step: run.step, ...call({ do: "sample", samples, top_k: Math.min(top_k, run.vocab), temperature }) };
};

const attention = () => {
  try {
    return { step: run.step, ...call({ do: "attention", text: asks.text }) };
  } catch (error) {
    return { step: run.step, error: error.message };
  }
};

/** Trains `limit` steps, or up to the next stop, and collects what to report. */
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

const empty = () => ({ losses: [], time: 0, validations: [], names: [], since: performance.now() });

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

/** Waits until messages that have arrived are heard. */
const turn = () => new Promise((resume) => {
  const { port1, port2 } = new MessageChannel();
  port1.onmessage = resume;
  port2.postMessage(0);
});

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
  // What was trained before a pause.
  if (run === mine && report.losses.length > 0) send(report, true);
};

const serve = async (message) => {
  if (message.module) {
    exports = await fresh(message.module);
    postMessage({ ready: true });
  }
  if (message.asks) asks = { ...asks, ...message.asks };
  if (message.pace !== undefined && run) run.pace = message.pace;
  if (message.open) {
    running = false;
    run = null;
    const opened = call({ do: "open", ...message.open });
    const { steps } = message.open;
    // Names soon after the start, then ever more rarely, so that the first words are seen to form.
    const names = [0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1].map((part) => Math.max(1, Math.round(part * steps)));
    const every = 100 * Math.ceil(steps / 100 / VALIDATIONS);
    const validations = Array.from({ length: Math.floor(steps / every) }, (_, i) => (i + 1) * every);
    const stops = [...names, ...validations].sort((a, b) => a - b);
    run = { steps, step: 0, every, shown: 0, slice: 8, pace: message.pace, vocab: opened.vocab, names, stops };
    postMessage({ opened, names: sample(), attention: attention() });
    if (!warm) {
      // A browser compiles well only what it has seen running: some steps for nothing, before anyone waits for them.
      warm = true;
      call({ do: "train", steps: Math.min(steps, 300) });
      call({ do: "open", ...message.open });
      postMessage({ warm });
    }
  }
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
  // A trap leaves the module in an unknown state; the page starts another worker.
  postMessage({ error: error.message, trap: error instanceof WebAssembly.RuntimeError });
});
