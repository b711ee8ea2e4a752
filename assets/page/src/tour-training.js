// The tour's figures of the training, from the gradients to the samples.
import { shown } from "./buffers.js";
import { bar, chart } from "./chart.js";
import { derivationList, lossIfMoved } from "./derivation.js";
import { element, grouped } from "./dom.js";
import { ask, Dropped } from "./engine.js";
import { go } from "./fragment.js";
import { labelOf } from "./labels.js";
import { digits, lossText, sentences, significant } from "./numbers.js";
import { draws, runSettings } from "./settings.js";
import { moversOf } from "./step-update.js";
import { isBeyond, stay } from "./timeline.js";
import { note, rowOf, widthOf } from "./tour-parts.js";
import { AGAIN } from "./trained.js";
import { updateLines } from "./update.js";

/** @import { Figure } from "./tour-parts.js" */

/** The amount by which a logit is moved in the figure of the backward pass. */
let nudge = 0.5;

/** @type {Figure} */
export const backward = (box, step, t) => {
  const { ids, vocab } = step.reply;
  const logits = rowOf(step, "logits", t);
  const others = vocab.map((_, v) => v).filter((v) => v !== ids[t + 1]);
  const rival = others.reduce((best, v) => (logits[v] > logits[best] ? v : best), others[0]);
  const slider = element("input", {
    type: "range",
    min: "-2",
    max: "2",
    step: "0.1",
    value: String(nudge),
    ariaLabel: "Move the logits",
  });
  const charts = element("div", { className: "two-charts" });
  const by = element("output");
  const fill = () => {
    nudge = Number(slider.value);
    by.textContent = `${nudge > 0 ? "+" : ""}${nudge}`.replace("-", "−");
    const all = [ids[t + 1], rival].map((v) => {
      const [p, y] = [step.at("probs", [t, v]), v === ids[t + 1] ? 1 : 0];
      const [now, then] = [0, nudge].map((by) => lossIfMoved(step, t, v, by));
      const name = `“${shown(vocab[v])}”`;
      const drawn = chart(
        {
          x: [-2, 2],
          y: [Math.max(0, now - 2), now + 2],
          curve: (by) => lossIfMoved(step, t, v, by),
          points: [
            { x: 0, y: now, label: "" },
            { x: nudge, y: then, label: lossText(then, 2), className: "moved" },
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
          `${name}, ${kind}: p − y = ${significant(p)} − ${y} = `,
          element("strong", { className: "value", textContent: significant(p - y) }),
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
  link.addEventListener("click", () =>
    go({ view: "step", part: `dlogits:${t},${ids[t + 1]}`, settings: { at: stay() } }),
  );
  box.replaceChildren(
    element("label", { className: "slider" }, element("span", {}, "Move the logit ", by), slider),
    charts,
    ...derivationList(step, t, ids[t + 1]),
    note(
      "The dashed line has the slope p − y. In the opened step it is divided by n, because the loss is the mean over the positions.",
    ),
    link,
  );
};

/** @type {Figure} */
export const clip = (box, step) => {
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
export const adamw = (box, step) => {
  if (isBeyond())
    return box.replaceChildren(note(`The run is over and its learning rate is 0, so no weight moves. ${AGAIN}`));
  const panel = element("div", { className: "tour-update" });
  const movers = moversOf(step);
  /** @param {{ tensor: string, index: number[] }} mover */
  const show = ({ tensor, index }) =>
    panel.replaceChildren(
      element("h3", { textContent: labelOf(step, tensor, index) }),
      updateLines(step, tensor, index, (name, at) =>
        go({ view: "step", part: `${name}:${at.join(",")}`, settings: { at: stay() } }),
      ),
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
export const schedule = (box, step) => {
  const { steps, learning_rate: most } = runSettings();
  const { step: number, optimizer } = step.reply;
  box.replaceChildren(
    chart(
      {
        x: [0, steps],
        y: [0, most],
        curve: (at) => (most / 2) * (1 + Math.cos((Math.PI * at) / steps)),
        points: isBeyond() ? [] : [{ x: number - 1, y: optimizer.learning_rate, label: `step ${grouped(number)}` }],
        xLabel: "step",
        yLabel: "learning rate",
        summary: `The learning rate falls from ${most} to 0 in ${steps} steps${isBeyond() ? "" : `, and is ${digits(optimizer.learning_rate)} at step ${number}`}`,
      },
      widthOf(box),
    ),
    note(
      isBeyond()
        ? `A run in this page has this schedule. ${AGAIN} Then drag the timeline to see the learning rate fall.`
        : `The learning rate of step ${grouped(number)} is ${digits(optimizer.learning_rate)}. Drag the timeline to see it fall.`,
    ),
  );
};

/** @type {Figure} */
export const sampling = async (box, step, t) => {
  const text = step.reply.tokens
    .slice(1, t + 1)
    .map((token) => (token === "<BOS>" ? "" : token))
    .join("");
  const { top_k, temperature } = draws();
  const asked = { do: "next_letter", step: step.reply.step - 1, text, sample: null, top_k, temperature };
  const letters = await ask(asked).catch((error) => error);
  if (letters instanceof Error)
    return box.replaceChildren(note(letters instanceof Dropped ? "" : sentences(letters.message)));
  const { tokens, rows } = letters;
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
      `After “·${text}”, at temperature ${temperature} and top-k ${top_k}: what the model of this step says, and below it what is drawn from.`,
    ),
    element("ul", { className: "bars wide" }, ...items),
    link,
  );
};
