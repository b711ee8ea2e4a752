// The colours of maps of values: one hue below zero, another above, and the colour of the card at zero.

/** The number of shades on each side of zero. */
const SHADES = 127;

/** @type {Uint32Array | null} */
let palette = null;

/** Forgets the colours, after a change of the theme. */
export const forgetColours = () => {
  palette = null;
};

/**
 * Returns a colour of the style sheet as red, green and blue.
 * @param {string} name the custom property
 */
const resolved = (name) => {
  const probe = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  if (!probe) throw new Error("the browser has no canvas");
  const element = document.createElement("span");
  element.style.color = `var(${name})`;
  document.body.append(element);
  probe.fillStyle = getComputedStyle(element).color;
  element.remove();
  probe.fillRect(0, 0, 1, 1);
  return [...probe.getImageData(0, 0, 1, 1).data].slice(0, 3);
};

/** Returns the shades from the most negative one over zero to the most positive one, as the words of an image. */
const shades = () => {
  if (palette) return palette;
  const [below, zero, above] = ["--below", "--zero", "--above"].map(resolved);
  palette = new Uint32Array(2 * SHADES + 1);
  for (let i = -SHADES; i <= SHADES; i++) {
    // The root makes small values visible beside large ones.
    const share = Math.abs(i / SHADES) ** 0.75;
    const [r, g, b] = zero.map((from, channel) => Math.round(from + ((i < 0 ? below : above)[channel] - from) * share));
    palette[i + SHADES] = (255 << 24) | (b << 16) | (g << 8) | r;
  }
  return palette;
};

/**
 * Draws values on a canvas, one pixel for each.
 * @param {HTMLCanvasElement} canvas
 * @param {ArrayLike<number>} values row by row
 * @param {number} rows
 * @param {number} cols
 * @param {number} most the magnitude with the deepest colour
 */
export const paint = (canvas, values, rows, cols, most) => {
  if (canvas.width !== cols || canvas.height !== rows) {
    canvas.width = cols;
    canvas.height = rows;
  }
  const context = canvas.getContext("2d");
  if (!context) return;
  const image = context.createImageData(cols, rows);
  const words = new Uint32Array(image.data.buffer);
  const colours = shades();
  const scale = most > 0 ? SHADES / most : 0;
  for (let i = 0; i < words.length; i++) {
    words[i] = colours[Math.round(Math.max(-SHADES, Math.min(SHADES, values[i] * scale))) + SHADES];
  }
  context.putImageData(image, 0, 0);
};
