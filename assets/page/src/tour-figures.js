// The figures of the tour. Each draws what the kernels have computed for the step of the timeline.
import { digits, largest, shown } from "./buffers.js";
import { updateLines } from "./cell.js";
import { bar, chart, strip } from "./chart.js";
import { element, grouped, input, json } from "./dom.js";
import { ask } from "./engine.js";
import { go } from "./fragment.js";
import { labelOf } from "./labels.js";
import { runSettings } from "./settings.js";
import { moversOf } from "./step-update.js";
import { currentStep } from "./timeline.js";
import { lanes } from "./tour-lanes.js";

/** @import { OpenedStep } from "./buffers.js" */
/** A figure is drawn in a box, for a position of the step's document. @typedef {(box: HTMLElement, step: OpenedStep, t: number) => void} Figure */

/**
 * Returns a row of a buffer.
 * @param {OpenedStep} step
 * @param {string} name
 * @param {number} row
 * @param {number} [first] the first column
 * @param {number} [count] the number of columns
 */
const rowOf = (step, name, row, first = 0, count = step.buffer(name).shape[1]) => {
  const { shape, values } = step.buffer(name);
  return values.subarray(row * shape[1] + first, row * shape[1] + first + count);
};

/**
 * Returns the width for a figure's charts, of which some stand side by side.
 * @param {HTMLElement} box
 * @param {number} [beside]
 */
const widthOf = (box, beside = 1) => {
  const width = box.clientWidth - 40;
  return width / beside < 280 ? width : (width - 24 * (beside - 1)) / beside;
};

/** @param {string} text */
const note = (text) => element("p", { className: "tour-note", textContent: text });

/** @type {Figure} */
const tokens = (box, step) => {
  const { tokens, ids } = step.reply;
  const row = tokens.map((token, t) =>
    element(
      "span",
      { className: "token" },
      element("b", { textContent: shown(token) }),
      element("span", { textContent: String(ids[t]) }),
    ),
  );
  const exercises = Array.from({ length: step.n }, (_, t) =>
    element(
      "li",
      {},
      tokens
        .slice(0, t + 1)
        .map(shown)
        .join(""),
      element("span", { className: "arrow", textContent: " → " }),
      element("b", { className: "true", textContent: shown(tokens[t + 1]) }),
    ),
  );
  box.replaceChildren(
    element("div", { className: "token-row" }, ...row),
    element("ol", { className: "exercises" }, ...exercises),
  );
};

/** @type {Figure} */
const embedding = (box, step, t) => {
  const { tokens, ids } = step.reply;
  const [token, place, x] = [rowOf(step, "wte", ids[t]), rowOf(step, "wpe", t), rowOf(step, "x_embed", t)];
  const most = Math.max(largest(token), largest(place));
  box.replaceChildren(
    strip(`wte[“${shown(tokens[t])}”]`, token, most),
    strip(`+ wpe[${t}]`, place, most),
    strip("= x, scaled", x),
    note(
      `${x.length} channels. Orange is positive, blue negative. The sum is scaled by ${digits(step.at("rstd_embed", [t]))}.`,
    ),
  );
};

/** @type {Figure} */
const attention = (box, step, t) => {
  const l = step.reply.layers - 1;
  const { headDim } = step;
  /** @param {number} h */
  const head = (h) => {
    const [first, names] = [h * headDim, ["q", "k", "v"].map((name) => `layer${l}.${name}`)];
    const keys = Array.from({ length: t + 1 }, (_, s) => {
      const p = step.at(`layer${l}.probs`, [h, t, s]);
      const cells = [rowOf(step, names[1], s, first, headDim), rowOf(step, names[2], s, first, headDim)];
      return element(
        "tr",
        {},
        element("th", { scope: "row", textContent: `${s} “${shown(step.reply.tokens[s])}”` }),
        ...cells.map((values, i) =>
          element("td", {}, strip(i ? "value" : "key", values, largest(step.buffer(names[i + 1]).values))),
        ),
        element("td", {}, element("ul", { className: "bars" }, bar("", p, `${(100 * p).toFixed(0)}%`))),
      );
    });
    const query = strip("query", rowOf(step, names[0], t, first, headDim), largest(step.buffer(names[0]).values));
    const gathered = strip(
      "gathered",
      rowOf(step, `layer${l}.attn`, t, first, headDim),
      largest(step.buffer(`layer${l}.attn`).values),
    );
    const table = element("table", { className: "keys" }, element("tbody", {}, ...keys));
    return element(
      "section",
      { className: "head" },
      element("h3", { textContent: `Head ${h + 1}` }),
      query,
      table,
      gathered,
    );
  };
  box.replaceChildren(
    note(
      `Position ${t}, “${shown(step.reply.tokens[t])}”, looks back at ${t === 0 ? "itself alone" : `${t + 1} positions`}.`,
    ),
    element("div", { className: "heads" }, ...Array.from({ length: Math.min(4, step.reply.heads) }, (_, h) => head(h))),
  );
};

