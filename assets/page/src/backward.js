// The sums behind the gradients of the backward pass.
import { constant, QKV, Sums, term } from "./sums.js";

/** @import { RuleOf } from "./sums.js" */

/** The formula and the sentence of a norm's gradient. */
const normBack = {
  formula: "dx = dx + rstd · (dxn − xn · mean(xn · dxn))",
  text: "The gradient comes along the skip connection, and through the norm. A norm’s output keeps its length, so the part along the output is taken out.",
};

/** @type {Record<string, RuleOf>} */
export const BACKWARD = {
  dlogits: (r, [t, v]) => ({
    formula: "dlogits = (p − y) / n",
    text: "The gradient of a logit is the probability p that the model gave the token, minus y, which is 1 for the token that came and 0 for all others. So every other token is pushed down by its probability, and the right one up by what it lacks.",
    terms: [term([r.exactly("probs", [t, v])]), term([constant("−y", v === r.step.reply.ids[t + 1] ? -1 : 0)])],
    finish: "divided by n, because the loss is the mean over the n positions",
    factors: [constant("1/n", 1 / r.step.n)],
  }),
  dx_out: (r, [t, c]) =>
    r.layer + 1 < r.step.reply.layers
      ? {
          formula: "dx",
          text: "The gradient of the next layer’s input.",
          terms: [term([r.exactly(`layer${r.layer + 1}.dx_in`, [t, c])])],
        }
      : {
          formula: "dx = wteᵀ · dlogits",
          text: "How the loss would change with this channel: through every logit, as much as the token’s embedding has of the channel.",
          terms: r.sum(r.step.reply.vocab.length, (v) => [r.of("wte", v, c), r.of("dlogits", t, v)]),
        },
  dh: (r, [t, i]) => ({
    formula: "d(fc1 · xn) = 2 h · (fc2ᵀ · dx)",
    text: "The derivative of relu(u)² is 2 relu(u). A hidden channel that was 0 gets no gradient.",
    terms: r.sum(r.step.channels, (c) => [r.of("mlp_fc2", c, i), r.of("dx_out", t, c)]),
    finish: "times 2 h",
    factors: [constant("2", 2), r.of("h", t, i)],
  }),
  dxn_mlp: (r, [t, c]) => ({
    formula: "dxn = fc1ᵀ · d(fc1 · xn)",
    text: "The gradient goes back through the matrix by its transpose.",
    terms: r.sum(4 * r.step.channels, (i) => [r.of("mlp_fc1", i, c), r.of("dh", t, i)]),
  }),
  dx_mid: (r, [t, c]) => ({
    ...normBack,
    terms: r.normBackward([r.of("dx_out", t, c), "xn_mlp", "dxn_mlp", "rstd_mlp"], t, c),
  }),
  dattn: (r, [t, i]) => ({
    formula: "dattn = woᵀ · dx",
    text: "The gradient goes back through the matrix wo by its transpose.",
    terms: r.sum(r.step.channels, (c) => [r.of("attn_wo", c, i), r.of("dx_mid", t, c)]),
  }),
  dscores: (r, [h, t, key]) => {
    const { headDim } = r.step;
    const first = h * headDim;
    /** The mean of the row's products. */
    let mean = 0;
    for (let i = first; i < first + headDim; i++) mean += r.of("dattn", t, i).value * r.of("attn", t, i).value;
    return {
      formula: "dscore[t, s] = probs[t, s] · (dattn[t] · v[s] − dattn[t] · attn[t])",
      text: "A score should rise if the value behind it lowers the loss more than what the head has gathered on average.",
      terms: [
        ...r.sum(first + headDim, (i) => [r.of("v", key, i), r.of("dattn", t, i)], first),
        term([constant(`−dattn[${t}] · attn[${t}]`, -mean)]),
      ],
      finish: "times the probability",
      factors: [r.attention(h, t, key)],
    };
  },
  dq: (r, [t, c]) => {
    const h = Math.floor(c / r.step.headDim);
    return {
      formula: "dq[t] = Σ over s of dscore[t, s] · k[s] / √D",
      text: "The query moves towards the keys whose scores should rise.",
      terms: r.sum(t + 1, (key) => [r.of("dscores", h, t, key), r.of("k", key, c)]),
      finish: "divided by √D",
      factors: [constant("1/√D", 1 / Math.sqrt(r.step.headDim))],
    };
  },
  dk: (r, [key, c]) => {
    const h = Math.floor(c / r.step.headDim);
    return {
      formula: "dk[s] = Σ over t ≥ s of dscore[t, s] · q[t]",
      text: "Every later query that was compared with this key has a say.",
      terms: r.sum(r.step.n, (t) => [r.of("dscores", h, t, key), r.of("q", t, c)], key),
    };
  },
  dv: (r, [key, c]) => {
    const h = Math.floor(c / r.step.headDim);
    return {
      formula: "dv[s] = Σ over t ≥ s of probs[t, s] · dattn[t]",
      text: "Every later position that has taken of this value has a say, as much as it took.",
      terms: r.sum(r.step.n, (t) => [r.attention(h, t, key), r.of("dattn", t, c)], key),
    };
  },
  dxn_attn: (r, [t, c]) => ({
    formula: "dxn = wqᵀ · dq + wkᵀ · dk + wvᵀ · dv",
    text: "The vector was used three times, so its gradient is a sum of three.",
    terms: Object.entries(QKV).flatMap(([which, tensor]) =>
      r.sum(r.step.channels, (i) => [r.of(tensor, i, c), r.of(`d${which}`, t, i)]),
    ),
  }),
  dx_in: (r, [t, c]) => ({
    ...normBack,
    terms: r.normBackward([r.of("dx_mid", t, c), "xn_attn", "dxn_attn", "rstd_attn"], t, c),
  }),
  dx_embed: (r, [t, c]) => ({
    formula: "d(wte + wpe) = rstd · (dx − x · mean(x · dx))",
    text: "The gradient of the sum of both embeddings. It is added to the rows of the token and of the position.",
    terms: new Sums(r.step, "layer0.x").normBackward([null, "x_embed", "dx_in", "rstd_embed"], t, c),
  }),
};
