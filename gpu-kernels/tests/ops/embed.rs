//! The op `embed` against the reference.

use gpu_kernels::activations::{Activations, Pass};
use gpu_kernels::layout::{Layout, ModelTensors};
use gpu_kernels::ops::embed::{self, Embed, backward_position, backward_token};
use gpu_kernels::ops::rmsnorm::{self, RmsNormBackward};
use gpu_kernels::shape::{Shape, TOKENS};
use reference::model::{self, Vector};
use reference::value::{Tape, Value, dot};
use simt::{HALF_WARP, U32View};

use crate::rmsnorm::rstd;
use crate::support::{
    Channels, Input, Padded, ROUNDING, assert_gradients, cases, data, document, launch, launch_tokens, leaves, scalars,
    to_f32, to_f64, values, view, weighted,
};
use crate::tensors::{assert_close, norm};

/// Returns `wte[token] + wpe[position]` of the first `n` positions, `[n, C]`.
fn sums<'t>(wte: &[Value<'t>], wpe: &[Value<'t>], document: &[u32], n: usize, c: usize) -> Vector<'t> {
    (0..n * c).map(|i| wte[document[i / c] as usize * c + i % c] + wpe[i]).collect()
}

/// Returns the sums and the normalised embeddings.
fn reference(wte: &[f32], wpe: &[f32], document: &[u32], n: usize, c: usize) -> (Vec<f64>, Vec<f64>) {
    let tape = Tape::default();
    let sums = sums(&leaves(&tape, &to_f64(wte)), &leaves(&tape, &to_f64(wpe)), document, n, c);
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
        let (wte, wpe) = (values(1, s.vocab() * c.count), values(2, n * c.count));
        // The op must ignore the embeddings of tokens and positions that the document lacks.
        let mut tokens = Padded::new(s.vocab_padded(), c, &wte, f32::NAN);
        for (token, row) in tokens.memory.chunks_mut(c.padded).enumerate() {
            if !document[..n].contains(&(token as u32)) {
                row.fill(f32::NAN);
            }
        }
        let mut positions = Padded::new(Layout(s).model().wpe.rows, c, &wpe, f32::NAN);
        let (mut x, mut got_rstd) = (Padded::unwritten(t, c), scalars(t, &[]));
        let (wte_view, wpe_view, x_view, rstd_view) = (tokens.view(), positions.view(), x.view(), view(&mut got_rstd));
        launch_tokens(n, |warp, rows| {
            let positions: [usize; TOKENS] = std::array::from_fn(|t| (rows.first + t).min(n - 1));
            let embed =
                Embed { wte: wte_view, wpe: wpe_view, tokens: positions.map(|t| document[t] as usize), positions };
            embed::forward(warp, s, &embed, rstd_view, rows.first, |at, x| x_view.store(at, x));
        });
        let what = format!("{s:?}, n = {n}");
        let (sum, expected) = reference(&wte, &wpe, &document, n, c.count);
        // The bound counts the addition of both embeddings, then the roundings of the norm.
        let roundings = 0.5 * (c.count as f64 / 16.0 + 6.0) + 5.0;
        x.assert_close(&format!("{what}: x"), &expected, roundings);
        let rstd = rstd(&sum, c.count);
        assert_close(format!("{what}: rstd"), 1, &got_rstd[..n], &rstd, roundings * ROUNDING * norm(&rstd));
    }
}

