// The names of buffers and the labels of their cells.
import { shown } from "./buffers.js";

/** @import { OpenedStep } from "./buffers.js" */

/**
 * Returns the layer of a buffer's name and the name without it.
 * @param {string} name
 * @returns {{ layer: number, local: string, prefix: string }}
 */
export const split = (name) => {
  const match = /^layer(\d+)\.(.*)$/.exec(name);
  return match
    ? { layer: Number(match[1]), local: match[2], prefix: `layer${match[1]}.` }
    : { layer: 0, local: name, prefix: "" };
};

/** The tensors by the buffers of their products: the gradient of the output, and the input. @type {Record<string, [string, string]>} */
export const PRODUCTS = {
  attn_wq: ["dq", "xn_attn"],
  attn_wk: ["dk", "xn_attn"],
  attn_wv: ["dv", "xn_attn"],
  attn_wo: ["dx_mid", "attn"],
  mlp_fc1: ["dh", "xn_mlp"],
  mlp_fc2: ["dx_out", "h2"],
};

/**
 * Returns the labels of a cell's indices. Rows are positions or tokens, and columns channels or tokens.
 * @param {OpenedStep} step
 * @param {string} name
 * @param {number[]} index
 */
export const partsOf = (step, name, index) => {
  const tensor = split(name).local.split(".")[0];
  const { tokens, vocab } = step.reply;
  /** @param {number} t */
  const position = (t) => `${t} “${shown(tokens[t])}”`;
  /** @param {number} v */
  const token = (v) => `“${shown(vocab[v])}”`;
  const [first, ...rest] = index;
  if (tensor === "wte") return [token(first), ...rest.map(String)];
  if (["logits", "dlogits"].includes(tensor) || name === "probs") return [position(first), ...rest.map(token)];
  if (index.length === 3) return [`head ${first + 1}`, ...rest.map(position)];
  if (tensor in PRODUCTS || tensor === "wpe") return index.map(String);
  return [position(first), ...rest.map(String)];
};

/**
 * Returns the label of a cell, such as `q[2 “m”, 5]`.
 * @param {OpenedStep} step
 * @param {string} name
 * @param {number[]} index
 * @param {number} [vary] the axis of a sum, which is labelled `i`
 */
export const labelOf = (step, name, index, vary) => {
  const parts = partsOf(step, name, index).map((part, axis) => (axis === vary ? "i" : part));
  return `${name === "probs" ? "p" : split(name).local}[${parts.join(", ")}]`;
};
