"use strict";
/** The losses of a run, in a few hundred points however long the run is. */
class Losses {
  /** The time constant of the running mean, in steps. */
  static MEAN = 50;
  /** The largest number of points. */
  static POINTS = 500;

  constructor(steps) {
    this.steps = steps;
    this.every = Math.ceil(steps / Losses.POINTS); // steps per point
    this.points = []; // {step, min, max, mean}
    this.validations = []; // {step, val_loss}
    this.count = 0;
    this.mean = 0;
  }

  /** Adds the loss of the next step. */
  push(loss) {
    this.count += 1;
    this.mean += (loss - this.mean) / Math.min(this.count, Losses.MEAN);
    const index = Math.floor((this.count - 1) / this.every);
    const point = (this.points[index] ??= { min: loss, max: loss });
    point.step = this.count;
    point.min = Math.min(point.min, loss);
    point.max = Math.max(point.max, loss);
    point.mean = this.mean;
    this.last = loss;
  }
}

/** Returns the loss curve, `width` by `height` pixels, as axes and legend in SVG, paths by class, and a summary. */
const curveOf = ({ points, validations, steps }, width, height) => {
  const [left, right, top, bottom] = [40, width - 14, 14, height - 30];
  const means = [...points.map((p) => p.mean), ...validations.map((v) => v.val_loss), 3.4, 2.4];
  const low = Math.floor(2 * (Math.min(...means) - 0.7)) / 2;
  const high = Math.ceil(2 * (Math.max(...means) + 0.7)) / 2;
  const x = (step) => (left + ((right - left) * step) / steps).toFixed(1);
  const y = (loss) => (bottom - ((bottom - top) * (Math.min(Math.max(loss, low), high) - low)) / (high - low)).toFixed(1);

  const rows = [];
  const every = high - low > 4 ? 1 : 0.5;
  for (let loss = low; loss <= high; loss += every) {
    rows.push(`<path class="rule" d="M${left} ${y(loss)}H${right}"/>`);
    rows.push(`<text x="${left - 8}" y="${y(loss)}" dy=".32em" text-anchor="end">${loss.toFixed(1)}</text>`);
  }
  const columns = [0, 0.25, 0.5, 0.75, 1].map((part) => {
    const anchor = part === 0 ? "start" : part === 1 ? "end" : "middle";
    const step = Math.round(part * steps);
    return `<text x="${x(step)}" y="${height - 10}" text-anchor="${anchor}">${step.toLocaleString("en")}</text>`;
  });
  const legend = [["raw", "one step"], ["mean", `mean of ${Losses.MEAN}`], ["val", "validation"]].map(([name, text], i) => {
    const at = right - 282 + i * 104;
    return `<circle class="key ${name}" cx="${at}" cy="${top + 8}" r="4.5"/><text x="${at + 10}" y="${top + 8}" dy=".32em">${text}</text>`;
  });
  const line = (places) => places.map(([step, loss], i) => `${i ? "L" : "M"}${x(step)} ${y(loss)}`).join("");
  const validated = validations.map((v) => [v.step, v.val_loss]);
  const last = points.at(-1);
  return {
    frame: `viewBox="0 0 ${width} ${height}">${rows.join("")}${columns.join("")}${legend.join("")}`,
    paths: {
      raw: points.map((p) => `M${x(p.step)} ${y(p.min)}V${y(p.max)}`).join(""),
      val: line(validated),
      mean: line(points.map((p) => [p.step, p.mean])),
      // A line of length zero with round ends is a dot.
      dots: validated.map(([step, loss]) => `M${x(step)} ${y(loss)}h0`).join(""),
    },
    summary: `Loss curve: ${last ? `step ${last.step} of ${steps}, running mean ${last.mean.toFixed(2)} nats` : "nothing trained yet"}`,
  };
};

/** Returns a curve as SVG, with a `style` element if it is shown outside of the page. */
const svgOf = ({ frame, paths, summary }, style = "") => {
  const [size, axes] = [frame.slice(0, frame.indexOf(">") + 1), frame.slice(frame.indexOf(">") + 1)];
  const drawn = Object.entries(paths).map(([name, d]) => `<path class="${name}" d="${d}"/>`);
  return `<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="${summary}" ${size}${style}${axes}${drawn.join("")}</svg>`;
};

/** Draws a curve in an element. If the frame is the same as before, only changed paths are replaced. */
const drawCurve = (element, curve) => {
  if (element.frame !== curve.frame) {
    element.frame = curve.frame;
    element.innerHTML = svgOf(curve);
    return;
  }
  const svg = element.firstElementChild;
  svg.setAttribute("aria-label", curve.summary);
  for (const [name, d] of Object.entries(curve.paths)) {
    const path = svg.querySelector(`path.${name}`);
    if (path.getAttribute("d") !== d) path.setAttribute("d", d);
  }
};
