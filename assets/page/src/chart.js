// Small charts and strips of cells for figures.
import { largest } from "./buffers.js";
import { paint } from "./colours.js";
import { element } from "./dom.js";
import { digits } from "./numbers.js";

const SVG = "http://www.w3.org/2000/svg";

/**
 * Returns an SVG element.
 * @param {string} tag
 * @param {Record<string, string | number>} attributes
 * @param {(Node | string)[]} children
 */
export const svg = (tag, attributes, ...children) => {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, String(value));
  made.append(...children);
  return made;
};

/**
 * A curve with points. The points have labels.
 * @typedef {{ x: [number, number], y: [number, number], curve: (x: number) => number, points: { x: number, y: number, label: string, className?: string }[],
 *   xLabel: string, yLabel: string, summary: string, line?: { slope: number, x: number, y: number } }} Curve
 */

/** The largest width of a chart, its height and its margins, in pixels. The left margin grows with the labels. */
const [WIDTH, HEIGHT, MARGIN, BOTTOM, TOP, RIGHT] = [600, 276, 44, 42, 30, 22];
/** The width of a digit in pixels. */
const DIGIT = 7.5;

/**
 * Returns the label of a tick.
 * @param {number} value
 */
const tick = (value) => Number(value.toPrecision(2)).toString().replaceAll("-", "−").replace("+", "");

/**
 * Returns a chart of a curve. Its texts keep their size, so it is drawn for a width in pixels.
 * @param {Curve} curve
 * @param {number} available
 */
export const chart = ({ x, y, curve, points, xLabel, yLabel, summary, line }, available) => {
  const width = Math.max(220, Math.min(WIDTH, available));
  const parts = [0, 0.5, 1];
  const labels = parts.map((part) => tick(y[0] + part * (y[1] - y[0])));
  const left = Math.max(MARGIN, 10 + DIGIT * Math.max(...labels.map(({ length }) => length)));
  /** @param {number} at */
  const toX = (at) => left + ((width - left - RIGHT) * (at - x[0])) / (x[1] - x[0]);
  /** @param {number} at */
  const toY = (at) => HEIGHT - BOTTOM - ((HEIGHT - BOTTOM - TOP) * (at - y[0])) / (y[1] - y[0]);
  /** @param {number} at */
  const inY = (at) => toY(Math.max(y[0], Math.min(y[1], at)));
  const path = Array.from({ length: 121 }, (_, i) => {
    const at = x[0] + ((x[1] - x[0]) * i) / 120;
    return `${i ? "L" : "M"}${toX(at).toFixed(1)} ${inY(curve(at)).toFixed(1)}`;
  });
  const ticks = parts.flatMap((part, i) => {
    const [atX, atY] = [x[0] + part * (x[1] - x[0]), y[0] + part * (y[1] - y[0])];
    return [
      svg("text", { x: toX(atX), y: HEIGHT - BOTTOM + 18, "text-anchor": part === 1 ? "end" : "middle" }, tick(atX)),
      svg("text", { x: left - 6, y: toY(atY), dy: ".32em", "text-anchor": "end" }, labels[i]),
    ];
  });
  const ends = line ? x.map((at, i) => `${i ? "L" : "M"}${toX(at)} ${toY(line.y + line.slope * (at - line.x))}`) : [];
  const tangent = line ? [svg("path", { class: "tangent", d: ends.join("") })] : [];
  /** A label stands above its point, or below one at the top. @param {number} at */
  const labelY = (at) => (inY(at) < TOP + 30 ? inY(at) + 24 : inY(at) - 10);
  /** A label at the right edge ends at its point. @param {number} at */
  const anchor = (at) => (toX(at) > width - 60 ? "end" : "middle");
  const dots = points.map((point) =>
    svg(
      "g",
      { class: point.className ?? "" },
      svg("circle", { class: "dot", cx: toX(point.x), cy: inY(point.y), r: 5 }),
      svg(
        "text",
        { class: "dot-label", x: toX(point.x), y: labelY(point.y), "text-anchor": anchor(point.x) },
        point.label,
      ),
    ),
  );
  return svg(
    "svg",
    { viewBox: `0 0 ${width} ${HEIGHT}`, width, height: HEIGHT, role: "img", "aria-label": summary, class: "chart" },
    svg("path", { class: "rule", d: `M${left} ${TOP}V${HEIGHT - BOTTOM}H${width - RIGHT}` }),
    ...ticks,
    svg("text", { x: (left + width - RIGHT) / 2, y: HEIGHT - 4, "text-anchor": "middle" }, xLabel),
    svg("text", { x: 2, y: 12 }, yLabel),
    svg("path", { class: "curve", d: path.join("") }),
    ...tangent,
    ...dots,
  );
};

/**
 * Returns a row of cells.
 * @param {string} label for screen readers
 * @param {Float32Array} values
 * @param {number} [most] the magnitude with the deepest colour
 */
export const cells = (label, values, most = largest(values)) => {
  const canvas = element("canvas");
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", `${label}: ${values.length} values up to ${digits(largest(values))}`);
  paint(canvas, values, 1, values.length, most);
  canvas.style.setProperty("--cells", String(values.length));
  return canvas;
};

/**
 * Returns a row of cells beside its label.
 * @param {string} label
 * @param {Float32Array} values
 * @param {number} [most] the magnitude with the deepest colour
 */
export const strip = (label, values, most) => {
  const name = element("span", { className: "strip-label", textContent: label });
  return element("div", { className: "strip" }, name, cells(label, values, most));
};

/**
 * Returns a bar with a label and a number.
 * @param {string} label
 * @param {number} share from 0 to 1
 * @param {string} number
 * @param {string} [className]
 */
export const bar = (label, share, number, className = "") => {
  const fill = element("span", { className: "fill" });
  fill.style.setProperty("--p", `${(100 * Math.max(0, Math.min(1, share))).toFixed(1)}%`);
  return element(
    "li",
    { className },
    element("span", { className: "letter", textContent: label }),
    element("span", { className: "track" }, fill),
    element("span", { className: "percent", textContent: number }),
  );
};