// The test starts from the gradient of the normalised embedding, and checks the gradients of `wte` and `wpe`.
#[test]
fn backward_agrees_with_the_reference() {
    for (s, n) in cases() {
        let (t, c) = (s.block_size_padded(), Channels::plain(s.n_embd()));
        let document = document(s, n);
        let (wte, wpe) = (values(1, s.vocab() * c.count), values(2, s.block_size() * c.count));
        let dy = values(3, n * c.count);
        // The gradient of `wte` already holds the `lm_head`'s part.
        let lm_head: Vec<f32> = values(4, wte.len()).iter().map(|x| x / 16.0).collect();

        let (sum, normed_sum) = reference(&wte, &wpe, &document, n, c.count);
        let mut rstd = scalars(t, &to_f32(&rstd(&sum, c.count)));
        let mut y = Padded::new(t, c, &to_f32(&normed_sum), f32::NAN);
        let mut dx = Padded::new(t, c, &dy, f32::NAN);
        let mut dwte = Padded::new(s.vocab_padded(), c, &lm_head, 0.0);
        let mut dwpe = Padded::unwritten(Layout(s).model().wpe.rows, c);
        let (dwte_view, dwpe_view) = (dwte.view(), dwpe.view());
        let norm = RmsNormBackward { y: y.view(), rstd: view(&mut rstd), dx_skip: None, dx: dx.view() };
        launch_tokens(n, |warp, tokens| rmsnorm::backward(warp, s, &norm, tokens));
        // SAFETY: the document has the `n` tokens that are loaded, and outlives the launch.
        let tokens = unsafe { U32View::new(document.as_ptr(), document.len()) };
        let mut work = vec![f32::NAN; Activations::len(s)];
        let pass = Pass { document: tokens, n, work: view(&mut work) };
        launch(|warp| {
            for i in warp.block_stride(dx.memory.len()) {
                pass.activations(s, 0).dx_embed.store_scalar(i, dx.memory[i]);
            }
        });
        let ModelTensors { wte: wte_place, wpe: wpe_place } = Layout(s).model();
        launch(|warp| {
            // The gradient of `wte` is at the start of the flat array.
            for i in warp.block_stride(wte_place.blocks(HALF_WARP)) {
                backward_token(warp, s, &pass, dwte_view, wte_place.block(HALF_WARP, i));
            }
            for pair in warp.block_stride(wpe_place.blocks(2)).map(|i| wpe_place.block(2, i)) {
                let at = pair.row * c.padded + pair.col;
                dwpe_view.store_halves(at, c.padded, backward_position(s, &pass, pair));
            }
        });
        let what = format!("{s:?}, n = {n}");
        let beyond = &dwpe.memory[n * c.padded..];
        assert_close(format!("{what}: dwpe beyond the document"), c.padded, beyond, &vec![0.0; beyond.len()], 0.0);
        // Only the rows of the document's tokens change.
        let mut tokens = document[..n].to_vec();
        tokens.sort_unstable();
        tokens.dedup();
        let dwte = dwte.rows(&what, s.vocab());
        for (i, (got, lm_head)) in dwte.iter().zip(&lm_head).enumerate() {
            let (token, channel) = (i / c.count, i % c.count);
            let changed = got.to_bits() != lm_head.to_bits();
            let added = tokens.contains(&(token as u32));
            assert_eq!(changed, added, "{what}: dwte[{token}, {channel}]: from {lm_head:e} to {got:e}");
        }
        let of_tokens = |values: &[f32]| -> Vec<f32> {
            tokens.iter().flat_map(|&token| &values[token as usize * c.count..][..c.count]).copied().collect()
        };
        let (wte, lm_head) = (of_tokens(&wte), of_tokens(&lm_head));
        let indices: Vec<u32> = document[..n].iter().map(|token| tokens.binary_search(token).unwrap() as u32).collect();
        let inputs = [
            Input { name: "wte", cols: c.count, values: &wte, gradient: of_tokens(&dwte) },
            Input { name: "wpe", cols: c.count, values: &wpe, gradient: dwpe.rows(&what, s.block_size()) },
        ];
        // The bound counts the roundings of the norm, then the sum over a token's occurrences, at most `n / 2`.
        assert_gradients(&what, &inputs, c.count as f64 / 16.0 + 9.0 + n as f64 / 2.0, |tape, inputs| {
            let y = normed(&sums(&inputs[0], &inputs[1], &indices, n, c.count), c.count);
            weighted(tape, &y, &dy) + dot(&inputs[0], &leaves(tape, &to_f64(&lm_head)))
        });
    }
}
