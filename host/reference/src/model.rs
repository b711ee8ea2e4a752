//! The model, which turns a token and its position into a prediction of the next token, and a document into its loss.
//!
//! Every function here is an *op*, named as in the kernels, and works on one position of one document. An op's doc
//! gives the math and the shapes in the letters of [`Shape`]. So `[C]` has C values, and `[4C, C]` 4C rows of C values.
//!
//! The ops only ever compute forward. Since they compute with [`Value`]s, the tape can go backward by itself.

use crate::value::{Tape, Value, dot};

/// A vector of values, `[C]`.
pub type Vector<'t> = Vec<Value<'t>>;

/// A matrix of values, row by row, `[rows, cols]`.
pub type Matrix<'t> = Vec<Vector<'t>>;

/// The addend of the mean square in [`rmsnorm`], by which a vector of zeros can be normalised.
const RMSNORM_EPS: f64 = 1e-5;

/// The model's dimensions, each with its letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// V, the number of distinct tokens, 27 for names in lower-case letters.
    pub vocab: usize,
    /// T, the largest number of tokens that the model looks back on, 8 by default.
    pub block_size: usize,
    /// C, the number of channels of a position's vector `x`, 16 by default.
    pub n_embd: usize,
    /// H, the number of heads of attention, of `D = C / H` channels each, 4 by default.
    pub n_head: usize,
    /// L, the number of layers, 1 by default.
    pub n_layer: usize,
}

impl Shape {
    /// Returns the name and the number of elements of every matrix, in the order of the checkpoint.
    pub fn tensors(self) -> Vec<(String, usize)> {
        let c = self.n_embd;
        let mut tensors = vec![("wte".to_owned(), self.vocab * c), ("wpe".to_owned(), self.block_size * c)];
        for layer in 0..self.n_layer {
            let attn = ["attn_wq", "attn_wk", "attn_wv", "attn_wo"].map(|name| (name, c * c));
            let mlp = ["mlp_fc1", "mlp_fc2"].map(|name| (name, 4 * c * c));
            tensors.extend(attn.into_iter().chain(mlp).map(|(name, numel)| (format!("layer{layer}.{name}"), numel)));
        }
        tensors
    }

    /// Returns the number of parameters, the sum of the elements of all matrices.
    pub fn num_params(self) -> usize {
        self.tensors().into_iter().map(|(_, numel)| numel).sum()
    }
}

/// The parameters of the model, as leaves of a tape.
pub struct Parameters<'t> {
    /// The model's dimensions.
    pub shape: Shape,
    /// Every parameter, in the order of the checkpoint: `wte`, `wpe`, then layer after layer.
    leaves: Vector<'t>,
    /// The token embedding `[V, C]`, a vector for each token, which is also the `lm_head`.
    wte: Matrix<'t>,
    /// The position embedding `[T, C]`, a vector for each position.
    wpe: Matrix<'t>,
    layers: Vec<Layer<'t>>,
}

/// The parameters of one layer, in the order of the checkpoint.
struct Layer<'t> {
    /// The matrix `[C, C]` of the query, which says what this position looks for.
    attn_wq: Matrix<'t>,
    /// The matrix `[C, C]` of the key, by which this position can be found.
    attn_wk: Matrix<'t>,
    /// The matrix `[C, C]` of the value, which this position passes on when it is found.
    attn_wv: Matrix<'t>,
    /// The matrix `[C, C]` that mixes what the heads have gathered.
    attn_wo: Matrix<'t>,
    /// The first matrix `[4C, C]` of the MLP.
    mlp_fc1: Matrix<'t>,
    /// The second matrix `[C, 4C]` of the MLP.
    mlp_fc2: Matrix<'t>,
}

/// The keys and values of the positions seen so far, `[positions, C]` each, of one layer.
///
/// A position's key and value stay the same once computed, because a position only looks back. So a new token needs
/// only the work of its own position. In training the cached keys and values are still on the tape. Through the cache,
/// the gradient of a later position's loss reaches the earlier positions.
#[derive(Clone, Default)]
pub struct KvCache<'t> {
    keys: Matrix<'t>,
    values: Matrix<'t>,
}

