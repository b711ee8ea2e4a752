//! `attention`.

use gpu_kernels::ops::attention::{
    attend, backward_keys, backward_queries, forward, head_groups, probs_len, probs_row, query_probs_len, query_scale,
};
use gpu_kernels::shape::{HALF_WARP, RuntimeShape, Shape};
use reference::model::{Vector, attention, softmax};
use reference::value::{Tape, Value, dot};
use simt::View;

use crate::support::{
    Channels, Input, ROUNDING, Tensor, assert_gradients, cases, data, launch, leaves, matrix, numbers, tile, weighted,
    wide,
};
use crate::tensors::{assert_close, norm};

/// What keys and values beyond the document hold: something finite, as left there by an earlier document. Their
/// probability is zero.
const BEYOND: f32 = 1e30;

/// Queries (not scaled), keys and values of a document, `[n, C]` each.
struct Document {
    s: RuntimeShape,
    n: usize,
    q: Vec<f32>,
    k: Vec<f32>,
    v: Vec<f32>,
}

/// The same in the kernels' memory, and what the forward pass gives.
struct Memory {
    q: Tensor,
    k: Tensor,
    v: Tensor,
    probs: Vec<f32>,
    attn: Tensor,
}

impl Document {
    fn new(s: RuntimeShape, n: usize) -> Self {
        let len = n * s.n_embd();
        // Scores of some size, so that the probabilities differ.
        let q = numbers(1, len).iter().map(|q| 3.0 * q).collect();
        Self { s, n, q, k: numbers(2, len), v: numbers(3, len) }
    }

    fn forward(&self) -> Memory {
        let (s, n) = (self.s, self.n);
        let (t, a) = (s.block_size_padded(), Channels::heads(s));
        let scaled: Vec<f32> = self.q.iter().map(|q| q * query_scale(s)).collect();
        let mut memory = Memory {
            q: Tensor::new(t, a, &scaled, f32::NAN),
            k: Tensor::new(t, a, &self.k, BEYOND),
            v: Tensor::new(t, a, &self.v, BEYOND),
            probs: vec![f32::NAN; probs_len(s)],
            attn: Tensor::unwritten(t, a),
        };
        let (qkv, out) = memory.half_warps();
        launch(|warp| warp.token_groups(n).for_each(|t0| forward(s, qkv, out, t0, n)));
        memory
    }

    /// The reference's attention of every query, `[n, C]`.
    fn reference<'t>(&self, q: &[Value<'t>], k: &[Value<'t>], v: &[Value<'t>]) -> Vector<'t> {
        let c = self.s.n_embd();
        let (k, v) = (matrix(k, c), matrix(v, c));
        q.chunks(c).enumerate().flat_map(|(t, q)| attention(q, &k[..=t], &v[..=t], self.s.n_head())).collect()
    }

    /// How many roundings there are up to a probability: the scaled query, a head's products in order of tiles, four
    /// sums in the butterfly, the difference to the largest score, which is as large as the scores are, `exp`, sums over
    /// every second key, the inverse, the product.
    fn roundings(&self) -> f64 {
        self.s.head_dim_padded().div_ceil(HALF_WARP) as f64 + self.n as f64 / 2.0 + 10.0
    }
}

impl Memory {
    fn half_warps(&mut self) -> ((View, View, View), (View, View)) {
        ((self.q.view(), self.k.view(), self.v.view()), (view(&mut self.probs), self.attn.view()))
    }
}

#[test]
fn forward_agrees_with_the_reference() {
    for (s, n) in cases() {
        let what = format!("{s:?}, n = {n}");
        let document = Document::new(s, n);
        let tape = Tape::default();
        let [q, k, v] = [&document.q, &document.k, &document.v].map(|x| leaves(&tape, &wide(x)));
        let memory = document.forward();
        let expected = data(&document.reference(&q, &k, &v));
        // The products with the values, every second key.
        memory.attn.assert_close(&format!("{what}: attn"), &expected, document.roundings() + n as f64 / 2.0);
        check_probs(&what, &document, &memory, &matrix(&q, s.n_embd()), &matrix(&k, s.n_embd()));
    }
}

