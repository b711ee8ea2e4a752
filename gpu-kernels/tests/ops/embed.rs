//! `embed`.

use gpu_kernels::layout::Layout;
use gpu_kernels::ops::embed::{backward_position, backward_token, forward};
use gpu_kernels::ops::{rmsnorm, tiles};
use gpu_kernels::shape::{HALF_WARP, Shape};
use reference::model::{self, Vector};
use reference::value::{Tape, Value, dot};
use simt::{TOKENS, U32View};

use crate::rmsnorm::inverse_rms;
use crate::support::{
    Channels, Input, ROUNDING, Tensor, assert_gradients, cases, data, document, launch, leaves, narrow, numbers,
    scalars, tile, weighted, wide,
};
use crate::tensors::{assert_close, norm};

/// `wte[token] + wpe[position]` of the first `n` positions, `[n, C]`.
fn sums<'t>(wte: &[Value<'t>], wpe: &[Value<'t>], document: &[u32], n: usize, c: usize) -> Vector<'t> {
    (0..n * c).map(|i| wte[document[i / c] as usize * c + i % c] + wpe[i]).collect()
}

/// The sums, and the embedding after its norm.
fn reference(wte: &[f32], wpe: &[f32], document: &[u32], n: usize, c: usize) -> (Vec<f64>, Vec<f64>) {
    let tape = Tape::default();
    let sums = sums(&leaves(&tape, &wide(wte)), &leaves(&tape, &wide(wpe)), document, n, c);
    (data(&sums), data(&normed(&sums, c)))
}

fn normed<'t>(x: &[Value<'t>], c: usize) -> Vector<'t> {
    x.chunks(c).flat_map(model::rmsnorm).collect()
}

#[test]
fn forward_agrees_with_the_reference() {
    for (s, n) in cases() {
        let (t, c) = (s.block_size_padded(), Channels::plain(s.n_embd()));
        let document = document(s, n);
        let (wte, wpe) = (numbers(1, s.vocab() * c.count), numbers(2, n * c.count));
        // What the document does not have must not matter.
        let mut tokens = Tensor::new(s.vocab_padded(), c, &wte, f32::NAN);
        for (token, row) in tokens.memory.chunks_mut(c.padded).enumerate() {
            if !document[..n].contains(&(token as u32)) {
                row.fill(f32::NAN);
            }
        }
        let mut positions = Tensor::new(Layout(s).wpe_rows(), c, &wpe, f32::NAN);
        let (mut x, mut r) = (Tensor::unwritten(t, c), scalars(t, &[]));
        let weights = (tokens.view(), positions.view());
        let out = (x.view(), view(&mut r));
        launch(|warp| {
            for t0 in warp.token_groups(n) {
                let positions: [usize; TOKENS] = std::array::from_fn(|t| (t0 + t).min(n - 1));
                forward(s, weights, (&positions.map(|t| document[t] as usize), &positions), out, t0);
            }
        });
        let what = format!("{s:?}, n = {n}");
        let (sum, expected) = reference(&wte, &wpe, &document, n, c.count);
        // The sum of the two, then as for the norm.
        let roundings = 0.5 * (c.count as f64 / 16.0 + 6.0) + 5.0;
        x.assert_close(&format!("{what}: x"), &expected, roundings);
        let inverse_rms = inverse_rms(&sum, c.count);
        assert_close(format!("{what}: r"), 1, &r[..n], &inverse_rms, roundings * ROUNDING * norm(&inverse_rms));
    }
}

/// From the gradient by the embedding after its norm to those of both matrices.
#[test]
fn backward_agrees_with_the_reference() {
    for (s, n) in cases() {
        let (t, c) = (s.block_size_padded(), Channels::plain(s.n_embd()));
        let document = document(s, n);
        let (wte, wpe) = (numbers(1, s.vocab() * c.count), numbers(2, s.block_size() * c.count));
        let dy = numbers(3, n * c.count);
        // What the output head has left in the gradient of `wte`.
        let head: Vec<f32> = numbers(4, wte.len()).iter().map(|x| x / 16.0).collect();

        let (sum, normed_sum) = reference(&wte, &wpe, &document, n, c.count);
        let mut r = scalars(t, &narrow(&inverse_rms(&sum, c.count)));
        let mut y = Tensor::new(t, c, &narrow(&normed_sum), f32::NAN);
        let mut dx = Tensor::new(t, c, &dy, f32::NAN);
        let mut dwte = Tensor::new(s.vocab_padded(), c, &head, 0.0);
        let mut dwpe = Tensor::unwritten(Layout(s).wpe_rows(), c);
        let (ty, tr, tdx, tdwte, tdwpe) = (y.view(), view(&mut r), dx.view(), dwte.view(), dwpe.view());
        launch(|warp| {
            for t0 in warp.token_groups(n) {
                rmsnorm::backward(warp, s, (ty, tr), None, tdx, t0);
            }
        });
        // SAFETY: the document has the `n` tokens that are asked for, and outlives the launch.
        let ids = unsafe { U32View::new(document.as_ptr()) };
        launch(|warp| {
            for row in warp.block_stride(s.vocab_padded() / HALF_WARP) {
                for col in half_warps(c.padded) {
                    backward_token(warp, s, tdx, ids, n, tdwte, (row * HALF_WARP, col));
                }
            }
            for pair in warp.block_stride(Layout(s).wpe_rows() / 2) {
                for col in half_warps(c.padded) {
                    let rows = backward_position(s, tdx, n, 2 * pair, col);
                    tdwpe.store_halves(2 * pair * c.padded + col, c.padded, rows);
                }
            }
        });
        let what = format!("{s:?}, n = {n}");
        let beyond = &dwpe.memory[n * c.padded..];
        assert_close(format!("{what}: dwpe beyond the document"), c.padded, beyond, &vec![0.0; beyond.len()], 0.0);
        // Only rows of tokens that the document has are added to.
        let mut tokens = document[..n].to_vec();
        tokens.sort_unstable();
        tokens.dedup();
        let dwte = dwte.rows(&what, s.vocab());
        for (i, (got, head)) in dwte.iter().zip(&head).enumerate() {
            let (token, channel) = (i / c.count, i % c.count);
            let changed = got.to_bits() != head.to_bits();
            let added = tokens.contains(&(token as u32));
            assert_eq!(changed, added, "{what}: dwte[{token}, {channel}]: expected {head:e} to be left, got {got:e}");
        }
        let of_tokens = |values: &[f32]| -> Vec<f32> {
            tokens.iter().flat_map(|&token| &values[token as usize * c.count..][..c.count]).copied().collect()
        };
        let (wte, head) = (of_tokens(&wte), of_tokens(&head));
        let places: Vec<u32> = document[..n].iter().map(|token| tokens.binary_search(token).unwrap() as u32).collect();
        let inputs = [
            Input { name: "wte", cols: c.count, values: &wte, gradient: of_tokens(&dwte) },
            Input { name: "wpe", cols: c.count, values: &wpe, gradient: dwpe.rows(&what, s.block_size()) },
        ];
        // As for the norm, then the sum over the times that a token occurs, half of `n` at most.
        assert_gradients(&what, &inputs, c.count as f64 / 16.0 + 9.0 + n as f64 / 2.0, |tape, inputs| {
            let y = normed(&sums(&inputs[0], &inputs[1], &places, n, c.count), c.count);
            weighted(tape, &y, &dy) + dot(&inputs[0], &leaves(tape, &wide(&head)))
        });
    }
}
