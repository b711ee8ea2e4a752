"use strict";
// The live view, which asks the worker to train and shows its reports.
const live = (() => {
  const $ = (id) => document.getElementById(id);
  const native = JSON.parse($("native").textContent);
  const SETTINGS = ["steps", "learning_rate", "seed", "n_embd", "n_head", "n_layer", "block_size"];
  const element = (tag, properties) => Object.assign(document.createElement(tag), properties);
  /**
   * The state. `trapped` is true after a trap, `warm` once the module is optimised, and `wanted` if the next model
   * trains at once.
   */
  const state = { worker: null, running: false, opened: null, corpus: null, losses: null, time: 0, step: 0, ready: false, trapped: false, warm: false, wanted: false };

  $("native-val").textContent = native.val_loss.toFixed(6);
  $("native-hash").textContent = native.hash;

  /** Shows an error, or hides the last one if `text` is empty. */
  const complain = (text) => {
    $("message").hidden = !text;
    $("message").textContent = text.replace(/^error: /, "");
    if (text) $("message").scrollIntoView({ block: "nearest" });
  };

  /** Shows whether the run goes on. */
  const setRunning = (running) => {
    state.running = running;
    $("train").textContent = running ? "Pause" : state.step > 0 && state.step < state.losses?.steps ? "Continue" : "Train";
    $("train").setAttribute("aria-pressed", running);
  };

  /** Starts a worker in place of any earlier one. */
  const start = () => {
    state.worker?.terminate();
    state.ready = false;
    const source = new Blob([$("worker").textContent], { type: "text/javascript" });
    state.worker = new Worker(URL.createObjectURL(source));
    state.worker.onmessage = ({ data }) => receive(data);
    state.worker.onerror = (event) => complain(`the worker failed: ${event.message}`);
    state.worker.postMessage({ module: $("module").textContent.trim() });
  };

  /** Returns the settings for the worker. If an input is not valid, shows why and returns null. */
  const settings = () => {
    const bad = [...$("settings").elements].find((input) => input.willValidate && !input.validity.valid);
    if (bad) {
      complain(`${bad.labels[0].textContent.trim().split("\n")[0]}: ${bad.validationMessage}`);
      return null;
    }
    return Object.fromEntries(SETTINGS.map((name) => [name, Number($(name).value)]));
  };
  const isDefault = () => state.corpus === null && SETTINGS.every((name) => Number($(name).value) === Number($(name).defaultValue));
  const asks = () => ({ samples: 8, top_k: Number($("top_k").value), temperature: Number($("temperature").value), text: $("text").value });
  const pace = () => Number($("pace").value);

  /** Opens a new model. */
  const reset = () => {
    const open = settings();
    setRunning(false);
    state.opened = null;
    // A worker that becomes ready calls this function again.
    if (!open || !state.ready) return;
    complain("");
    state.worker.postMessage({ asks: asks(), pace: pace(), open: { corpus: state.corpus, ...open } });
  };

  /** Trains, pauses, or opens a new model if there is none or its run has ended. */
  const train = () => {
    if (state.running) {
      setRunning(false);
      state.worker.postMessage({ run: false });
    } else if (!state.opened || state.step === state.losses.steps) {
      state.wanted = true;
      reset();
    } else {
      setRunning(true);
      state.worker.postMessage({ pace: pace(), run: true });
    }
  };

  /** Draws the curve. */
  const draw = () => {
    state.frame = 0;
    // Another view hides the plot. When the plot is shown again, its size changes, and the observer of the size draws.
    const { clientWidth } = $("plot");
    if (!clientWidth || !state.losses) return;
    const width = Math.max(280, clientWidth);
    drawCurve($("plot"), curveOf(state.losses, width, width < 500 ? 220 : 280));
  };
  /** Draws once before the next frame, however many reports arrive until then. */
  const redraw = () => (state.frame ||= requestAnimationFrame(draw));

  /** Shows a message of the worker. */
  const receive = (data) => {
    if (data.ready) {
      state.ready = true;
      // After a trap the same settings would trap again.
      if (!state.trapped) reset();
      state.trapped = false;
    }
    if (data.warm) state.warm = true;
    if (data.opened) showOpened(data.opened);
    if (data.names) showNames(data.names, data.again);
    if (data.attention) showAttention(data.attention);
    if (data.report) showReport(data.report);
    if (data.error) {
      setRunning(false);
      state.wanted = false;
      complain(data.error);
      if (data.trap) {
        state.opened = null;
        state.trapped = true;
        start();
      }
    }
  };

  /** Shows a new model. */
  const showOpened = (opened) => {
    Object.assign(state, { opened, losses: new Losses(Number($("steps").value)), step: 0, time: 0 });
    $("opened").textContent = `${opened.train.toLocaleString("en")} documents to train on, ${opened.val.toLocaleString("en")} to validate; ` +
      `vocabulary ${opened.vocab}, ${opened.params.toLocaleString("en")} parameters.`;
    $("names").tBodies[0].replaceChildren();
    for (const id of ["loss", "val", "rate", "here-val", "here-hash"]) $(id).textContent = "–";
    $("at").textContent = "0";
    $("verdict").textContent = "";
    setRunning(false);
    redraw();
    if (state.wanted) {
      state.wanted = false;
      train();
    }
  };

  /** Shows a report of the training. */
  const showReport = (report) => {
    for (const loss of report.losses) state.losses.push(loss);
    state.losses.validations.push(...report.validations);
    state.step = report.step;
    state.time += report.time;
    $("at").textContent = `${report.step.toLocaleString("en")} / ${state.losses.steps.toLocaleString("en")}`;
    $("loss").textContent = state.losses.mean.toFixed(3);
    $("rate").textContent = Math.round((1000 * report.losses.length) / report.wall).toLocaleString("en");
    const validation = report.validations.at(-1);
    if (validation) $("val").textContent = validation.val_loss.toFixed(3);
    report.names.forEach((names) => showNames(names));
    if (report.attention) showAttention(report.attention);
    if (report.hash) finish(report.hash);
    redraw();
  };

  /** Shows the end of a run, and compares a default run with the native one. */
  const finish = (hash) => {
    setRunning(false);
    const per = state.time / state.step;
    $("rate").textContent = Math.round(1000 / per).toLocaleString("en");
    $("here-hash").textContent = hash;
    const loss = state.losses.validations.at(-1).val_loss;
    if (isDefault()) {
      $("here-step").textContent = per < 1 ? `${(1000 * per).toFixed(0)} µs a step` : `${per.toFixed(1)} ms a step`;
      $("here-val").textContent = loss.toFixed(6);
      const same = hash === native.hash && loss === native.val_loss;
      $("verdict").textContent = same ? "Equal, bit for bit." : "They differ, which is a bug of this page or of your browser.";
      $("verdict").className = same ? "same" : "different";
    } else {
      $("verdict").textContent = "The native figures are those of the default run, which has seed 42, 500 steps and the built-in names.";
      $("verdict").className = "";
    }
  };

  /** Shows samples. Samples that were drawn `again` replace those of the same step. */
  const showNames = ({ step, samples }, again) => {
    const body = $("names").tBodies[0];
    if (again && Number(body.rows[0]?.dataset.step) === step) body.deleteRow(0);
    const row = body.insertRow(0);
    row.dataset.step = step;
    row.append(element("th", { textContent: step.toLocaleString("en"), scope: "row" }));
    const cell = row.insertCell();
    for (const name of samples) {
      cell.append(element("span", { textContent: name || "·" }), " ");
    }
    while (body.rows.length > 12) body.deleteRow(-1);
  };

  /** Returns an empty table for the attention of head `h`, with a row for each query and a column for each key. */
  const attentionTable = (tokens, h) => {
    const label = (token, scope) => element("th", { textContent: token === "<BOS>" ? "·" : token, scope, title: token });
    const table = document.createElement("table");
    table.createCaption().textContent = `head ${h + 1}`;
    table.createTHead().insertRow().append(document.createElement("td"), ...tokens.map((token) => label(token, "col")));
    const body = table.createTBody();
    tokens.forEach((token, t) => {
      const row = body.insertRow();
      row.append(label(token, "row"));
      for (let key = 0; key < tokens.length; key++) row.insertCell().className = key <= t ? "seen" : "later";
    });
    return table;
  };

  /** Shows the attention of each head, or the error for its text. */
  const showAttention = ({ tokens, heads, error }) => {
    $("attention-message").textContent = error ? error.replace(/^error: /, "") : "";
    if (error) return;
    const box = $("heads");
    const key = JSON.stringify([tokens, heads.length]);
    if (box.dataset.key !== key) {
      box.dataset.key = key;
      box.style.setProperty("--n", tokens.length);
      box.replaceChildren(...heads.map((_, h) => attentionTable(tokens, h)));
    }
    heads.forEach((rows, h) => rows.forEach((row, t) => row.slice(0, t + 1).forEach((probability, key) => {
      const cell = box.children[h].tBodies[0].rows[t].cells[key + 1];
      const percent = `${Math.round(100 * probability)} %`;
      if (cell.title === percent) return;
      cell.style.setProperty("--p", percent.replace(" ", ""));
      cell.title = percent;
      cell.setAttribute("aria-label", percent);
    })));
  };

  /** Opens a model on a text, or on the built-in names if the text is empty. */
  const useCorpus = (text) => {
    state.corpus = text.trim() === "" ? null : text;
    reset();
  };
  /** Opens a model on the text of a file. */
  const useFile = async (file) => {
    $("corpus-box").open = true;
    try {
      if (file.size > 100e6) throw new Error(`a file must be below 100 MB, got ${Math.round(file.size / 1e6)} MB`);
      const text = new TextDecoder("utf-8", { fatal: true }).decode(await file.arrayBuffer());
      // A long text would make the box slow.
      $("corpus").value = text.length > 200_000 ? "" : text;
      $("corpus").placeholder = `${file.name}: ${text.length.toLocaleString("en")} characters`;
      state.corpus = text;
      reset();
    } catch (error) {
      complain(`cannot use ${file.name}: ${error instanceof TypeError ? "it is not UTF-8 text" : error.message}`);
    }
  };

  $("train").onclick = train;
  $("step").onclick = () => {
    if (state.running) train();
    if (state.opened) state.worker.postMessage({ step: true });
    else reset();
  };
  $("reset").onclick = reset;
  $("settings").onsubmit = (event) => event.preventDefault();
  for (const name of SETTINGS) $(name).onchange = reset;
  $("pace").onchange = () => state.worker.postMessage({ pace: pace() });
  for (const name of ["temperature", "top_k"]) {
    $(name).oninput = () => state.opened && settings() && (complain(""), state.worker.postMessage({ asks: asks(), again: true }));
  }
  $("text").oninput = () => state.opened && state.worker.postMessage({ asks: asks(), again: true });
  $("use").onclick = () => ($("corpus").value.trim() === "" ? complain("your corpus is empty\nhint: paste a text with one document on each line") : useCorpus($("corpus").value));
  $("builtin").onclick = () => {
    $("corpus").value = "";
    useCorpus("");
  };
  $("file").onchange = () => $("file").files[0] && useFile($("file").files[0]);
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    if (event.dataTransfer.files[0]) useFile(event.dataTransfer.files[0]);
  });
  new ResizeObserver(redraw).observe($("plot"));
  // The first paint needs no model, so the worker starts after it.
  requestAnimationFrame(() => setTimeout(start));
  return { train, state };
})();
