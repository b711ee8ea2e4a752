"use strict";
// The live view: asks the worker to train and shows what it reports.
const live = (() => {
  const $ = (id) => document.getElementById(id);
  const native = JSON.parse($("native").textContent);
  const SETTINGS = ["steps", "learning_rate", "seed", "n_embd", "n_head", "n_layer", "block_size"];
  const state = { worker: null, running: false, opened: null, corpus: null, losses: null, time: 0, step: 0, ready: false, trapped: false, warm: false, wanted: false };

  $("native-val").textContent = native.val_loss.toFixed(6);
  $("native-hash").textContent = native.hash;

  /** Shows what went wrong, or nothing. */
  const complain = (text) => {
    $("message").hidden = !text;
    $("message").textContent = text.replace(/^error: /, "");
    if (text) $("message").scrollIntoView({ block: "nearest" });
  };

  const setRunning = (running) => {
    state.running = running;
    $("train").textContent = running ? "Pause" : state.step > 0 && state.step < state.losses?.steps ? "Continue" : "Train";
    $("train").setAttribute("aria-pressed", running);
  };

  const start = () => {
    state.worker?.terminate();
    state.ready = false;
    const source = new Blob([$("worker").textContent], { type: "text/javascript" });
    state.worker = new Worker(URL.createObjectURL(source));
    state.worker.onmessage = ({ data }) => receive(data);
    state.worker.onerror = (event) => complain(`the worker failed: ${event.message}`);
    state.worker.postMessage({ module: $("module").textContent.trim() });
  };

  /** The settings as the worker wants them; null, with a message, where one is not a number in its range. */
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

  /** A new model: forgets the old one. */
  const reset = () => {
    const open = settings();
    setRunning(false);
    state.opened = null;
    // Before the worker is ready, what is wanted waits for it.
    if (!open || !state.ready) return;
    complain("");
    state.worker.postMessage({ asks: asks(), pace: pace(), open: { corpus: state.corpus, ...open } });
  };

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

  const draw = () => {
    state.frame = 0;
    // Behind another view nothing is drawn; coming back is a change of size, which draws.
    const { clientWidth } = $("plot");
    if (!clientWidth || !state.losses) return;
    const width = Math.max(280, clientWidth);
    drawCurve($("plot"), curveOf(state.losses, width, width < 500 ? 220 : 280));
  };
  /** Draws before the next frame, once however much arrives until then. */
  const redraw = () => (state.frame ||= requestAnimationFrame(draw));

  const receive = (data) => {
    if (data.ready) {
      state.ready = true;
      // After a trap the same settings would only trap again.
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
      $("verdict").textContent = same ? "Equal, bit for bit." : "They differ: this browser does not compute as it should.";
      $("verdict").className = same ? "same" : "different";
    } else {
      $("verdict").textContent = "The native figures are those of the default run: seed 42, 500 steps, the built-in names.";
      $("verdict").className = "";
    }
  };

  const showNames = ({ step, samples }, again) => {
    const body = $("names").tBodies[0];
    if (again && Number(body.rows[0]?.dataset.step) === step) body.deleteRow(0);
    const row = body.insertRow(0);
    row.dataset.step = step;
    row.append(Object.assign(document.createElement("th"), { textContent: step.toLocaleString("en"), scope: "row" }));
    const cell = row.insertCell();
    for (const name of samples) {
      cell.append(Object.assign(document.createElement("span"), { textContent: name || "·" }), " ");
    }
    while (body.rows.length > 12) body.deleteRow(-1);
  };

  const showAttention = ({ tokens, heads, error }) => {
    $("attention-message").textContent = error ? error.replace(/^error: /, "") : "";
    if (error) return;
    const box = $("heads");
    const key = JSON.stringify([tokens, heads.length]);
    if (box.dataset.key !== key) {
      box.dataset.key = key;
      box.style.setProperty("--n", tokens.length);
      const label = (token) => (token === "<BOS>" ? "·" : token);
      box.replaceChildren(...heads.map((_, h) => {
        const table = document.createElement("table");
        table.createCaption().textContent = `head ${h + 1}`;
        const top = table.createTHead().insertRow();
        top.append(document.createElement("td"), ...tokens.map((token) => {
          return Object.assign(document.createElement("th"), { textContent: label(token), scope: "col", title: token });
        }));
        const body = table.createTBody();
        tokens.forEach((token, t) => {
          const row = body.insertRow();
          row.append(Object.assign(document.createElement("th"), { textContent: label(token), scope: "row", title: token }));
          for (let key = 0; key < tokens.length; key++) row.insertCell().className = key <= t ? "seen" : "later";
        });
        return table;
      }));
    }
    heads.forEach((rows, h) => rows.forEach((row, t) => row.slice(0, t + 1).forEach((probability, key) => {
      const cell = box.children[h].tBodies[0].rows[t].cells[key + 1];
      const percent = Math.round(100 * probability);
      if (cell.dataset.percent !== String(percent)) {
        cell.dataset.percent = percent;
        cell.style.setProperty("--p", `${percent}%`);
        cell.title = `${percent} %`;
        cell.setAttribute("aria-label", `${percent} %`);
      }
    })));
  };

  const useCorpus = (text) => {
    state.corpus = text.trim() === "" ? null : text;
    reset();
  };
  const useFile = async (file) => {
    $("corpus-box").open = true;
    try {
      if (file.size > 100e6) throw new Error("it has more than 100 MB");
      const text = new TextDecoder("utf-8", { fatal: true }).decode(await file.arrayBuffer());
      // A text that is long would make the box slow; its beginning shows what it is.
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
  $("use").onclick = () => ($("corpus").value.trim() === "" ? complain("your corpus is empty: paste a text with one document a line") : useCorpus($("corpus").value));
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
  // After the first paint, which needs no model.
  requestAnimationFrame(() => setTimeout(start));
  return { train, state };
})();
