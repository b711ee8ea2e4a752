// The figure of warps and lanes: a half-warp adds up a row by exchanges, and warps meet at a barrier.
import { shown } from "./buffers.js";
import { svg } from "./chart.js";
import { element, prefersLessMotion } from "./dom.js";
import { digits } from "./numbers.js";

/** @import { OpenedStep } from "./buffers.js" */

/** The lanes of a half-warp. */
const LANES = 16;
/** The distances of the exchanges. */
const DISTANCES = [8, 4, 2, 1];
/** The width and the height of a lane's box, and the gap in which values are exchanged. */
const [WIDTH, HEIGHT, GAP] = [58, 30, 44];
/** The same for a narrow window, whose lanes stand below each other. */
const [NARROW_WIDTH, NARROW_HEIGHT, NARROW_GAP] = [46, 22, 10];

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
 * Returns the place of the box of a lane at a stage.
 * @param {number} lane
 * @param {number} stage
 * @param {boolean} narrow
 */
const boxOf = (lane, stage, narrow) =>
  narrow
    ? {
        x: stage * (NARROW_WIDTH + NARROW_GAP),
        y: lane * NARROW_HEIGHT + 1,
        width: NARROW_WIDTH,
        height: NARROW_HEIGHT - 2,
      }
    : { x: lane * WIDTH + 2, y: stage * (HEIGHT + GAP), width: WIDTH - 4, height: HEIGHT };

/**
 * Returns the path of a value from a lane to another one at the next stage.
 * @param {number} source
 * @param {number} lane
 * @param {number} stage
 * @param {boolean} narrow
 */
const pathOf = (source, lane, stage, narrow) => {
  const [from, to] = [boxOf(source, stage - 1, narrow), boxOf(lane, stage, narrow)];
  if (narrow) return `M${from.x + from.width} ${from.y + from.height / 2}L${to.x} ${to.y + to.height / 2}`;
  const [x0, y0, x1, y1] = [from.x + from.width / 2, from.y + from.height, to.x + to.width / 2, to.y];
  return `M${x0} ${y0}C${x0} ${y0 + GAP / 2} ${x1} ${y1 - GAP / 2} ${x1} ${y1}`;
};

/**
 * Draws the lanes up to a stage.
 * @param {Float32Array[]} stages
 * @param {number} upTo
 * @param {boolean} narrow
 */
const picture = (stages, upTo, narrow) => {
  const parts = stages.slice(0, upTo + 1).flatMap((values, stage) =>
    [...values].flatMap((value, lane) => {
      const box = boxOf(lane, stage, narrow);
      const middle = { x: box.x + box.width / 2, y: box.y + box.height / 2 };
      const rect = svg("rect", { ...box, rx: 5, class: "lane" });
      const text = svg("text", { ...middle, "text-anchor": "middle", dy: ".35em" }, digits(value));
      if (stage === 0) return [rect, text];
      const lines = [lane, lane ^ DISTANCES[stage - 1]].map((source) =>
        svg("path", { class: source === lane ? "own" : "other", d: pathOf(source, lane, stage, narrow) }),
      );
      return [...lines, rect, text];
    }),
  );
  const summary =
    upTo === 0 ? "16 lanes with the squares of a row" : `The lanes after ${upTo} of ${DISTANCES.length} exchanges`;
  const last = boxOf(LANES - 1, DISTANCES.length, narrow);
  const [width, height] = [last.x + last.width + 2, last.y + last.height + 2];
  return svg(
    "svg",
    { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": summary, class: "lanes" },
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

/**
 * Returns the drawing of a warp: 32 lanes in two half-warps.
 * @param {boolean} narrow
 */
const warp = (narrow) => {
  const half = (/** @type {number} */ first, /** @type {string} */ name) => {
    const boxes = Array.from({ length: LANES }, (_, lane) => element("span", { textContent: String(first + lane) }));
    return element(
      "div",
      {},
      element("p", { textContent: name }),
      element("div", { className: "half-warp" }, ...boxes),
    );
  };
  const box = element(
    "div",
    { className: narrow ? "warp-lanes narrow" : "warp-lanes" },
    half(0, "the lower half-warp"),
    half(LANES, "the upper half-warp"),
  );
  box.setAttribute("role", "img");
  box.setAttribute(
    "aria-label",
    "A warp of 32 lanes, of which the lower half-warp holds lanes 0 to 15 and the upper one lanes 16 to 31",
  );
  return box;
};

/**
 * Draws the figure.
 * @param {HTMLElement} box
 * @param {OpenedStep} step
 * @param {number} t
 */
export const lanes = (box, step, t) => {
  clearTimeout(timer);
  const narrow = box.clientWidth < LANES * WIDTH + 40;
  const row = step.buffer("layer0.x_mid").values.subarray(t * step.channels, (t + 1) * step.channels);
  // A lane adds up the squares of its channels, which are 16 apart.
  const squares = new Float32Array(LANES);
  for (const [channel, x] of row.entries()) squares[channel % LANES] = squares[channel % LANES] + x ** 2;
  const held = step.channels > LANES ? "the sum of the squares of its channels of x" : "the square of a channel of x";
  const stages = stagesOf(squares);
  const drawing = element("div", { className: "lanes-box" });
  const caption = element("p", { className: "tour-note" });
  const button = element("button", { type: "button", className: "primary", textContent: "Exchange" });
  let stage = prefersLessMotion() ? DISTANCES.length : 0;
  const show = () => {
    const title = element("p", { className: "quiet", textContent: "The 16 lanes of the lower half-warp:" });
    drawing.replaceChildren(warp(narrow), title, picture(stages, stage, narrow));
    const sum = stages[stage][0];
    caption.textContent =
      stage < DISTANCES.length
        ? `Each lane holds ${held}, at “${shown(step.reply.tokens[t])}”. Next, each lane adds the value of the lane ${DISTANCES[stage]} away.`
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
          textContent: `The model has ${step.channels} channels, so a lane holds every ${LANES}th of them.`,
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
