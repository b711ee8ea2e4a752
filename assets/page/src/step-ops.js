// The ops of a step in rows, with the values on the left and their gradients on the right.
import { largest, OpenedStep, shown } from "./buffers.js";
import { element } from "./dom.js";
import { labelOf } from "./labels.js";
import { CellMap } from "./map.js";

/** @typedef {import("./map.js").Listener} Listener */
/**
 * A row: the op, its formula, a sentence, the buffers of its results, and those of the results' gradients. A buffer has
 * a short title.
 * @typedef {{ op: string, title: string, formula: string, text: string, forward: [string, string][], backward: [string, string][],
 *   note?: string }} Row
 */

/**
 * Returns the rows of one layer.
 * @param {number} l
 * @param {number} layers
 * @returns {Row[]}
 */
const layerRows = (l, layers) => {
  /** @param {string} name */
  const of = (name) => `layer${l}.${name}`;
  const where = layers > 1 ? `, layer ${l + 1}` : "";
  return [
    {
      op: "rmsnorm",
      title: `rmsnorm${where}`,
      formula: "xn = x / sqrt(mean(x²) + 1e-5)",
      text: "Scales each vector to one size, so that the op after it sees inputs of one size.",
      forward: [[of("xn_attn"), "xn"]],
      backward: [[of("dxn_attn"), "dxn"]],
    },
    {
      op: "linear",
      title: "queries, keys and values",
      formula: "q = wq·xn / √D    k = wk·xn    v = wv·xn",
      text: "A query says what its position looks for, a key what its position can be found by, and a value what it hands over when it is found.",
      forward: [
        [of("q"), "q"],
        [of("k"), "k"],
        [of("v"), "v"],
      ],
      backward: [
        [of("dq"), "dq"],
        [of("dk"), "dk"],
        [of("dv"), "dv"],
      ],
    },
    {
      op: "attention",
      title: "attention",
      formula: "probs[t, s] = softmax over s ≤ t of q[t]·k[s]",
      text: "Each head compares a position’s query with the keys of all positions so far. A row adds up to 1, and says from where the position takes.",
      forward: [[of("probs"), "head"]],
      backward: [[of("dscores"), "dscore"]],
    },
    {
      op: "attention",
      title: "what attention gathers",
      formula: "attn[t] = Σ probs[t, s] · v[s]",
      text: "A mixture of the values, as much of each as its probability says.",
      forward: [[of("attn"), "attn"]],
      backward: [[of("dattn"), "dattn"]],
    },
    {
      op: "linear",
      title: "back into the stream",
      formula: "x = x + wo·attn",
      text: "The heads’ findings are mixed by wo and added to x, the residual stream. Nothing is replaced, so gradients come back the same way unharmed.",
      forward: [[of("x_mid"), "x"]],
      backward: [[of("dx_mid"), "dx"]],
    },
    {
      op: "rmsnorm",
      title: `rmsnorm${where}`,
      formula: "xn = x / sqrt(mean(x²) + 1e-5)",
      text: "One size again, before the MLP.",
      forward: [[of("xn_mlp"), "xn"]],
      backward: [[of("dxn_mlp"), "dxn"]],
    },
    {
      op: "mlp",
      title: "mlp",
      formula: "h = relu(fc1·xn)",
      text: "Each of 4C hidden channels looks for one pattern in the vector. A channel that finds none is 0, and no gradient comes back through it.",
      forward: [[of("h"), "h"]],
      backward: [[of("dh"), "d(fc1·xn)"]],
    },
    {
      op: "mlp",
      title: "back into the stream",
      formula: "x = x + fc2·h²",
      text: "fc2 holds what each pattern means for the next token, and that is added to x.",
      forward: [[of("x_out"), "x"]],
      backward: [[of("dx_out"), "dx"]],
    },
  ];
};

/**
 * Returns all rows.
 * @param {number} layers
 * @returns {Row[]}
 */
const rowsOf = (layers) => [
  {
    op: "embed",
    title: "embed",
    formula: "x = rmsnorm(wte[token] + wpe[position])",
    text: "Every token and every position has a learned vector. Their sum, scaled, is where x begins.",
    forward: [["x_embed", "x"]],
    backward: [
      ["layer0.dx_in", "dx"],
      ["dx_embed", "d(wte + wpe)"],
    ],
  },
  ...Array.from({ length: layers }, (_, l) => layerRows(l, layers)).flat(),
  {
    op: "model",
    title: "lm_head",
    formula: "logits = wte·x",
    text: "x is compared with the embedding of every token. The gradient of a logit is p − y, over n: what the model believed, minus what came.",
    forward: [["logits", "logits"]],
    backward: [["dlogits", "(p − y) / n"]],
  },
  {
    op: "cross_entropy",
    title: "softmax and loss",
    formula: "p = softmax(logits)    loss = −ln p[next]",
    text: "Logits become probabilities. The outlined cell of each row is the token that came.",
    forward: [["probs", "p"]],
    backward: [],
    note: "Each position’s loss counts 1/n of the mean, so here the gradient is 1/n. From here it flows up.",
  },
];

