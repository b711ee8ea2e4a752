// The view of the next letter: its probabilities now and before training, and the drawing of a name letter by letter.
import { shown } from "./buffers.js";
import { $, element, input, prefersLessMotion } from "./dom.js";
import { ask, Dropped, onMessage } from "./engine.js";
import { onPlace, place, setSetting, setting } from "./fragment.js";
import { latestOnly } from "./latest.js";
import { counted, sentences } from "./numbers.js";
import { draws, runSettings } from "./settings.js";
import { currentStep, hasModel, onStep } from "./timeline.js";

/** The probabilities of each next token, see `Row` in `assets/page/wasm/src/session/look.rs`. @typedef {{ model: number[], drawn_from: number[], untrained: number[] | null }} Row */
/** @typedef {{ tokens: string[], letters: string[], rows: Row[] }} Letters */

/** The time for which a drawn letter is shown, in milliseconds. */
const PAUSE = 650;
/** The most drawn names that are listed. */
const NAMES = 10;
/** The most letters of the text without a setting in the address. */
const LETTERS = 3;

/** The number of the next sample. Every drawing has its own random stream. */
let sample = 0;
/** The drawing under way, or null. @type {{ stopped: boolean } | null} */
let drawing = null;

/** Returns the most letters of a text. The first token of the block is the dot. */
const mostLetters = () => runSettings().block_size - 1;

/** Returns the text of the view without a setting in the address, the beginning of the model's example. */
const defaultText = () =>
  [...input("text").defaultValue].slice(0, Math.max(0, Math.min(LETTERS, mostLetters()))).join("");

/**
 * Asks for the probabilities after a text, and for the rest of a sample if it has a number.
 * @param {string} text
 * @param {number | null} number
 * @returns {Promise<Letters>}
 */
const askLetters = async (text, number) => {
  const letters = [...text].length;
  if (letters > mostLetters())
    throw new Error(
      `The text has ${counted(letters, "letter")}, and a model of block_size ${runSettings().block_size} takes at most ${mostLetters()}. Shorten the text, or raise block_size in the Live view.`,
    );
  return ask({ do: "next_letter", step: currentStep(), text, sample: number, ...draws() });
};

/**
 * Shows the probabilities of the next token, the likeliest first.
 * @param {string[]} tokens
 * @param {Row} row
 * @param {string | null} drawn the token that was drawn, if one was
 */
const showRow = (tokens, row, drawn) => {
  const most = Math.max(...row.model, ...row.drawn_from);
  const ranked = tokens.map((token, id) => ({ token, id, p: row.model[id] })).sort((a, b) => b.p - a.p || a.id - b.id);
  const items = ranked.map(({ token, id, p }) =>
    itemOf(token, p, row.drawn_from[id], row.untrained?.[id] ?? null, most, token === drawn),
  );
  $("letter-before").hidden = row.untrained === null;
  $("letter-rows").replaceChildren(...items);
};

/**
 * Returns the line of a token. It is a button that adds the token to the text.
 * @param {string} token
 * @param {number} p
 * @param {number} from
 * @param {number | null} before
 * @param {number} most the probability with the longest bar
 * @param {boolean} drawn
 */
const itemOf = (token, p, from, before, most, drawn) => {
  const percent = (/** @type {number} */ share) => `${(100 * share).toFixed(share < 0.0995 ? 1 : 0)} %`;
  const kinds = ["model", "drawn", ...(before === null ? [] : ["before"])];
  const bars = element(
    "span",
    { className: "letter-bars" },
    ...kinds.map((className) => element("span", { className })),
  );
  const lengths = { "--model": p, "--drawn": from, "--before": before ?? 0 };
  for (const [name, share] of Object.entries(lengths)) bars.style.setProperty(name, `${(100 * share) / most}%`);
  const letter = element("span", { className: "letter", textContent: shown(token) });
  const text = element("span", { className: "value", textContent: percent(p) });
  const share = element("span", { className: "value drawn-share", textContent: from > 0 ? percent(from) : "cut" });
  const end = token === "<BOS>";
  /** Text for screen readers. @param {string} text */
  const spoken = (text) => element("span", { className: "hidden", textContent: text });
  const button = element(
    "button",
    { type: "button", className: `letter-row${from > 0 ? "" : " cut"}${drawn ? " hit" : ""}` },
    letter,
    bars,
    text,
    share,
    spoken(
      `${from > 0 ? " is drawn from" : ""}${before === null ? "" : `, before training ${percent(before)}`}${end ? ", the end of the name" : ""}`,
    ),
  );
  button.disabled = end;
  button.addEventListener("click", () => setText(input("letter-text").value + token));
  return element("li", {}, button);
};