impl<'t> Parameters<'t> {
    /// Puts `weights`, flat and in the order of the checkpoint, on the tape.
    ///
    /// # Panics
    /// If `weights` does not fit `shape`.
    pub fn new(tape: &'t Tape, shape: Shape, weights: &[f64]) -> Self {
        let leaves: Vector = weights.iter().map(|&weight| tape.leaf(weight)).collect();
        let mut rest = &leaves[..];
        let mut matrix = |rows: usize, cols: usize| -> Matrix<'t> {
            let (taken, tail) = rest.split_at(rows * cols);
            rest = tail;
            taken.chunks(cols).map(<[_]>::to_vec).collect()
        };
        let c = shape.n_embd;
        let wte = matrix(shape.vocab, c);
        let wpe = matrix(shape.block_size, c);
        let layers = (0..shape.n_layer).map(|_| Layer {
            attn_wq: matrix(c, c),
            attn_wk: matrix(c, c),
            attn_wv: matrix(c, c),
            attn_wo: matrix(c, c),
            mlp_fc1: matrix(4 * c, c),
            mlp_fc2: matrix(c, 4 * c),
        });
        let layers = layers.collect();
        assert!(rest.is_empty(), "the weights must be as many as the shape has parameters");
        Self { shape, leaves, wte, wpe, layers }
    }

    /// Returns the gradient of every parameter after [`Value::backward`], flat and in the order of the checkpoint.
    pub fn gradients(&self) -> Vec<f64> {
        self.leaves.iter().map(|leaf| leaf.grad()).collect()
    }

    /// Returns an empty cache for each layer, for the start of a document.
    pub fn empty_caches(&self) -> Vec<KvCache<'t>> {
        vec![KvCache::default(); self.layers.len()]
    }

    /// Runs the model for one token and returns the logits `[V]`, one for each token that might come next.
    ///
    /// ```text
    /// x       = embed(token, position)                    [C]
    /// x       = x + wo · attention(rmsnorm(x))            [C]     in each layer: fetch from other positions
    /// x       = x + mlp(rmsnorm(x))                       [C]     in each layer: compute at this position
    /// logits  = wte · x                                   [V]
    /// ```
    ///
    /// Each layer adds to `x` and replaces nothing. `x` is therefore called the residual stream, a straight path from
    /// the embedding to the logits. Along this path gradients reach the first layer as easily as the last.
    ///
    /// The last line, the `lm_head`, compares `x` with the embedding of every token. The `lm_head` and the embedding
    /// are *tied*, so one matrix holds how a token looks as an input and how `x` should look where it comes next.
    pub fn forward(&self, token: u32, position: usize, caches: &mut [KvCache<'t>]) -> Vector<'t> {
        let mut x = self.embed(token, position);
        for (layer, cache) in self.layers.iter().zip(caches) {
            let normed = rmsnorm(&x);
            let q = linear(&layer.attn_wq, &normed);
            cache.keys.push(linear(&layer.attn_wk, &normed));
            cache.values.push(linear(&layer.attn_wv, &normed));
            let attn = attention(&q, &cache.keys, &cache.values, self.shape.n_head);
            x = add(&x, &linear(&layer.attn_wo, &attn));
            x = add(&x, &mlp(&layer.mlp_fc1, &layer.mlp_fc2, &rmsnorm(&x)));
        }
        linear(&self.wte, &x)
    }

    /// Turns a token and its position into a vector, `rmsnorm(wte[token] + wpe[position])`, `[C]`.
    fn embed(&self, token: u32, position: usize) -> Vector<'t> {
        rmsnorm(&add(&self.wte[token as usize], &self.wpe[position]))
    }

    /// Returns the cross-entropy of each of the document's first `n = min(T, tokens - 1)` positions, `[n]`.
    ///
    /// A document is `[BOS, characters.., BOS]`. The model is given the tokens up to a position and must name the next
    /// token. The first such token is a character, guessed from `BOS` alone, and the last is the `BOS` at the end.
    pub fn document_nll(&self, tokens: &[u32]) -> Vector<'t> {
        let mut caches = self.empty_caches();
        let pairs = tokens.windows(2).take(self.shape.block_size).enumerate();
        pairs.map(|(t, pair)| cross_entropy(&self.forward(pair[0], t, &mut caches), pair[1])).collect()
    }

    /// Returns the loss of a document, its mean cross-entropy over positions, in nats.
    ///
    /// # Panics
    /// If `tokens` holds fewer than two tokens.
    pub fn loss(&self, tokens: &[u32]) -> Value<'t> {
        let nll = self.document_nll(tokens);
        let n = nll.len() as f64;
        nll.into_iter().sum::<Value>() / n
    }
}

