//! The op `cross_entropy` against the reference.

use gpu_kernels::activations::{Activations, Pass};
use gpu_kernels::ops::cross_entropy::{self, total};
use gpu_kernels::shape::Shape;
use reference::model;
use reference::value::{Tape, Value};
use simt::{U32View, View};

use crate::support::{
    Channels, Input, Padded, ROUNDING, assert_gradients, cases, data, document, launch, launch_tokens, leaves, to_f64,
    values, view,
};
use crate::tensors::{assert_close, norm};

/// Returns the cross-entropy of each position.
fn nll<'t>(logits: &[Value<'t>], vocab: usize, document: &[u32]) -> Vec<Value<'t>> {
    logits.chunks(vocab).zip(&document[1..]).map(|(row, &target)| model::cross_entropy(row, target)).collect()
}

/// Returns logits `[n, vocab]`. The exponentials of some rows would overflow or underflow, and some rows have one
/// likely token.
fn logits(n: usize, vocab: usize) -> Vec<f32> {
    let offset = |t: usize| [0.0, 300.0, -200.0][t % 3];
    let spread = |t: usize| [1.0, 4.0][t % 2];
    values(1, n * vocab).iter().enumerate().map(|(i, x)| offset(i / vocab) + spread(i / vocab) * x).collect()
}

/// Copies the elements of `from` to the tensor.
fn read(tensor: &mut Padded, from: View) {
    for (i, x) in tensor.memory.iter_mut().enumerate() {
        *x = from.load_scalar(i);
    }
}

#[test]
fn forward_and_backward_agree_with_the_reference() {
    for (s, n) in cases() {
        let what = format!("{s:?}, n = {n}");
        let (t, v) = (s.block_size_padded(), Channels::plain(s.vocab()));
        let document = document(s, n);
        let logits = logits(n, v.count);
        let mut e = Padded::new(t, v, &logits, f32::NAN);
        // The op must ignore the padding of its input.
        for row in e.memory.chunks_mut(v.padded) {
            row[v.count..].fill(f32::NAN);
        }
        // SAFETY: the document has the `n + 1` tokens that are loaded, and outlives the launches.
        let tokens = unsafe { U32View::new(document.as_ptr(), document.len()) };
        let mut work = vec![f32::NAN; Activations::len(s)];
        let pass = Pass { document: tokens, n, work: view(&mut work) };
        let views = pass.activations(s, 0);
        launch(|warp| {
            for i in warp.block_stride(e.memory.len()) {
                views.logits.store_scalar(i, e.memory[i]);
            }
        });
        launch_tokens(n, |warp, tokens| cross_entropy::forward(warp, s, &pass, tokens));
        read(&mut e, views.logits);
        let tape = Tape::default();
        let expected = data(&nll(&leaves(&tape, &to_f64(&logits)), v.count, &document));
        let exponentials = e.rows(&format!("{what}: e"), n);
        let largest = exponentials.iter().copied().fold(0.0, f32::max);
        assert_eq!(largest.to_bits(), 1.0f32.to_bits(), "{what}: the largest logit's exponential");
        // The bound counts the roundings of the difference to the largest logit, the exponential, V / 16 sums in order,
        // four sums in the butterfly, the logarithm and the gap. The absolute error of the logarithm is the relative
        // error of the sum.
        let roundings = v.padded as f64 / 16.0 + 9.0;
        let got: Vec<f32> = (0..n)
            .map(|t| (f64::from(views.sum_exp.load_scalar(t)).ln() + f64::from(views.gap.load_scalar(t))) as f32)
            .collect();
        assert_close(format!("{what}: nll"), 1, &got, &expected, roundings * ROUNDING * (1.0 + norm(&expected)));
        let sum = expected.iter().sum::<f64>();
        let mut total_nll = [f32::NAN];
        let out = view(&mut total_nll);
        launch(|warp| {
            if warp.index == 0 {
                out.store_scalar(0, total(s, &pass));
            }
        });
        assert_close(format!("{what}: total"), 1, &total_nll, &[sum], roundings * ROUNDING * (n as f64 + sum));

        launch_tokens(n, |warp, tokens| cross_entropy::backward(warp, s, &pass, tokens));
        read(&mut e, views.logits);
        let input = Input { name: "logits", cols: v.count, values: &logits, gradient: e.rows(&what, n) };
        // The bound counts the roundings above, the divisions by the sum and by `n`, two products, and the difference.
        assert_gradients(&what, &[input], v.padded as f64 / 16.0 + 11.0, |_, inputs| {
            nll(&inputs[0], v.count, &document).into_iter().sum::<Value>() / n as f64
        });
    }
}
