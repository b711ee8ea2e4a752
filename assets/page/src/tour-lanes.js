// The figure of warps and lanes: a half-warp adds up a row by exchanges, and warps meet at a barrier.
import { digits, shown } from "./buffers.js";
import { svg } from "./chart.js";
import { element, prefersLessMotion } from "./dom.js";

/** @import { OpenedStep } from "./buffers.js" */

/** The lanes of a half-warp. */
const LANES = 16;
/** The distances of the exchanges. */
const DISTANCES = [8, 4, 2, 1];
/** The width and the height of a lane. */
const [WIDTH, HEIGHT, GAP] = [58, 30, 44];
/** The time between two exchanges, in milliseconds. */
const PAUSE = 1100;

/** The timer of the animation. */
let timer = 0;

/**
 * Returns the values of the lanes before the first exchange and after each. They are added in single precision.
 * @param {Float32Array} squares
 */
const stagesOf = (squares) => {
  const stages = [squares];
  for (const distance of DISTANCES) {
    const last = stages[stages.length - 1];
    stages.push(last.map((value, lane) => Math.fround(value + last[lane ^ distance])));
  }
  return stages;
};

/**
 * Draws the lanes up to a stage.
 * @param {Float32Array[]} stages
 * @param {number} upTo
 */
const picture = (stages, upTo) => {
  /** @param {number} stage */
  const top = (stage) => stage * (HEIGHT + GAP);
  const parts = stages.slice(0, upTo + 1).flatMap((values, stage) =>
    [...values].flatMap((value, lane) => {
      const [x, y] = [lane * WIDTH, top(stage)];
      const box = svg("rect", { x: x + 2, y, width: WIDTH - 4, height: HEIGHT, rx: 5, class: "lane" });
      const text = svg(
        "text",
        { x: x + WIDTH / 2, y: y + HEIGHT / 2, "text-anchor": "middle", dy: ".35em" },
        digits(value),
      );
      if (stage === 0) return [box, text];
      const from = top(stage - 1) + HEIGHT;
      const lines = [lane, lane ^ DISTANCES[stage - 1]].map((source) =>
        svg("path", {
          class: source === lane ? "own" : "other",
          d: `M${source * WIDTH + WIDTH / 2} ${from}C${source * WIDTH + WIDTH / 2} ${from + GAP / 2} ${x + WIDTH / 2} ${y - GAP / 2} ${x + WIDTH / 2} ${y}`,
        }),
      );
      return [...lines, box, text];
    }),
  );
  const summary =
    upTo === 0 ? "16 lanes with the squares of a row" : `The lanes after ${upTo} of ${DISTANCES.length} exchanges`;
  return svg(
    "svg",
    {
      viewBox: `0 -2 ${LANES * WIDTH} ${top(DISTANCES.length) + HEIGHT + 4}`,
      role: "img",
      "aria-label": summary,
      class: "lanes",
    },
    ...parts,
  );
};

/** Returns the drawing of warps at a barrier. */
const barrier = () => {
  const rows = [0.55, 0.9, 0.7, 0.4].map((share, warp) => {
    const work = element("span", { className: "work" });
    work.style.width = `${100 * share}%`;
    return element(
      "div",
      { className: "warp" },
      element("span", { className: "warp-name", textContent: `warp ${warp}` }),
      element(
        "span",
        { className: "warp-track" },
        work,
        element("span", { className: "wait", textContent: share < 0.85 ? "waits" : "" }),
      ),
    );
  });
  const box = element("div", { className: "barrier" }, ...rows);
  box.setAttribute("role", "img");
  box.setAttribute("aria-label", "Four warps that work for different times and wait for each other at a barrier");
  return box;
};

/** Returns the drawing of a warp: 32 lanes in two half-warps. */
const warp = () => {
  const boxes = Array.from({ length: 2 * LANES }, (_, lane) => {
    const x = 4 + lane * 28.5 + (lane < LANES ? 0 : 12);
    return [
      svg("rect", { x, y: 22, width: 26.5, height: 24, rx: 4, class: "lane" }),
      svg("text", { x: x + 13, y: 34, "text-anchor": "middle", dy: ".35em" }, String(lane)),
    ];
  });
  const names = ["the lower half-warp: 16 channels", "the upper half-warp: the same channels, often of another row"];
  const labels = names.map((name, half) => svg("text", { x: 4 + half * (LANES * 28.5 + 12), y: 12 }, name));
  const summary =
    "A warp of 32 lanes, of which the lower half-warp holds lanes 0 to 15 and the upper one lanes 16 to 31";
  return svg(
    "svg",
    { viewBox: "0 0 928 50", role: "img", "aria-label": summary, class: "lanes" },
    ...labels,
    ...boxes.flat(),
  );
};

/**
 * Draws the figure.
 * @param {HTMLElement} box
 * @param {OpenedStep} step
 * @param {number} t
 */
export const lanes = (box, step, t) => {
  clearTimeout(timer);
  const channels = Math.min(LANES, step.channels);
  const row = step.buffer("layer0.x_mid").values.subarray(t * step.channels, t * step.channels + channels);
  const squares = new Float32Array(LANES).map((_, lane) => Math.fround((row[lane] ?? 0) ** 2));
  const stages = stagesOf(squares);
  const drawing = element("div", { className: "lanes-box", tabIndex: 0 });
  drawing.setAttribute("aria-label", "Lanes and their exchanges");
  drawing.setAttribute("role", "group");
  const caption = element("p", { className: "tour-note" });
  const button = element("button", { type: "button", className: "primary", textContent: "Exchange" });
  let stage = prefersLessMotion() ? DISTANCES.length : 0;
  const show = () => {
    drawing.replaceChildren(warp(), picture(stages, stage));
    const sum = stages[stage][0];
    caption.textContent =
      stage < DISTANCES.length
        ? `Each lane holds the square of a channel of x, at “${shown(step.reply.tokens[t])}”. Next, each lane adds the value of the lane ${DISTANCES[stage]} away.`
        : `All lanes hold the sum ${digits(sum)}. Over ${step.channels} channels, 1 / sqrt(mean + 1e-5) is ${digits(1 / Math.sqrt(sum / step.channels + 1e-5))}. The kernels’ buffer has ${digits(step.at("layer0.rstd_mlp", [t]))}.`;
    button.textContent = stage < DISTANCES.length ? "Exchange" : "Once more";
  };
  const advance = () => {
    stage = stage < DISTANCES.length ? stage + 1 : 0;
    show();
    if (stage > 0 && stage < DISTANCES.length && !prefersLessMotion()) timer = setTimeout(advance, PAUSE);
  };
  button.addEventListener("click", () => {
    clearTimeout(timer);
    advance();
  });
  show();
  const wide =
    step.channels > LANES
      ? element("p", {
          className: "quiet",
          textContent: `The model has ${step.channels} channels, of which the first 16 are drawn.`,
        })
      : "";
  box.replaceChildren(
    element("div", { className: "actions" }, button),
    drawing,
    caption,
    wide,
    element("h3", { textContent: "A barrier" }),
    barrier(),
  );
};
