//! The op `attention` against the reference.

use gpu_kernels::activations::{Activations, prob_index, probs_len, probs_row, query_group_len};
use gpu_kernels::ops::attention::{self, Query, attend, backward_keys, backward_queries, query_scale};
use gpu_kernels::shape::{RuntimeShape, Shape};
use reference::model::{self, Vector, softmax};
use reference::value::{Tape, Value, dot};
use simt::HALF_WARP;

use crate::support::{
    Channels, Input, Padded, ROUNDING, assert_gradients, cases, data, launch, launch_tokens, leaves, matrix, to_f64,
    values, view, weighted,
};
use crate::tensors::{assert_close, norm};

/// The value in rows of `k` and `v` beyond the document. An earlier document leaves finite values there. The op may
/// multiply those values by a probability of zero.
const BEYOND: f32 = 1e30;

/// The unscaled queries, keys and values of a document, `[n, C]` each.
struct Document {
    s: RuntimeShape,
    n: usize,
    q: Vec<f32>,
    k: Vec<f32>,
    v: Vec<f32>,
}

/// A document in the kernels' memory, with the results of the forward pass.
struct Buffers {
    q: Padded,
    k: Padded,
    v: Padded,
    probs: Vec<f32>,
    attn: Padded,
}

impl Document {
    fn new(s: RuntimeShape, n: usize) -> Self {
        let len = n * s.n_embd();
        // The scores are large enough for probabilities to differ.
        let q = values(1, len).iter().map(|q| 3.0 * q).collect();
        Self { s, n, q, k: values(2, len), v: values(3, len) }
    }

    fn forward(&self) -> Buffers {
        let (s, n) = (self.s, self.n);
        let (t, a) = (s.block_size_padded(), Channels::heads(s));
        let scaled: Vec<f32> = self.q.iter().map(|q| q * query_scale(s)).collect();
        let mut memory = Buffers {
            q: Padded::new(t, a, &scaled, f32::NAN),
            k: Padded::new(t, a, &self.k, BEYOND),
            v: Padded::new(t, a, &self.v, BEYOND),
            probs: vec![f32::NAN; probs_len(s)],
            attn: Padded::unwritten(t, a),
        };
        let views = memory.views(s);
        launch_tokens(n, |warp, tokens| attention::forward(warp, s, &views, tokens));
        memory
    }

    /// Returns the reference's attention of every query, `[n, C]`.
    fn reference<'t>(&self, q: &[Value<'t>], k: &[Value<'t>], v: &[Value<'t>]) -> Vector<'t> {
        let c = self.s.n_embd();
        let (k, v) = (matrix(k, c), matrix(v, c));
        q.chunks(c).enumerate().flat_map(|(t, q)| model::attention(q, &k[..=t], &v[..=t], self.s.n_head())).collect()
    }

    /// Returns the number of roundings up to a probability. The count includes the scaled query, a head's products
    /// half-warp by half-warp, four sums in the butterfly, the difference to the largest score, `exp`, the sums over
    /// every second key, the inverse, and the product.
    fn roundings(&self) -> f64 {
        self.s.head_dim_padded().div_ceil(HALF_WARP) as f64 + self.n as f64 / 2.0 + 10.0
    }
}

impl Buffers {
    /// Returns the views of the forward pass. All other views point to empty memory.
    fn views(&mut self, s: RuntimeShape) -> Activations {
        Activations {
            q: self.q.view(),
            k: self.k.view(),
            v: self.v.view(),
            probs: view(&mut self.probs),
            attn: self.attn.view(),
            ..Activations::new(s, view(&mut []), 0)
        }
    }
}

#[test]
fn forward_agrees_with_the_reference() {
    for (s, n) in cases() {
        let what = format!("{s:?}, n = {n}");
        let document = Document::new(s, n);
        let tape = Tape::default();
        let [q, k, v] = [&document.q, &document.k, &document.v].map(|x| leaves(&tape, &to_f64(x)));
        let memory = document.forward();
        let expected = data(&document.reference(&q, &k, &v));
        // The bound also counts the roundings of the products with the values of every second key.
        memory.attn.assert_close(&format!("{what}: attn"), &expected, document.roundings() + n as f64 / 2.0);
        check_probs(&what, &document, &memory, &matrix(&q, s.n_embd()), &matrix(&k, s.n_embd()));
    }
}

