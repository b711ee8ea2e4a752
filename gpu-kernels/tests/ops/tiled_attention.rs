//! The attention of the tiled executor against the reference.

use gpu_kernels::ops::attention::query_scale;
use gpu_kernels::shape::{RuntimeShape, Shape};
use gpu_kernels::tiled::attention_backward::AttentionGradients;
use gpu_kernels::tiled::attention_forward::{Attention, BLOCK, Head, blocks, scratch_len};
use reference::model::{self, Vector};
use reference::value::{Tape, Value};
use simt::{AnyCpu, Block, Grid, HALF_WARP, round_up};

use crate::support::{
    Channels, Input, ROUNDING, assert_gradients, data, leaves, matrix, to_f64, values, view, weighted,
};
use crate::tensors::{assert_close, norm};

/// The rows of other documents before the document.
const BEFORE: usize = 3;

/// Returns shapes of heads with a number of positions. The heads fill half-warps or not, and the documents have one
/// block or several, the last of them with one position or full.
fn cases() -> impl Iterator<Item = (RuntimeShape, usize)> {
    [(32, 2, 2), (13, 1, 7), (34, 2, BLOCK + 1), (51, 3, 2 * BLOCK), (16, 1, 2 * BLOCK + 17)]
        .into_iter()
        .map(|(n_embd, n_head, n)| (RuntimeShape { vocab: 27, block_size: n as u32, n_embd, n_head, n_layer: 1 }, n))
}

/// A document `[n, C]` of unscaled queries, keys and values, in the executor's memory, with the results of both passes.
struct Document {
    s: RuntimeShape,
    n: usize,
    inputs: [Vec<f32>; 3],
    qkv: Vec<f32>,
    attn: Vec<f32>,
    max: Vec<f32>,
    inverse_sum: Vec<f32>,
    dqkv: Vec<f32>,
}

impl Document {
    fn new(s: RuntimeShape, n: usize) -> Self {
        let (c, a) = (s.n_embd(), Channels::heads(s));
        let inputs = [1, 2, 3].map(|seed| values(seed, n * c).iter().map(|x| 2.0 * x).collect::<Vec<_>>());
        let rows = round_up(BEFORE + n, HALF_WARP) + HALF_WARP;
        // The rows of other documents hold NaN, and the padding of the document's rows holds zeros.
        let mut qkv = vec![f32::NAN; rows * 3 * a.padded];
        for t in 0..n {
            for (which, input) in inputs.iter().enumerate() {
                let row = &mut qkv[((BEFORE + t) * 3 + which) * a.padded..][..a.padded];
                row.fill(0.0);
                for i in 0..c {
                    row[a.at(i)] = input[t * c + i] * if which == 0 { query_scale(s) } else { 1.0 };
                }
            }
        }
        let heads = || vec![f32::NAN; s.n_head() * rows];
        let (attn, dqkv) = (vec![f32::NAN; rows * a.padded], vec![f32::NAN; rows * 3 * a.padded]);
        Self { s, n, inputs, qkv, attn, max: heads(), inverse_sum: heads(), dqkv }
    }

    fn attention(&mut self) -> Attention {
        Attention {
            rows: self.max.len() / self.s.n_head(),
            width: self.s.n_attn_padded(),
            head_dim: self.s.head_dim_padded(),
            qkv: view(&mut self.qkv),
            attn: view(&mut self.attn),
            max: view(&mut self.max),
            inverse_sum: view(&mut self.inverse_sum),
        }
    }

    /// Runs `work` for each head, with scratch memory that holds NaN.
    fn each_head(&self, work: impl Fn(&Block<AnyCpu>, Head, simt::View)) {
        let mut scratch = vec![f32::NAN; scratch_len(self.s.head_dim_padded(), self.n)];
        for index in 0..self.s.n_head() {
            #[cfg(feature = "race-check")]
            {
                simt::race::launch();
                simt::race::set_warp_order(1);
            }
            let head = Head { index, first_row: BEFORE, n: self.n };
            let scratch = view(&mut scratch);
            Grid::new(0..1, 1, AnyCpu).each_block(|block| work(block, head, scratch));
        }
    }

    fn forward(&mut self) {
        let (attention, n) = (self.attention(), self.n);
        self.each_head(|block, head, scratch| {
            for i in (0..blocks(n)).rev() {
                attention.forward(block, head, i, scratch);
            }
        });
    }

    fn backward(&mut self, dy: &[f32]) {
        let a = Channels::heads(self.s);
        let mut dattn = vec![f32::NAN; self.attn.len()];
        for (t, dy) in dy.chunks(a.count).enumerate() {
            let row = &mut dattn[(BEFORE + t) * a.padded..][..a.padded];
            row.fill(0.0);
            dy.iter().enumerate().for_each(|(i, &x)| row[a.at(i)] = x);
        }
        let (attention, query_scale) = (self.attention(), query_scale(self.s));
        let to = AttentionGradients { dattn: view(&mut dattn), dqkv: view(&mut self.dqkv), query_scale };
        self.each_head(|block, head, scratch| attention.backward(block, to, head, scratch));
    }