/** @type {Figure} */
const mlp = (box, step, t) => {
  const l = step.reply.layers - 1;
  const h = rowOf(step, `layer${l}.h`, t);
  const most = largest(h);
  const fitting = h.filter((value) => value > 0).length;
  box.replaceChildren(
    strip("xn", rowOf(step, `layer${l}.xn_mlp`, t)),
    strip("h = relu(fc1·xn)", h),
    strip("h²", rowOf(step, `layer${l}.h2`, t)),
    strip("x + fc2·h²", rowOf(step, `layer${l}.x_out`, t)),
    note(`${fitting} of ${h.length} patterns fit at this position.`),
    chart(
      {
        x: [-(most || 1), most || 1],
        y: [0, (most || 1) ** 2],
        curve: (u) => Math.max(0, u) ** 2,
        points: [{ x: most, y: most ** 2, label: "the best fit" }],
        xLabel: "fc1·xn",
        yLabel: "relu(fc1·xn)²",
        summary: "The function relu squared, zero below zero and a parabola above",
      },
      widthOf(box),
    ),
  );
};

/** @type {Figure} */
const loss = (box, step) => {
  const { tokens, ids } = step.reply;
  const points = Array.from({ length: step.n }, (_, t) => ({
    x: step.at("probs", [t, ids[t + 1]]),
    y: step.at("loss", [t]),
    label: shown(tokens[t + 1]),
  }));
  box.replaceChildren(
    chart(
      {
        x: [0, 1],
        y: [0, 6],
        curve: (p) => -Math.log(Math.max(p, 1e-9)),
        points,
        xLabel: "probability p of the token that came",
        yLabel: "loss −ln p",
        summary: `The loss of each position: ${points.map(({ label, y }) => `${label} ${y.toFixed(2)}`).join(", ")}`,
      },
      widthOf(box),
    ),
    note(`The mean of the ${step.n} losses is the loss of the step, ${digits(step.reply.loss)}.`),
  );
};

/** The amount by which a logit is moved in the figure of the backward pass. */
let nudge = 0.5;

/** @type {Figure} */
const backward = (box, step, t) => {
  const { ids, vocab } = step.reply;
  const logits = rowOf(step, "logits", t);
  const most = Math.max(...logits);
  const others = vocab.map((_, v) => v).filter((v) => v !== ids[t + 1]);
  const rival = others.reduce((best, v) => (logits[v] > logits[best] ? v : best), others[0]);
  /** The loss of the position if the logit of a token is moved. @param {number} v @param {number} by */
  const moved = (v, by) =>
    Math.log(logits.reduce((sum, z, i) => sum + Math.exp(z + (i === v ? by : 0) - most), 0)) +
    most -
    (logits[ids[t + 1]] + (v === ids[t + 1] ? by : 0));
  const slider = element("input", {
    type: "range",
    min: "-2",
    max: "2",
    step: "0.1",
    value: String(nudge),
    ariaLabel: "Move the logits",
  });
  const charts = element("div", { className: "two-charts" });
  const fill = () => {
    nudge = Number(slider.value);
    const all = [ids[t + 1], rival].map((v) => {
      const [p, y] = [step.at("probs", [t, v]), v === ids[t + 1] ? 1 : 0];
      const [now, then] = [moved(v, 0), moved(v, nudge)];
      const name = `“${shown(vocab[v])}”`;
      const drawn = chart(
        {
          x: [-2, 2],
          y: [Math.max(0, now - 2), now + 2],
          curve: (by) => moved(v, by),
          points: [
            { x: 0, y: now, label: "" },
            { x: nudge, y: then, label: then.toFixed(2), className: "moved" },
          ],
          line: { slope: p - y, x: 0, y: now },
          xLabel: `logit of ${name} moved by`,
          yLabel: "loss of the position",
          summary: `The loss as the logit of ${name} moves. Its slope at the start is ${digits(p - y)}`,
        },
        widthOf(box, 2),
      );
      const kind = y === 1 ? "the token that came" : "the likeliest other token";
      return element(
        "div",
        {},
        element(
          "p",
          {},
          `${name}, ${kind}: p − y = ${digits(p)} − ${y} = `,
          element("strong", { className: "value", textContent: digits(p - y) }),
        ),
        drawn,
      );
    });
    charts.replaceChildren(...all);
  };
  slider.addEventListener("input", fill);
  fill();
  const link = element("button", {
    type: "button",
    className: "link",
    textContent: "See this number in the opened step, and follow it back",
  });
  link.addEventListener("click", () => go({ view: "step", part: `dlogits:${t},${ids[t + 1]}` }));
  box.replaceChildren(
    element("label", { className: "slider" }, element("span", { textContent: "Move the logit" }), slider),
    charts,
    note(
      "The dashed line has the slope p − y. In the opened step it is divided by n, because the loss is the mean over the positions.",
    ),
    link,
  );
};

