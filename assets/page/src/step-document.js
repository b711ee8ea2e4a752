// The document of a step: its tokens in a row, and under each what the model expects next.
import { OpenedStep, shown } from "./buffers.js";
import { $, element } from "./dom.js";
import { counted, lossText } from "./numbers.js";

/** The number of likeliest tokens that are shown. */
const LIKELIEST = 5;
/** The number of tokens that were read last and stand on a card. */
const READ = 6;

/**
 * Returns the likeliest tokens of a row, and the one that came, the likeliest first.
 * @param {OpenedStep} step
 * @param {number} t
 */
const expected = (step, t) => {
  const { ids, vocab } = step.reply;
  const row = vocab.map((token, id) => ({ token, id, p: step.at("probs", [t, id]), came: id === ids[t + 1] }));
  const ranked = [...row].sort((a, b) => b.p - a.p || a.id - b.id);
  const kept = ranked.slice(0, LIKELIEST);
  const came = ranked.find(({ came }) => came);
  return came && !kept.includes(came) ? [...kept, came] : kept;
};

/**
 * Returns a bar for the probability of a token.
 * @param {{ token: string, p: number, came: boolean }} bar
 */
const barOf = ({ token, p, came }) => {
  const fill = element("span", { className: "fill" });
  fill.style.setProperty("--p", `${(100 * p).toFixed(1)}%`);
  const percent = element("span", { className: "percent", textContent: `${(100 * p).toFixed(p < 0.1 ? 1 : 0)}%` });
  const letter = element("span", { className: "letter", textContent: shown(token) });
  return element(
    "li",
    { className: came ? "came" : "" },
    letter,
    element("span", { className: "track" }, fill),
    percent,
  );
};

/**
 * Returns the card of a position.
 * @param {OpenedStep} step
 * @param {number} t
 * @param {(name: string, index: number[]) => void} pick
 */
const cardOf = (step, t, pick) => {
  const { tokens } = step.reply;
  const loss = step.at("loss", [t]);
  const first = Math.max(0, t + 1 - READ);
  const letters = tokens
    .slice(first, t + 1)
    .map((token, i, { length }) => element(i + 1 === length ? "b" : "span", { textContent: shown(token) }));
  const read = element("span", { className: "read" }, first > 0 ? "…" : "", ...letters);
  const head = element(
    "p",
    { className: "position-head" },
    read,
    element("span", { className: "arrow", textContent: "→" }),
    element("strong", { className: "true", textContent: shown(tokens[t + 1]) }),
  );
  const bars = element("ul", { className: "bars" }, ...expected(step, t).map(barOf));
  const button = element(
    "button",
    { type: "button", className: "loss" },
    "loss ",
    element("span", { className: "value", textContent: lossText(loss, 2) }),
  );
  button.addEventListener("click", () => pick("loss", [t]));
  return element("li", { className: "position" }, head, bars, button);
};

/**
 * Shows the document of a step.
 * @param {OpenedStep} step
 * @param {(name: string, index: number[]) => void} pick
 */
export const showDocument = (step, pick) => {
  const { tokens, loss, vocab, step: number } = step.reply;
  const text = tokens
    .slice(1, step.n + 1)
    .filter((token) => token !== "<BOS>")
    .join("");
  const cut = tokens[step.n] !== "<BOS>";
  $("step-lead").replaceChildren(
    element("strong", { textContent: `Step ${number.toLocaleString("en")}` }),
    " trains on ",
    element("strong", { className: "document", textContent: text }),
    cut ? `, cut after ${counted(step.n, "token")}. ` : ". ",
    "A step has four parts: predict, compare, find out which way each weight should go, and move it.",
  );
  $("step-positions").replaceChildren(...Array.from({ length: step.n }, (_, t) => cardOf(step, t, pick)));
  const guess = Math.log(vocab.length);
  $("step-mean").replaceChildren(
    "The loss of the step is the mean of these, ",
    element("strong", { className: "value", textContent: lossText(loss, 3) }),
    ` nats. A guess among ${vocab.length} tokens costs ln ${vocab.length} = ${guess.toFixed(2)}.`,
  );
};