/** The rows of the page, drawn for one number of layers and heads. */
export class OpRows {
  /**
   * @param {HTMLElement} box
   * @param {Listener} listener
   */
  constructor(box, listener) {
    this.box = box;
    this.listener = listener;
    this.key = "";
    /** The width of one side of a row, without the labels. */
    this.width = 0;
    /** The maps by buffer and leading indices. @type {Map<string, CellMap>} */
    this.maps = new Map();
  }

  /**
   * Draws a step.
   * @param {OpenedStep} step
   */
  show(step) {
    const { layers, heads } = step.reply;
    const key = `${layers} ${heads}`;
    if (this.key !== key) {
      this.key = key;
      this.maps.clear();
      this.box.replaceChildren(...rowsOf(layers).map((row) => this.rowOf(row, heads)));
    }
    const labels = step.reply.tokens.slice(0, step.n).map(shown);
    for (const side of this.box.querySelectorAll(".op-labels")) {
      side.replaceChildren(...labels.map((text) => element("span", { textContent: text })));
    }
    if (this.width === 0) this.measure();
    for (const row of rowsOf(layers)) {
      for (const buffers of [row.forward, row.backward]) this.showSide(step, buffers, heads, this.width);
    }
  }

  /** Measures the rows. A measurement lays out the page, so it is taken only when the size has changed. */
  measure() {
    const side = this.box.querySelector(".op-side");
    this.width = side ? Math.max(160, side.clientWidth - 26) : 0;
  }

  /**
   * Returns an empty row.
   * @param {Row} row
   * @param {number} heads
   */
  rowOf({ op, title, formula, text, forward, backward, note }, heads) {
    /** @param {[string, string][]} buffers @param {string} className */
    const side = (buffers, className) => {
      const maps = buffers
        .flatMap(([name]) => this.keys(name, heads))
        .map((key) => {
          const map = new CellMap(this.listener);
          this.maps.set(key, map);
          return map.root;
        });
      const labels = element("div", { className: "op-labels" });
      labels.setAttribute("aria-hidden", "true");
      return element(
        "div",
        { className: `op-side ${className}` },
        ...(maps.length > 0
          ? [labels, element("div", { className: "op-maps" }, ...maps)]
          : [element("p", { className: "quiet", textContent: note ?? "" })]),
      );
    };
    const link = element("a", { textContent: "in both sources", href: `#side-by-side/${op}` });
    link.dataset.to = `side-by-side/${op}`;
    link.setAttribute("aria-label", `${title} in both sources`);
    const about = element(
      "div",
      { className: "op-about" },
      element("h3", { textContent: title }),
      element("p", { className: "formula", textContent: formula }),
      element("p", {}, text, " ", link),
    );
    return element("div", { className: "op-row" }, about, side(forward, "forward"), side(backward, "backward"));
  }

  /**
   * Returns the keys of a buffer's maps. The buffers of attention have one for each head.
   * @param {string} name
   * @param {number} heads
   */
  keys(name, heads) {
    return /\.(probs|dscores)$/.test(name) ? Array.from({ length: heads }, (_, h) => `${name} ${h}`) : [name];
  }

  /**
   * Draws the maps of one side of a row. The maps share the width.
   * @param {OpenedStep} step
   * @param {[string, string][]} buffers
   * @param {number} heads
   * @param {number} width
   */
  showSide(step, buffers, heads, width) {
    for (const [name, title] of buffers) {
      const { shape, values } = step.buffer(name);
      const [rows, cols] = shape.slice(-2);
      const keys = this.keys(name, heads);
      const most = /probs$/.test(name) ? 1 : largest(values);
      const beside = Math.min(4, Math.max(keys.length, buffers.length));
      const available = (width - (beside - 1) * 12) / beside;
      for (const [h, key] of keys.entries()) {
        const part = keys.length > 1 || shape.length > 2;
        const marks =
          name === "probs" || name === "dlogits"
            ? step.reply.ids.slice(1).map((id, t) => /** @type {[number, number]} */ ([t, id]))
            : undefined;
        this.maps.get(key)?.show(
          {
            name,
            lead: part ? [h] : [],
            values: part ? values.subarray(h * rows * cols, (h + 1) * rows * cols) : values,
            rows,
            cols,
            most,
            // A map without colours says that it is meant so.
            title: (part ? `${title} ${h + 1}` : title) + (most === 0 ? " = 0" : ""),
            label: part ? `${title} ${h + 1}` : title,
            marks,
          },
          available,
        );
      }
    }
  }

  /**
   * Marks the picked cell on its map.
   * @param {string | null} name
   * @param {number[]} index
   */
  mark(name, index) {
    for (const [key, map] of this.maps) {
      const cell = /** @type {[number, number]} */ (index.slice(-2));
      const own = name !== null && (key === name || key === `${name} ${index[0]}`);
      map.markPicked(own ? cell : null);
    }
  }

  /** Draws all maps again, in other colours. */
  repaint() {
    for (const map of this.maps.values()) map.repaint();
  }
}

/**
 * Returns the label of a cell of a map.
 * @param {OpenedStep} step
 * @param {CellMap} map
 * @param {[number, number]} cell
 */
export const tipOf = (step, map, cell) =>
  map.shown ? labelOf(step, map.shown.name, [...map.shown.lead, ...cell]) : "";
