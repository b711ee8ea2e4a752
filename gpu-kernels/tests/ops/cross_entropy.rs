//! `cross_entropy`.

use gpu_kernels::ops::cross_entropy::{backward, forward, total};
use gpu_kernels::shape::Shape;
use reference::model::cross_entropy;
use reference::value::{Tape, Value};
use simt::U32View;

use crate::support::{
    Channels, Input, ROUNDING, Tensor, assert_gradients, cases, data, document, launch, leaves, numbers, scalars, tile,
    wide,
};
use crate::tensors::{assert_close, norm};

/// The cross-entropy of each position.
fn nll<'t>(logits: &[Value<'t>], vocab: usize, document: &[u32]) -> Vec<Value<'t>> {
    logits.chunks(vocab).zip(&document[1..]).map(|(row, &target)| cross_entropy(row, target)).collect()
}

#[test]
fn forward_and_backward_agree_with_the_reference() {
    for (s, n) in cases() {
        let what = format!("{s:?}, n = {n}");
        let (t, v) = (s.block_size_padded(), Channels::plain(s.vocab()));
        let document = document(s, n);
        // Rows of which `exp` would overflow, or vanish, and rows of one likely token.
        let offset = |t: usize| [0.0, 300.0, -200.0][t % 3];
        let spread = |t: usize| [1.0, 4.0][t % 2];
        let logits: Vec<f32> = numbers(1, n * v.count)
            .iter()
            .enumerate()
            .map(|(i, x)| offset(i / v.count) + spread(i / v.count) * x)
            .collect();
        let mut e = Tensor::new(t, v, &logits, f32::NAN);
        // What is no token must not matter.
        for row in e.memory.chunks_mut(v.padded) {
            row[v.count..].fill(f32::NAN);
        }
        let (mut sum_exp, mut gap) = (scalars(t, &[]), scalars(t, &[]));
        let (te, reduced) = (e.view(), (view(&mut sum_exp), view(&mut gap)));
        // SAFETY: the document has the `n + 1` tokens that are asked for, and outlives the launches.
        let ids = unsafe { U32View::new(document.as_ptr()) };
        launch(|warp| warp.token_groups(n).for_each(|t0| forward(warp, s, te, reduced, ids, t0, n)));
        let tape = Tape::default();
        let expected = data(&nll(&leaves(&tape, &wide(&logits)), v.count, &document));
        let exponentials = e.rows(&format!("{what}: e"), n);
        let largest = exponentials.iter().copied().fold(0.0, f32::max);
        assert_eq!(largest.to_bits(), 1.0f32.to_bits(), "{what}: the largest logit's exponential");
        // The difference to the largest logit and its exponential, V / 16 sums in order and four in the butterfly; the
        // logarithm of a sum of at least 1 has its relative error as an absolute one. Then its own rounding and that
        // of the gap.
        let roundings = v.padded as f64 / 16.0 + 9.0;
        let got: Vec<f32> = (0..n).map(|t| (f64::from(sum_exp[t]).ln() + f64::from(gap[t])) as f32).collect();
        assert_close(format!("{what}: nll"), 1, &got, &expected, roundings * ROUNDING * (1.0 + norm(&expected)));
        let sum = expected.iter().sum::<f64>();
        let mut total_nll = [f32::NAN];
        let out = view(&mut total_nll);
        launch(|warp| {
            if warp.index == 0 {
                out.set(0, total(reduced, n));
            }
        });
        assert_close(format!("{what}: total"), 1, &total_nll, &[sum], roundings * ROUNDING * (n as f64 + sum));

        launch(|warp| warp.token_groups(n).for_each(|t0| backward(warp, s, te, reduced.0, ids, t0, n)));
        let input = Input { name: "logits", cols: v.count, values: &logits, gradient: e.rows(&what, n) };
        // As above, the division by the sum, that by `n`, their product, the one with `e`, the difference.
        assert_gradients(&what, &[input], v.padded as f64 / 16.0 + 11.0, |_, inputs| {
            nll(&inputs[0], v.count, &document).into_iter().sum::<Value>() / n as f64
        });
    }
}