/// Every lane of a head has its probability of every key, and none for the key after the last.
fn check_probs<'t>(what: &str, document: &Document, memory: &Memory, q: &[Vector<'t>], k: &[Vector<'t>]) {
    let (s, a, d) = (document.s, Channels::heads(document.s), document.s.head_dim());
    let tiles = s.head_dim_padded().div_ceil(HALF_WARP);
    for (t, query) in q.iter().enumerate() {
        for h in 0..s.n_head() {
            let head = h * d..(h + 1) * d;
            let scores = k[..=t].iter().map(|key| dot(&query[head.clone()], &key[head.clone()]) / (d as f64).sqrt());
            let expected = data(&softmax(&scores.collect::<Vec<_>>()));
            for channel in head.clone() {
                let (group, lane) = (a.at(channel) / HALF_WARP / tiles, a.at(channel) % HALF_WARP);
                let row = group * probs_row(s.block_size_padded()) + probs_row(t);
                let prob = |key: usize| memory.probs[row + key * HALF_WARP + lane];
                let got: Vec<f32> = (0..=t).map(prob).collect();
                let bound = document.roundings() * ROUNDING * norm(&expected);
                assert_close(format!("{what}: probs of query {t}, channel {channel}"), 1, &got, &expected, bound);
                if t % 2 == 0 {
                    assert_close(
                        format!("{what}: probs of query {t} for key {}", t + 1),
                        1,
                        &[prob(t + 1)],
                        &[0.0],
                        0.0,
                    );
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
        let dy = numbers(4, n * c);
        let mut memory = document.forward();
        let mut dattn = Tensor::new(t, a, &dy, f32::NAN);
        let mut dscores = vec![f32::NAN; probs_len(s)];
        let [mut dq, mut dk, mut dv] = [(); 3].map(|()| Tensor::unwritten(t, a));
        let ((q, k, v), (probs, _)) = memory.half_warps();
        let (tdattn, tdscores) = (dattn.view(), view(&mut dscores));
        let (tdq, tdk, tdv) = (dq.view(), dk.view(), dv.view());
        launch(|warp| {
            for t0 in warp.token_groups(n) {
                backward_queries(s, tdattn, (k, v, probs), (tdscores, tdq), t0, n);
            }
        });
        launch(|warp| {
            for s0 in warp.token_groups(n) {
                backward_keys(s, (q, tdattn), (probs, tdscores), (tdk, tdv), s0, n);
            }
        });
        let input = |name, values, gradient: &Tensor| Input {
            name,
            cols: c,
            values,
            gradient: gradient.rows(&format!("{what}: d{name}"), n),
        };
        let inputs = [input("q", &document.q, &dq), input("k", &document.k, &dk), input("v", &document.v, &dv)];
        // As for the probabilities, as many again for `dp` and its mean, then a sum over every second key or query.
        let roundings = 2.0 * document.roundings() + n as f64 / 2.0 + 2.0;
        assert_gradients(&what, &inputs, roundings, |tape, inputs| {
            weighted(tape, &document.reference(&inputs[0], &inputs[1], &inputs[2]), &dy)
        });
    }
}

/// Sampling keeps the probabilities of one query only: the same bits.
#[test]
fn one_query_attends_as_all_do() {
    for (s, n) in cases() {
        let mut memory = Document::new(s, n).forward();
        let mut probs = vec![f32::NAN; query_probs_len(s)];
        let mut attn = Tensor::unwritten(1, Channels::heads(s));
        let (((q, k, v), _), row, out) = (memory.half_warps(), view(&mut probs), attn.view());
        let query = q.at((n - 1) * s.n_attn_padded());
        launch(|warp| {
            if warp.index == 0 {
                attend(s, query, (k, v), (row, query_probs_len(s) / head_groups(s)), out, n - 1);
            }
        });
        let what = format!("{s:?}, n = {n}: attn of the last query");
        let expected = memory.attn.rows(&what, n);
        attn.assert_close(&what, &wide(&expected[(n - 1) * s.n_embd()..]), 0.0);
    }
}

/// Scores of 200 and -200: `exp` of the one overflows, of the other vanishes.
#[test]
fn large_scores_take_one_key() {
    let s = RuntimeShape { vocab: 27, block_size: 8, n_embd: 16, n_head: 4, n_layer: 1 };
    let q = [20.0; 32];
    let k: Vec<f32> = (0..32).map(|i| if i < 16 { 5.0 } else { -5.0 }).collect();
    let document = Document { s, n: 2, q: q.to_vec(), k, v: numbers(3, 32) };
    let expected: Vec<f64> = wide(&document.v)[..16].repeat(2);
    document.forward().attn.assert_close("attn", &expected, 1.0);
}