    /// Returns the document's rows of part `which` of `parts` of a matrix, without padding.
    ///
    /// # Panics
    /// If a row of another document was written, or the padding is not zero.
    #[track_caller]
    fn rows(&self, matrix: &[f32], parts: usize, which: usize) -> Vec<f32> {
        let a = Channels::heads(self.s);
        let mut rows = Vec::new();
        for (row, values) in matrix.chunks(parts * a.padded).enumerate() {
            let values = &values[which * a.padded..][..a.padded];
            if !(BEFORE..BEFORE + self.n).contains(&row) {
                assert!(values.iter().all(|x| x.is_nan()), "row {row} of another document was written");
                continue;
            }
            let mut padding = values.to_vec();
            rows.extend((0..a.count).map(|i| std::mem::take(&mut padding[a.at(i)])));
            assert!(padding.iter().all(|&x| x == 0.0), "the padding of row {row}");
        }
        rows
    }

    /// Returns the reference's attention of every query, `[n, C]`.
    fn reference<'t>(&self, q: &[Value<'t>], k: &[Value<'t>], v: &[Value<'t>]) -> Vector<'t> {
        let c = self.s.n_embd();
        let (k, v) = (matrix(k, c), matrix(v, c));
        q.chunks(c).enumerate().flat_map(|(t, q)| model::attention(q, &k[..=t], &v[..=t], self.s.n_head())).collect()
    }

    /// Returns the number of roundings up to a probability. The count includes the scaled query, a head's products, the
    /// difference to the largest score, `exp`, the sum over the keys, the rescaling by each block, and the inverse.
    fn roundings(&self) -> f64 {
        self.s.head_dim() as f64 + self.n as f64 + 3.0 * blocks(self.n) as f64 + 6.0
    }
}

#[test]
#[cfg_attr(miri, ignore = "too slow in Miri")]
fn forward_agrees_with_the_reference() {
    for (s, n) in cases() {
        let mut document = Document::new(s, n);
        document.forward();
        let tape = Tape::default();
        let [q, k, v] = document.inputs.each_ref().map(|x| leaves(&tape, &to_f64(x)));
        let expected = data(&document.reference(&q, &k, &v));
        let bound = (document.roundings() + n as f64) * ROUNDING * norm(&expected);
        assert_close(format!("{s:?}"), s.n_embd(), &document.rows(&document.attn, 1, 0), &expected, bound);
    }
}

#[test]
#[cfg_attr(miri, ignore = "too slow in Miri")]
fn backward_agrees_with_the_reference() {
    for (s, n) in cases() {
        let (what, c) = (format!("{s:?}"), s.n_embd());
        let mut document = Document::new(s, n);
        document.forward();
        let dy = values(4, n * c);
        document.backward(&dy);
        // The bound counts the roundings of the probabilities, as many again for the gradients of the probabilities and
        // their mean, and every key or query.
        let roundings = 2.0 * document.roundings() + n as f64 + 2.0;
        let gradients = [0, 1, 2].map(|which| document.rows(&document.dqkv, 3, which));
        if n < 10 {
            let input = |i: usize| Input {
                name: ["q", "k", "v"][i],
                cols: c,
                values: &document.inputs[i],
                gradient: gradients[i].clone(),
            };
            assert_gradients(&what, &[0, 1, 2].map(input), roundings, |tape, inputs| {
                weighted(tape, &document.reference(&inputs[0], &inputs[1], &inputs[2]), &dy)
            });
            continue;
        }
        // Central differences of long documents take minutes.
        let tape = Tape::default();
        let inputs = document.inputs.each_ref().map(|x| leaves(&tape, &to_f64(x)));
        weighted(&tape, &document.reference(&inputs[0], &inputs[1], &inputs[2]), &dy).backward();
        for (gradient, input) in gradients.iter().zip(&inputs) {
            let expected: Vec<f64> = input.iter().map(|leaf| leaf.grad()).collect();
            assert_close(&what, c, gradient, &expected, roundings * ROUNDING * norm(&expected));
        }
    }
}

// The scores are 200 and -200 or the reverse. In `f32`, `exp(200)` would overflow.
#[test]
fn a_later_block_with_a_much_larger_score_replaces_the_earlier_ones() {
    let n = BLOCK + 1;
    let s = RuntimeShape { vocab: 27, block_size: n as u32, n_embd: 16, n_head: 1, n_layer: 1 };
    let mut document = Document::new(s, n);
    let width = 3 * s.n_attn_padded();
    for t in 0..n {
        let row = &mut document.qkv[(BEFORE + t) * width..][..width];
        row[..16].fill(5.0);
        row[16..32].fill(if t == n - 1 { 2.5 } else { -2.5 });
    }
    document.forward();
    let expected = to_f64(&document.inputs[2][(n - 1) * 16..]);
    let got = &document.rows(&document.attn, 1, 0)[(n - 1) * 16..];
    assert_close("attn", 16, got, &expected, ROUNDING * norm(&expected));
}
