// The sums behind the values of the forward pass.
import { constant, inputOf, QKV, term } from "./sums.js";

/** @import { Factor, Rule, RuleOf, Sums } from "./sums.js" */

/**
 * @param {Sums} _
 * @param {Factor} x
 * @param {Factor} rstd
 * @returns {Rule}
 */
const norm = (_, x, rstd) => ({
  formula: "xn = x / sqrt(mean(x²) + 1e-5)",
  text: "Scales the vector to a root mean square of 1, so that a layer sees inputs of one size.",
  terms: [term([x])],
  finish: "times the reciprocal of the root mean square",
  factors: [rstd],
});

/**
 * @param {Sums} r
 * @param {"q" | "k" | "v"} which
 * @param {number} t
 * @param {number} c
 */
const project = (r, which, t, c) => ({
  formula: which === "q" ? "q = wq · xn / √D" : `${which} = w${which} · xn`,
  terms: r.sum(r.step.channels, (i) => [r.of(QKV[which], c, i), r.of("xn_attn", t, i)]),
});

/**
 * @param {Sums} r
 * @param {number[]} index
 * @returns {Rule}
 */
const attentionProbability = (r, [h, t, key]) => {
  const first = h * r.step.headDim;
  const visible = key <= t;
  return {
    formula: "probs[t, s] = softmax over s ≤ t of q[t] · k[s]",
    text: visible
      ? "The score says how well the key at s matches the query at t. The softmax turns the scores of a row into shares that add up to 1."
      : "A position sees no later one. Otherwise it could copy the token that it has to predict.",
    terms: visible ? r.sum(first + r.step.headDim, (i) => [r.of("q", t, i), r.of("k", key, i)], first) : [],
    finish: visible ? `then softmax over the ${t + 1} keys of the row` : undefined,
    factors: visible ? Array.from({ length: t + 1 }, (_, s) => r.attention(h, t, s)) : [],
  };
};

/**
 * @param {Sums} r
 * @param {number[]} index
 * @returns {Rule}
 */
const prediction = (r, [t, v]) => ({
  formula: "p = softmax(logits) = exp(logit) / Σ exp(logits)",
  text:
    v === r.step.reply.ids[t + 1]
      ? "This is the token that came. Training raises its probability."
      : "The probability that the model gives to this token as the next one.",
  terms: [term([r.exactly("logits", [t, v])])],
  finish: "then exp, divided by the sum over all tokens",
});

/** @type {Record<string, RuleOf>} */
export const FORWARD = {
  x_embed: (r, [t, c]) => ({
    formula: "x = rmsnorm(wte[token] + wpe[position])",
    text: "The vector of the token plus the vector of the position, scaled to a root mean square of 1.",
    terms: [term([r.of("wte", r.step.reply.ids[t], c)]), term([r.of("wpe", t, c)])],
    finish: "times the reciprocal of the root mean square",
    factors: [r.of("rstd_embed", t)],
  }),
  xn_attn: (r, [t, c]) => norm(r, r.exactly(inputOf(r.layer), [t, c]), r.of("rstd_attn", t)),
  xn_mlp: (r, [t, c]) => norm(r, r.of("x_mid", t, c), r.of("rstd_mlp", t)),
  q: (r, [t, c]) => ({
    ...project(r, "q", t, c),
    text: "A query says what a position looks for. It is compared with the keys of all positions so far.",
    finish: "divided by √D, so that scores do not grow with the number D of a head’s channels",
    factors: [constant("1/√D", 1 / Math.sqrt(r.step.headDim))],
  }),
  k: (r, [t, c]) => ({
    ...project(r, "k", t, c),
    text: "A key is what a position can be found by. Queries are compared with it.",
  }),
  v: (r, [t, c]) => ({
    ...project(r, "v", t, c),
    text: "A value is what a position hands over to the queries that find it.",
  }),
  probs: (r, index) => (index.length === 3 ? attentionProbability(r, index) : prediction(r, index)),
  attn: (r, [t, c]) => {
    const h = Math.floor(c / r.step.headDim);
    return {
      formula: "attn[t] = Σ over s of probs[t, s] · v[s]",
      text: "Each position takes the values of the positions so far, as much of each as its probability says.",
      terms: r.sum(t + 1, (key) => [r.attention(h, t, key), r.of("v", key, c)]),
    };
  },
  x_mid: (r, [t, c]) => ({
    formula: "x = x + wo · attn",
    text: "The heads’ findings are mixed by wo and added to the position’s vector.",
    terms: [
      term([r.exactly(inputOf(r.layer), [t, c])]),
      ...r.sum(r.step.channels, (i) => [r.of("attn_wo", c, i), r.of("attn", t, i)]),
    ],
  }),
  h: (r, [t, i]) => ({
    formula: "h = relu(fc1 · xn)",
    text: "Each of the 4 C hidden channels looks for one pattern in the vector. A negative sum becomes 0.",
    terms: r.sum(r.step.channels, (c) => [r.of("mlp_fc1", i, c), r.of("xn_mlp", t, c)]),
    finish: "then relu, which makes negative sums 0",
  }),
  h2: (r, [t, i]) => ({
    formula: "h² = h · h",
    text: "The square makes strong matches stronger, and has no corner at 0.",
    terms: [term([r.of("h", t, i), r.of("h", t, i)])],
  }),
  x_out: (r, [t, c]) => ({
    formula: "x = x + fc2 · h²",
    text: "The MLP’s result is added to the position’s vector.",
    terms: [
      term([r.of("x_mid", t, c)]),
      ...r.sum(4 * r.step.channels, (i) => [r.of("mlp_fc2", c, i), r.of("h2", t, i)]),
    ],
  }),
  logits: (r, [t, v]) => ({
    formula: "logits = wte · x",
    text: "The position’s vector is compared with the embedding of every token. A large logit means a likely token.",
    terms: r.sum(r.step.channels, (c) => [r.of("wte", v, c), r.exactly(inputOf(r.step.reply.layers), [t, c])]),
  }),
  loss: (r, [t]) => ({
    formula: "loss = −ln p[next token]",
    text: "The surprise at the token that came, in nats. A prediction that was certain and right costs 0.",
    terms: [term([r.exactly("probs", [t, r.step.reply.ids[t + 1]])])],
    finish: "then minus the natural logarithm",
  }),
};
