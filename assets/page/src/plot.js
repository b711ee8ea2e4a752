// The loss curve as SVG. Its colours come from the page's style, or from a style of its own outside of the page.
import { lossText } from "./numbers.js";
import { nice, tickStep, ticks } from "./vendor/d3-array.js";

/** @import { Losses } from "./losses.js" */

/**
 * A curve: its size and axes, the paths by class, a summary in words, and the distances of the axes from the edges.
 * @typedef {{ frame: string, paths: Record<string, string>, summary: string, inset: Record<string, number> }} Curve
 */

/** The width of a digit in pixels, a little more than that of the page's fonts. */
const DIGIT = 7.5;

/**
 * Returns the label of a tick. Ticks that are `step` apart get as many decimals as that needs.
 * @param {number} value
 * @param {number} step
 */
const label = (value, step) => {
  if (Math.abs(value) >= 1e15) return value.toExponential(1).replace("+", "");
  if (Math.abs(value) >= 1e6) return value.toLocaleString("en", { notation: "compact", maximumFractionDigits: 3 });
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  return value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
};

/**
 * Returns the curve of a run, `width` by `height` pixels.
 * @param {Losses} losses
 * @param {number} width
 * @param {number} height
 * @param {string} hint the text of a curve without losses
 * @returns {Curve}
 */
export const curveOf = ({ points, validations, steps }, width, height, hint) => {
  const means = [...points.map((p) => p.mean), ...validations.map((v) => v.val_loss), 3.4, 2.4];
  // Losses of single steps reach beyond the means. A loss below 0 is none.
  const [low, high] = nice(Math.max(0, Math.min(...means) - 0.7), Math.max(...means) + 0.7, 6);
  const levels = ticks(low, high, 6);
  const labels = levels.map((loss) => label(loss, tickStep(low, high, 6)));
  // The legend stands beside the label of the axis, or below it in a narrow plot.
  const row = width < 500 ? 30 : 12;
  const [left, right, top, bottom] = [
    Math.max(48, 16 + DIGIT * Math.max(...labels.map(({ length }) => length))),
    width - 14,
    row + 16,
    height - 48,
  ];
  /** @param {number} step */
  const x = (step) => (left + ((right - left) * step) / steps).toFixed(1);
  /** @param {number} loss */
  const y = (loss) =>
    (bottom - ((bottom - top) * (Math.min(Math.max(loss, low), high) - low)) / (high - low)).toFixed(1);

  const rows = levels.map((loss, i) => {
    const text = `<text x="${left - 8}" y="${y(loss)}" dy=".32em" text-anchor="end">${labels[i]}</text>`;
    return `<path class="rule" d="M${left} ${y(loss)}H${right}"/>${text}`;
  });
  const whole = ticks(0, steps, width < 500 ? 3 : 5).filter(Number.isInteger);
  const columns = whole.map((step) => {
    const anchor = step === 0 ? "start" : step === steps ? "end" : "middle";
    return `<text x="${x(step)}" y="${bottom + 20}" text-anchor="${anchor}">${label(step, 1)}</text>`;
  });
  const keys = [
    ["raw", "one step"],
    ["mean", "smoothed"],
    ["val", "validation"],
  ];
  const legend = keys.map(([name, text], i) => {
    const at = Math.max(8, right - 282) + i * Math.min(104, (right - 8) / 3);
    return `<circle class="key ${name}" cx="${at}" cy="${row}" r="4.5"/><text x="${at + 10}" y="${row}" dy=".32em">${text}</text>`;
  });
  /** @param {number[][]} places */
  const line = (places) => places.map(([step, loss], i) => `${i ? "L" : "M"}${x(step)} ${y(loss)}`).join("");
  const validated = validations.map((v) => [v.step, v.val_loss]);
  const last = points.at(-1);
  const [middle, third] = [(left + right) / 2, top + (bottom - top) / 3];
  const empty = `<text class="empty" x="${middle}" y="${third}" text-anchor="middle">${hint}</text>`;
  const axes =
    `<text x="4" y="12" dy=".32em">loss in nats per token</text>` +
    `<text x="${(left + right) / 2}" y="${height - 8}" text-anchor="middle">step</text>`;
  return {
    inset: { left, right: width - right, top, bottom: height - bottom },
    frame: `viewBox="0 0 ${width} ${height}">${axes}${rows.join("")}${columns.join("")}${legend.join("")}${last ? "" : empty}`,
    paths: {
      raw: points.map((p) => `M${x(p.step)} ${y(p.min)}V${y(p.max)}`).join(""),
      val: line(validated),
      mean: line(points.map((p) => [p.step, p.mean])),
      // A line of length zero with round ends is a dot.
      dots: validated.map(([step, loss]) => `M${x(step)} ${y(loss)}h0`).join(""),
    },
    summary: `Loss curve: ${last ? `step ${last.step} of ${steps}, smoothed loss ${lossText(last.mean, 2)} nats` : "nothing trained yet"}`,
  };
};

/**
 * Returns a curve as SVG.
 * @param {Curve} curve
 */
const svgOf = ({ frame, paths, summary }) => {
  const drawn = Object.entries(paths).map(([name, d]) => `<path class="${name}" d="${d}"/>`);
  return `<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="${summary}" ${frame}${drawn.join("")}</svg>`;
};

/** The frame that an element shows. @type {WeakMap<HTMLElement, string>} */
const frames = new WeakMap();

/**
 * Draws a curve in an element. If the frame is the same as before, only changed paths are replaced.
 * @param {HTMLElement} element
 * @param {Curve} curve
 */
export const drawCurve = (element, curve) => {
  const svg = element.firstElementChild;
  if (!svg || frames.get(element) !== curve.frame) {
    frames.set(element, curve.frame);
    element.innerHTML = svgOf(curve);
    const sides = Object.entries(curve.inset).map(([side, distance]) => [`--${side}`, `${distance}px`]);
    for (const [name, distance] of sides) element.parentElement?.style.setProperty(name, distance);
    return;
  }
  svg.setAttribute("aria-label", curve.summary);
  for (const [name, d] of Object.entries(curve.paths)) {
    const path = svg.querySelector(`path.${name}`);
    if (path?.getAttribute("d") !== d) path?.setAttribute("d", d);
  }
};