/// Adds two vectors, channel by channel, `[C]`.
fn add<'t>(a: &[Value<'t>], b: &[Value<'t>]) -> Vector<'t> {
    a.iter().zip(b).map(|(&a, &b)| a + b).collect()
}

/// Multiplies `w: [rows, cols]` by `x: [cols]`. Returns each row's dot product with `x`, `[rows]`, without a bias.
pub fn linear<'t>(w: &[Vector<'t>], x: &[Value<'t>]) -> Vector<'t> {
    w.iter().map(|row| dot(row, x)).collect()
}

/// Scales `x: [C]` to a root mean square of 1, `x[i] / sqrt(mean(x^2) + 1e-5)`.
///
/// A layer then sees inputs of one size, whatever the layers before it have added to the residual stream.
pub fn rmsnorm<'t>(x: &[Value<'t>]) -> Vector<'t> {
    let mean_square = dot(x, x) / x.len() as f64;
    let root = (mean_square + RMSNORM_EPS).sqrt();
    x.iter().map(|&x| x / root).collect()
}

/// Turns scores into probabilities, `exp(x[i]) / sum over j of exp(x[j])`, `[len]`.
///
/// The largest score is subtracted first, so that no `exp` can overflow. The probabilities stay the same, because
/// numerator and denominator shrink by the same factor. So the tape takes the largest score as a constant.
pub fn softmax<'t>(x: &[Value<'t>]) -> Vector<'t> {
    let max = max(x);
    let exps: Vector = x.iter().map(|&x| (x - max).exp()).collect();
    let total = exps.iter().copied().sum::<Value>();
    exps.into_iter().map(|exp| exp / total).collect()
}

/// Fetches what the query asks for, from all positions up to the query's own, `[C]`.
///
/// The channels of the query `q: [C]` and of all `keys` and `values: [positions, C]` are split into H heads of D
/// channels, which work side by side. For each head:
///
/// ```text
/// scores[t]  = q · keys[t] / sqrt(D)                    how well position t's key matches the query
/// probs      = softmax(scores)                          how much to take of each position
/// attn       = sum over t of probs[t] * values[t]       [D]
/// ```
///
/// The division keeps the scores' spread independent of D. Without it the spread would grow as `sqrt(D)`, like any sum
/// of D independent products. Attention is causal without a mask, because the cache holds only the positions so far.
pub fn attention<'t>(q: &[Value<'t>], keys: &[Vector<'t>], values: &[Vector<'t>], n_head: usize) -> Vector<'t> {
    let head_dim = q.len() / n_head;
    let scale = (head_dim as f64).sqrt();
    let mut attn = Vector::with_capacity(q.len());
    for h in 0..n_head {
        let head = h * head_dim..(h + 1) * head_dim;
        let scores: Vector = keys.iter().map(|key| dot(&q[head.clone()], &key[head.clone()]) / scale).collect();
        let probs = softmax(&scores);
        attn.extend(
            head.map(|channel| probs.iter().zip(values).map(|(&prob, value)| prob * value[channel]).sum::<Value>()),
        );
    }
    attn
}

/// Computes on what a position has fetched, `fc2 · relu(fc1 · x)^2` with `fc1: [4C, C]` and `fc2: [C, 4C]`, `[C]`.
///
/// Without a nonlinear function between them, the two matrices could do no more than one. `relu(h)^2` is 0 where `h` is
/// negative and, unlike relu itself, has no corner.
pub fn mlp<'t>(fc1: &[Vector<'t>], fc2: &[Vector<'t>], x: &[Value<'t>]) -> Vector<'t> {
    let rectified = linear(fc1, x).into_iter().map(Value::relu);
    let hidden: Vector = rectified.map(|r| r * r).collect();
    linear(fc2, &hidden)
}

/// Returns how surprised the model is by `target`, `-ln(softmax(logits)[target])`, in nats.
///
/// This cross-entropy is 0 for a prediction that was certain and right, and `ln V` for a model that holds all tokens
/// for equally likely. Training begins at about `ln 27 = 3.30`. The cross-entropy is computed as
/// `ln(sum over j of exp(logits[j])) - logits[target]`, in which the logarithm has cancelled the numerator's `exp`. So
/// the cross-entropy stays finite where the probability underflows.
pub fn cross_entropy<'t>(logits: &[Value<'t>], target: u32) -> Value<'t> {
    let max = max(logits);
    let total: Value = logits.iter().map(|&logit| (logit - max).exp()).sum();
    total.ln() - (logits[target as usize] - max)
}

/// Returns the largest value, as a constant.
fn max(values: &[Value]) -> f64 {
    values.iter().map(|value| value.data()).fold(f64::NEG_INFINITY, f64::max)
}