/** Shows the probabilities after the text. @type {(step: number) => void} */
const refresh = latestOnly(async () => {
  if (!hasModel() || place().view !== "letter" || drawing) return;
  const step = currentStep();
  try {
    const { tokens, rows } = await askLetters(input("letter-text").value, null);
    input("letter-top-k").max = String(tokens.length);
    $("letter-message").textContent = "";
    setDrawable(true);
    showRow(tokens, rows[0], null);
    $("view-letter").dataset.step = String(step);
  } catch (error) {
    refuse(error);
  }
  showLabels();
});

/**
 * Shows why a text has no next letter. The bars of an earlier text would mislead.
 * @param {unknown} error
 */
const refuse = (error) => {
  if (error instanceof Dropped) return;
  $("letter-message").textContent = sentences(error instanceof Error ? error.message : String(error));
  setDrawable(false);
  $("letter-rows").replaceChildren();
};

/**
 * Lets the user draw from the text, or not.
 * @param {boolean} can
 */
const setDrawable = (can) => {
  for (const id of ["letter-draw", "letter-one"]) $(id, HTMLButtonElement).disabled = !can;
};

/** Hides what the view shows of a model that there is no more. */
const forget = () => {
  stop();
  $("letter-rows").replaceChildren();
  $("letter-drawn").replaceChildren();
  $("letter-empty").hidden = false;
  delete $("view-letter").dataset.step;
};

/** Shows the settings beside their sliders, and whether the model is trained. */
const showLabels = () => {
  // The slider rounds the setting, and ends before the largest.
  $("letter-temperature-value").textContent = input("temperature").value;
  $("letter-top-k-value").textContent = input("letter-top-k").value;
  $("letter-limit").textContent =
    `At most ${counted(mostLetters(), "letter")}. The model sees ${counted(runSettings().block_size, "token")}, its block size, and the first of them is the dot.`;
  $("letter-untrained").textContent =
    currentStep() === 0 ? "This model is not trained yet, so it holds all tokens for about equally likely." : "";
};

/**
 * Changes the text.
 * @param {string} text
 */
const setText = (text) => {
  stop();
  input("letter-text").value = text;
  setSetting("prefix", text, defaultText());
  refresh(0);
};

/** Ends the drawing under way. */
const stop = () => {
  if (drawing) drawing.stopped = true;
  drawing = null;
  $("letter-draw").textContent = "Draw a name";
};

/**
 * Lists a drawn name.
 * @param {string} text
 * @param {boolean} ended whether the model ended it
 */
const list = (text, ended) => {
  $("letter-empty").hidden = true;
  const names = $("letter-drawn");
  names.prepend(element("li", { textContent: text + (ended ? "·" : "…") }));
  while (names.children.length > NAMES) names.lastElementChild?.remove();
};

/**
 * Draws a name letter by letter, or its first letter alone.
 * @param {boolean} once
 */
const draw = async (once) => {
  if (drawing) return stop();
  const mine = { stopped: false };
  drawing = mine;
  if (!once) $("letter-draw").textContent = "Stop";
  let text = input("letter-text").value;
  try {
    const { tokens, letters, rows } = await askLetters(text, sample);
    $("letter-message").textContent = "";
    sample += 1;
    const pause = prefersLessMotion() ? 0 : PAUSE;
    for (const [i, letter] of letters.slice(0, once ? 1 : letters.length).entries()) {
      showRow(tokens, rows[i], letter);
      await new Promise((resume) => setTimeout(resume, pause));
      if (mine.stopped) return;
      if (letter !== "<BOS>") text += letter;
      input("letter-text").value = text;
    }
    const ended = letters.at(-1) === "<BOS>";
    if (!once || (ended && letters.length === 1)) list(text, ended);
    drawing = null;
    // The next name begins from the same text.
    if (once) setText(text);
    else input("letter-text").value = setting("prefix", defaultText());
  } catch (error) {
    refuse(error);
  }
  stop();
  refresh(0);
};

/** Takes the settings of the live view, to which the sliders belong too. */
const takeSettings = () => {
  input("letter-temperature").value = input("temperature").value;
  const topK = input("letter-top-k");
  topK.value = String(Math.min(Number(topK.max), Number(input("top_k").value)));
  if (!drawing) input("letter-text").value = setting("prefix", defaultText());
};

/** Starts the view. */
export const startLetter = () => {
  for (const [own, of] of [
    ["letter-temperature", "temperature"],
    ["letter-top-k", "top_k"],
  ]) {
    input(own).addEventListener("input", () => {
      stop();
      input(of).value = input(own).value;
      input(of).dispatchEvent(new Event("input"));
      refresh(0);
    });
  }
  input("letter-text").addEventListener("input", () => setText(input("letter-text").value));
  $("letter-clear").addEventListener("click", () => setText(""));
  $("letter-draw").addEventListener("click", () => draw(false));
  $("letter-one").addEventListener("click", () => draw(true));
  onMessage(({ dropped, opened }) => {
    if (dropped) forget();
    // The default is that of the model.
    if (opened) takeSettings();
  });
  onStep(refresh);
  onPlace(({ view }) => {
    if (view !== "letter") return stop();
    takeSettings();
    refresh(0);
  });
};
