// The tour's figures of the forward pass, from the text to the loss.
import { largest, shown } from "./buffers.js";
import { bar, cells, chart, strip } from "./chart.js";
import { element } from "./dom.js";
import { counted, digits, lossText } from "./numbers.js";
import { note, rowOf, widthOf } from "./tour-parts.js";

/** @import { Figure } from "./tour-parts.js" */

/** The difference of probabilities below which two points share a label. */
const NEAR = 0.02;

/** @type {Figure} */
export const tokens = (box, step) => {
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
export const embedding = (box, step, t) => {
  const { tokens, ids } = step.reply;
  const [token, place, x] = [rowOf(step, "wte", ids[t]), rowOf(step, "wpe", t), rowOf(step, "x_embed", t)];
  const most = Math.max(largest(token), largest(place));
  box.replaceChildren(
    strip(`wte[“${shown(tokens[t])}”]`, token, most),
    strip(`+ wpe[${t}]`, place, most),
    strip("= x, scaled", x),
    note(
      `${counted(x.length, "channel")}. Orange is positive, blue negative. The sum is scaled by ${digits(step.at("rstd_embed", [t]))}.`,
    ),
  );
};

/** @type {Figure} */
export const attention = (box, step, t) => {
  const l = step.reply.layers - 1;
  const { headDim } = step;
  /** @param {number} h */
  const head = (h) => {
    const [first, buffers] = [h * headDim, ["q", "k", "v"].map((name) => `layer${l}.${name}`)];
    const keys = Array.from({ length: t + 1 }, (_, s) => {
      const p = step.at(`layer${l}.probs`, [h, t, s]);
      const score = Array.from({ length: headDim }, (_, i) => first + i).reduce(
        (sum, c) => sum + step.at(buffers[0], [t, c]) * step.at(buffers[1], [s, c]),
        0,
      );
      const [key, value] = ["key", "value"].map((kind, i) =>
        cells(kind, rowOf(step, buffers[i + 1], s, first, headDim), largest(step.buffer(buffers[i + 1]).values)),
      );
      return element(
        "tr",
        {},
        element("th", { scope: "row", textContent: `${s} “${shown(step.reply.tokens[s])}”` }),
        element("td", {}, key),
        element("td", { className: "value", textContent: digits(score) }),
        element("td", {}, value),
        element("td", {}, element("ul", { className: "bars" }, bar("", p, `${(100 * p).toFixed(0)}%`))),
      );
    });
    const query = strip("query", rowOf(step, buffers[0], t, first, headDim), largest(step.buffer(buffers[0]).values));
    const gathered = strip(
      "gathered",
      rowOf(step, `layer${l}.attn`, t, first, headDim),
      largest(step.buffer(`layer${l}.attn`).values),
    );
    const names = ["position", "key", "score", "value", "share"].map((text) =>
      element("th", { scope: "col", textContent: text }),
    );
    const table = element(
      "table",
      { className: "keys" },
      element("thead", {}, element("tr", {}, ...names)),
      element("tbody", {}, ...keys),
    );
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
      `Position ${t}, “${shown(step.reply.tokens[t])}”, looks back at ${t === 0 ? "itself alone" : counted(t + 1, "position")}. A score is the query times the key, channel by channel, summed up.`,
    ),
    element("div", { className: "heads" }, ...Array.from({ length: Math.min(4, step.reply.heads) }, (_, h) => head(h))),
  );
};

/** @type {Figure} */
export const mlp = (box, step, t) => {
  const l = step.reply.layers - 1;
  const h = rowOf(step, `layer${l}.h`, t);
  const most = largest(h);
  const fitting = h.filter((value) => value > 0).length;
  box.replaceChildren(
    strip("xn", rowOf(step, `layer${l}.xn_mlp`, t)),
    strip("h = relu(fc1·xn)", h),
    strip("h²", rowOf(step, `layer${l}.h2`, t)),
    strip("x + fc2·h²", rowOf(step, `layer${l}.x_out`, t)),
    note(`${fitting} of ${h.length} patterns ${fitting === 1 ? "fits" : "fit"} at this position.`),
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
export const loss = (box, step) => {
  const { tokens, ids } = step.reply;
  const positions = Array.from({ length: step.n }, (_, t) => ({
    x: step.at("probs", [t, ids[t + 1]]),
    y: step.at("loss", [t]),
    label: shown(tokens[t + 1]),
  })).sort((a, b) => a.x - b.x);
  // Points that are near each other have one label, at the first of them.
  let first = { x: -1, label: "" };
  const points = positions.map((point) => {
    const own = { ...point };
    if (point.x - first.x < NEAR) {
      first.label += ` ${point.label}`;
      own.label = "";
    } else first = own;
    return own;
  });
  box.replaceChildren(
    chart(
      {
        x: [0, 1],
        y: [0, Math.max(6, ...points.map(({ y }) => y))],
        curve: (p) => -Math.log(Math.max(p, 1e-9)),
        points,
        xLabel: "probability p of the token that came",
        yLabel: "loss −ln p",
        summary: `The loss of each position: ${positions.map(({ label, y }) => `${label} ${lossText(y, 2)}`).join(", ")}`,
      },
      widthOf(box),
    ),
    note(`The mean over ${counted(step.n, "position")} is the loss of the step, ${digits(step.reply.loss)}.`),
  );
};