/// Asserts that every lane of a head holds the probability of every key, and zero for the key after the last.
fn check_probs<'t>(what: &str, document: &Document, memory: &Buffers, q: &[Vector<'t>], k: &[Vector<'t>]) {
    let (s, a, d) = (document.s, Channels::heads(document.s), document.s.head_dim());
    let half_warps = s.head_dim_padded().div_ceil(HALF_WARP);
    for (t, query) in q.iter().enumerate() {
        for h in 0..s.n_head() {
            let head = h * d..(h + 1) * d;
            let scores = k[..=t].iter().map(|key| dot(&query[head.clone()], &key[head.clone()]) / (d as f64).sqrt());
            let expected = data(&softmax(&scores.collect::<Vec<_>>()));
            for channel in head.clone() {
                let (group, lane) = (a.at(channel) / HALF_WARP / half_warps, a.at(channel) % HALF_WARP);
                let row = group * probs_row(s.block_size_padded()) + probs_row(t);
                let prob = |key: usize| memory.probs[row + key * HALF_WARP + lane];
                let got: Vec<f32> = (0..=t).map(prob).collect();
                let bound = document.roundings() * ROUNDING * norm(&expected);
                let channel_what = format!("{what}: probs of query {t}, channel {channel}");
                assert_close(channel_what, 1, &got, &expected, bound);
                if channel == head.start {
                    let index = prob_index(s, h, t, t);
                    assert_eq!(index, row + t * HALF_WARP + lane, "{s:?}: the index of head {h}, query {t}, key {t}");
                }
                if t % 2 == 0 {
                    let what = format!("{what}: probs of query {t} for key {}", t + 1);
                    assert_close(what, 1, &[prob(t + 1)], &[0.0], 0.0);
                }
            }
        }
    }
}

#[test]
fn backward_agrees_with_the_reference() {
    for (s, n) in cases() {
        let what = format!("{s:?}, n = {n}");
        let document = Document::new(s, n);
        let (t, a, c) = (s.block_size_padded(), Channels::heads(s), s.n_embd());
        let dy = values(4, n * c);
        let mut memory = document.forward();
        let mut dattn = Padded::new(t, a, &dy, f32::NAN);
        let mut dscores = vec![f32::NAN; probs_len(s)];
        let [mut dq, mut dk, mut dv] = [(); 3].map(|()| Padded::unwritten(t, a));
        let views = Activations {
            dattn: dattn.view(),
            dscores: view(&mut dscores),
            dq: dq.view(),
            dk: dk.view(),
            dv: dv.view(),
            ..memory.views(s)
        };
        launch_tokens(n, |warp, tokens| backward_queries(warp, s, &views, tokens));
        launch_tokens(n, |warp, tokens| backward_keys(warp, s, &views, tokens));
        let input = |name, values, gradient: &Padded| Input {
            name,
            cols: c,
            values,
            gradient: gradient.rows(&format!("{what}: d{name}"), n),
        };
        let inputs = [input("q", &document.q, &dq), input("k", &document.k, &dk), input("v", &document.v, &dv)];
        // The bound counts the roundings of the probabilities, as many again for `dp` and the mean of `dp`, and every
        // second key or query.
        let roundings = 2.0 * document.roundings() + n as f64 / 2.0 + 2.0;
        assert_gradients(&what, &inputs, roundings, |tape, inputs| {
            weighted(tape, &document.reference(&inputs[0], &inputs[1], &inputs[2]), &dy)
        });
    }
}

// Sampling attends with one query at a time, and stores the probabilities of this query alone.
#[test]
fn a_query_alone_gets_the_bits_that_it_gets_among_all() {
    for (s, n) in cases() {
        let mut memory = Document::new(s, n).forward();
        let mut probs = vec![f32::NAN; s.n_attn_padded() / HALF_WARP * query_group_len(s)];
        let mut attn = Padded::unwritten(1, Channels::heads(s));
        let Activations { q, k, v, .. } = memory.views(s);
        let query = Query {
            q: q.at((n - 1) * s.n_attn_padded()),
            k,
            v,
            probs: view(&mut probs),
            group_stride: query_group_len(s),
            attn: attn.view(),
        };
        launch(|warp| {
            if warp.index == 0 {
                attend(warp, s, &query, n - 1);
            }
        });
        let what = format!("{s:?}, n = {n}: attn of the last query");
        let expected = memory.attn.rows(&what, n);
        attn.assert_close(&what, &to_f64(&expected[(n - 1) * s.n_embd()..]), 0.0);
    }
}

// The scores are 200 and -200. In `f32`, `exp(200)` would overflow and `exp(-200)` would underflow.
#[test]
fn a_much_larger_score_selects_its_key() {
    let s = RuntimeShape { vocab: 27, block_size: 8, n_embd: 16, n_head: 4, n_layer: 1 };
    let q = [20.0; 32];
    let k: Vec<f32> = (0..32).map(|i| if i < 16 { 5.0 } else { -5.0 }).collect();
    let document = Document { s, n: 2, q: q.to_vec(), k, v: values(3, 32) };
    let expected: Vec<f64> = to_f64(&document.v)[..16].repeat(2);
    document.forward().attn.assert_close("attn", &expected, 1.0);
}