/** @type {Figure} */
const clip = (box, step) => {
  const { grad_norm: norm, clip } = step.reply;
  const rows = step.tensors.map((tensor) => ({ tensor, norm: Math.hypot(...step.buffer(`${tensor}.grad`).values) }));
  const longest = Math.max(1, norm);
  const items = rows.map(({ tensor, norm }) => bar(tensor, norm / longest, digits(norm)));
  box.replaceChildren(
    element(
      "ul",
      { className: "bars wide tensors" },
      ...items,
      bar("all together", norm / longest, digits(norm), "came"),
      bar("after the clip", (norm * clip) / longest, digits(norm * clip), "came"),
    ),
    note(
      clip < 1
        ? `All gradients are multiplied by ${digits(clip)}, so that their norm is 1.`
        : "The norm is at most 1, so nothing is clipped in this step.",
    ),
  );
};

/** @type {Figure} */
const adamw = (box, step) => {
  const panel = element("div", { className: "tour-update" });
  const movers = moversOf(step);
  /** @param {{ tensor: string, index: number[] }} mover */
  const show = ({ tensor, index }) =>
    panel.replaceChildren(
      element("h3", { textContent: labelOf(step, tensor, index) }),
      updateLines(step, tensor, index, (name, at) => go({ view: "step", part: `${name}:${at.join(",")}` })),
    );
  const buttons = movers.slice(0, 6).map((mover) => {
    const button = element("button", { type: "button", textContent: labelOf(step, mover.tensor, mover.index) });
    button.addEventListener("click", () => show(mover));
    return button;
  });
  show(movers[0]);
  box.replaceChildren(
    note("The weights that moved most in this step:"),
    element("div", { className: "actions" }, ...buttons),
    panel,
  );
};

/** @type {Figure} */
const schedule = (box, step) => {
  const { steps, learning_rate: most } = runSettings();
  const { step: number, optimizer } = step.reply;
  box.replaceChildren(
    chart(
      {
        x: [0, steps],
        y: [0, most],
        curve: (at) => (most / 2) * (1 + Math.cos((Math.PI * at) / steps)),
        points: [{ x: number - 1, y: optimizer.learning_rate, label: `step ${grouped(number)}` }],
        xLabel: "step",
        yLabel: "learning rate",
        summary: `The learning rate falls from ${most} to 0 in ${steps} steps, and is ${digits(optimizer.learning_rate)} at step ${number}`,
      },
      widthOf(box),
    ),
    note(
      `The learning rate of step ${grouped(number)} is ${digits(optimizer.learning_rate)}. Drag the timeline to see it fall.`,
    ),
  );
};

/** @type {Figure} */
const sampling = async (box, step, t) => {
  const text = step.reply.tokens
    .slice(1, t + 1)
    .map((token) => (token === "<BOS>" ? "" : token))
    .join("");
  const [top_k, temperature] = [Number(input("top_k").value), Number(input("temperature").value)];
  const { tokens, rows } = await ask({
    do: "next_letter",
    step: currentStep(),
    text,
    sample: null,
    top_k,
    temperature,
  });
  const { model, drawn_from: from } = rows[0];
  const ranked = [...tokens.keys()].sort((a, b) => model[b] - model[a]).slice(0, 9);
  const most = Math.max(...model, ...from);
  const items = ranked.flatMap((v) => [
    bar(shown(tokens[v]), model[v] / most, `${(100 * model[v]).toFixed(1)}%`),
    bar("", from[v] / most, from[v] > 0 ? `${(100 * from[v]).toFixed(1)}%` : "cut", "came"),
  ]);
  const link = element("button", { type: "button", className: "link", textContent: "Draw names, letter by letter" });
  link.addEventListener("click", () => go({ view: "letter", settings: { prefix: text } }));
  box.replaceChildren(
    note(
      `After “·${text}”, at temperature ${temperature} and top-k ${top_k}: what the model says, and below it what is drawn from.`,
    ),
    element("ul", { className: "bars wide" }, ...items),
    link,
  );
};

/** @type {Figure} */
const devices = (box) => {
  const native = json("native");
  /** @type {[string, string, string][]} */
  const columns = [
    ["GPU", "a lane is a thread, a warp is a warp", "fma.rn.f32 %f3, %f1, %f2, %f3;"],
    ["CPU", "32 lanes are two AVX-512 registers, four of AVX2 or eight of NEON", "vfmadd231ps zmm3, zmm1, zmm2"],
    ["this page", "32 lanes are eight v128 vectors", "f32x4.relaxed_madd"],
  ];
  const cards = columns.map(([device, lanes, code]) =>
    element(
      "div",
      { className: "device" },
      element("h3", { textContent: device }),
      element("p", { textContent: lanes }),
      element("code", { textContent: code }),
    ),
  );
  box.replaceChildren(
    element(
      "pre",
      { className: "source" },
      element("code", { textContent: "y[t] = inputs[t].broadcast_pair(pair).mul_add(w, y[t]);" }),
    ),
    element("div", { className: "devices" }, ...cards),
    note(
      `After 500 steps of the default run, every device has the hash ${native.hash} of all weights and moments. Train the default run, and the live view compares yours.`,
    ),
  );
};

/** The figures by name. @type {Record<string, Figure>} */
export const FIGURES = {
  tokens,
  embedding,
  attention,
  mlp,
  loss,
  backward,
  clip,
  adamw,
  schedule,
  sampling,
  lanes,
  devices,
};
