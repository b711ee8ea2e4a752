// The sum behind a cell of a step's buffers, and the update of a weight. Each summand is a product of values that the
// kernels have computed.
import { BACKWARD } from "./backward.js";
import { FORWARD } from "./forward.js";
import { labelOf, PRODUCTS, split } from "./labels.js";
import { inputOf, Sums, term } from "./sums.js";

/** @import { OpenedStep } from "./buffers.js" */
/** @import { Rule, Sum } from "./sums.js" */

/**
 * Returns the sum behind the gradient of a weight.
 * @param {OpenedStep} step
 * @param {string} tensor
 * @param {number[]} index
 * @returns {Rule}
 */
const weightGradient = (step, tensor, [row, col]) => {
  const { local } = split(tensor);
  const r = new Sums(step, tensor);
  if (local === "wpe") {
    const used = row < step.n;
    return {
      formula: "dwpe[t] = d(wte + wpe)[t]",
      text: used
        ? "Each position of the document has its own row."
        : "The document has no such position, so there is no gradient.",
      terms: used ? [term([r.of("dx_embed", row, col)])] : [],
    };
  }
  if (local === "wte") {
    const positions = Array.from({ length: step.n }, (_, t) => t);
    return {
      formula: "dwte = Σ over t of dlogits[t] · x[t], plus d(wte + wpe)[t] where the token came in",
      text: "The matrix is used twice: as the lm_head, which compares with every token, and as the embedding of the tokens that were read.",
      terms: [
        ...positions.map((t) => term([r.of("dlogits", t, row), r.exactly(inputOf(step.reply.layers), [t, col])])),
        ...positions.filter((t) => step.reply.ids[t] === row).map((t) => term([r.of("dx_embed", t, col)])),
      ],
    };
  }
  const [dy, x] = PRODUCTS[local];
  return {
    formula: `d${local} = Σ over t of ${dy}[t] · ${x}[t]`,
    text: "A weight’s gradient adds up over the positions: the gradient of what it gave, times what it took.",
    terms: r.sum(step.n, (t) => [r.of(dy, t, row), r.of(x, t, col)]),
  };
};

/**
 * Returns the sum behind a cell, or null for a weight, whose change is not a sum.
 * @param {OpenedStep} step
 * @param {string} name
 * @param {number[]} index
 * @returns {Sum | null}
 */
export const sumOf = (step, name, index) => {
  const { local } = split(name);
  const about = { name, index, label: labelOf(step, name, index), value: step.at(name, index) };
  if (name.endsWith(".grad")) return { ...about, ...weightGradient(step, name.slice(0, -".grad".length), index) };
  const rule = FORWARD[local] ?? BACKWARD[local];
  return rule ? { ...about, ...rule(new Sums(step, name), index) } : null;
};

/**
 * The update of a weight by AdamW.
 * @typedef {{ tensor: string, index: number[], before: number, after: number, gradient: number, clipped: number, m_before: number,
 *   v_before: number, m: number, v: number, mHat: number, vHat: number }} Update
 */

/**
 * Returns the update of a weight.
 * @param {OpenedStep} step
 * @param {string} tensor
 * @param {number[]} index
 * @returns {Update}
 */
export const updateOf = (step, tensor, index) => {
  /** @param {string} suffix */
  const of = (suffix) => step.at(tensor + suffix, index);
  const { step: number, clip, optimizer } = step.reply;
  return {
    tensor,
    index,
    before: of(""),
    after: of(".after"),
    gradient: of(".grad"),
    clipped: of(".grad") * clip,
    m_before: of(".m_before"),
    v_before: of(".v_before"),
    m: of(".m"),
    v: of(".v"),
    mHat: of(".m") / (1 - optimizer.beta1 ** number),
    vHat: of(".v") / (1 - optimizer.beta2 ** number),
  };
};
