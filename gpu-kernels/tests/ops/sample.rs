//! The op `sample` against the reference.

use gpu_kernels::ops::sample::{self, draw, log_probability};
use gpu_kernels::shape::{RuntimeShape, Shape};
use reference::generate::{SamplingParams, sample};
use reference::model::cross_entropy;
use reference::value::Tape;

use crate::support::{Channels, Padded, ROUNDING, launch, leaves, to_f64, values, view};
use crate::tensors::assert_close;

/// The value that [`draws`] gives if nothing is drawn.
const NO_TOKEN: u32 = 1 << 20;

/// The number of draws for each case.
const DRAWS: usize = 257;

/// The least distance of a uniform value to a boundary between two tokens. For nearer values rounding decides.
const EDGE: f64 = 1e-5;

fn shape(vocab: u32) -> RuntimeShape {
    RuntimeShape { vocab, block_size: 8, n_embd: 16, n_head: 4, n_layer: 1 }
}

/// Returns logits with infinite padding. Padding must never be drawn, not even at an infinite logit.
fn padded(s: RuntimeShape, logits: &[f32]) -> Padded {
    let v = Channels::plain(s.vocab());
    let mut padded = Padded::new(1, v, logits, 0.0);
    padded.memory[v.count..].fill(f32::INFINITY);
    padded
}

/// Draws a token with each of the uniform values. [`NO_TOKEN`] stands for none.
fn draws(s: RuntimeShape, logits: &[f32], config: SamplingParams, uniforms: &[f32]) -> Vec<u32> {
    let mut padded = padded(s, logits);
    let mut drawn = vec![f32::NAN; uniforms.len()];
    let (logits, out) = (padded.view(), view(&mut drawn));
    // The host passes greedy decoding on as a top-k of 1.
    let (top_k, temperature) =
        if config.temperature == 0.0 { (1, 1.0) } else { (config.top_k as u32, config.temperature) };
    let params = sample::SamplingParams {
        top_k,
        inverse_temperature: (1.0 / temperature) as f32,
        min_p: config.min_p as f32,
        top_p: config.top_p as f32,
    };
    launch(|warp| {
        for i in warp.block_stride(uniforms.len()) {
            let [token] = draw(s, [logits], &params, [uniforms[i]]);
            out.store_scalar(i, token.map_or(NO_TOKEN as f32, |token| token as f32));
        }
    });
    drawn.into_iter().map(|token| token as u32).collect()
}

#[test]
#[cfg_attr(miri, ignore = "too slow in Miri")]
fn draws_agree_with_the_reference() {
    // The values are multiples of 2^-24 like the kernels' draws, from 0 to the largest multiple below 1.
    let uniforms: Vec<f32> = (0..DRAWS).map(|i| (i * 16_777_215 / (DRAWS - 1)) as f32 / 16_777_216.0).collect();
    for vocab in [2u32, 16, 27, 37, 261] {
        let s = shape(vocab);
        // The logits are multiples of 1/4, so that many are equal.
        let coarse: Vec<f32> = values(1, s.vocab()).iter().map(|x| (12.0 * x).round() / 4.0).collect();
        let fine: Vec<f32> = values(2, s.vocab()).iter().map(|x| 5.0 * x + 100.0).collect();
        for (logits, kind) in [(&coarse, "coarse"), (&fine, "fine")] {
            for (top_k, temperature, min_p, top_p) in [
                (1, 1.0, 0.0, 1.0),
                (2, 0.6, 0.0, 1.0),
                (5, 0.6, 0.0, 1.0),
                (5, 0.0, 0.5, 0.5),
                (20, 1.5, 0.0, 1.0),
                (261, 1.0, 0.0, 1.0),
                (261, 2.5, 0.0, 1.0),
                (261, 2.5, 0.1, 1.0),
                (261, 2.5, 0.0, 0.85),
                (20, 1.5, 0.03, 0.45),
                (5, 0.6, 0.0, 0.7),
                (261, 1.0, 1.0, 1.0),
                (261, 1.0, 0.0, 0.0),
            ] {
                let config = SamplingParams { top_k: s.vocab().min(top_k), temperature, min_p, top_p };
                let expected = |u: f64| sample(&to_f64(logits), config, u);
                let mut compared = 0;
                for (&u, got) in uniforms.iter().zip(draws(s, logits, config, &uniforms)) {
                    let exact = f64::from(u);
                    let token = expected(exact);
                    if expected((exact - EDGE).max(0.0)) == token && expected((exact + EDGE).min(1.0 - 1e-9)) == token {
                        let what = format!("{kind} logits, vocabulary {vocab}, {config:?}, u = {u}");
                        assert!(got == token, "{what}: expected token {token}, got {got}");
                        compared += 1;
                    }
                }
                assert!(compared > DRAWS * 9 / 10, "{kind}, vocabulary {vocab}, {config:?}: {compared} compared");
            }
        }
    }
}

#[test]
#[cfg_attr(miri, ignore = "too slow in Miri")]
fn nothing_is_drawn_without_probabilities() {
    let (inf, nan, max) = (f32::INFINITY, f32::NAN, f32::MAX);
    let uniforms = [0.0, 0.5, 16_777_215.0 / 16_777_216.0];
    for vocab in [2u32, 16, 27, 37] {
        let s = shape(vocab);
        // The value of all logits, that of one logit, and whether a token can be drawn.
        for (all, one, drawn) in [
            (nan, nan, false),
            (1.0, nan, false),
            (-inf, nan, false),
            (inf, inf, false),
            (1.0, inf, false),
            (-max, inf, false),
            (-inf, -inf, false),
            (-inf, 1.0, true),
            (1.0, -inf, true),
            (-max, max, true),
            (max, -max, true),
            (max, max, true),
            (-max, -max, true),
        ] {
            for at in [0, s.vocab() - 1] {
                let mut logits = vec![all; s.vocab()];
                logits[at] = one;
                for (top_k, temperature) in [(1, 1.0), (2, 0.6), (2, 1e-30), (s.vocab(), 1e30), (s.vocab(), 0.0)] {
                    let config =
                        SamplingParams { top_k, temperature, min_p: 0.0, top_p: if top_k == 2 { 0.5 } else { 1.0 } };
                    for token in draws(s, &logits, config, &uniforms) {
                        let what = format!("vocabulary {vocab}, {config:?}, logits of {all} and {one}: token {token}");
                        assert!(if drawn { token < vocab } else { token == NO_TOKEN }, "{what}");
                    }
                }
            }
        }
    }
}

#[test]
#[cfg_attr(miri, ignore = "too slow in Miri")]
fn log_probabilities_agree_with_the_reference() {
    for vocab in [2u32, 16, 27, 37, 261] {
        let s = shape(vocab);
        let logits: Vec<f32> = values(2, s.vocab()).iter().map(|x| 5.0 * x + 100.0).collect();
        let (mut padded, mut got) = (padded(s, &logits), vec![f32::NAN; s.vocab()]);
        let (logits_view, out) = (padded.view(), view(&mut got));
        launch(|warp| {
            for token in warp.block_stride(s.vocab()) {
                out.store_scalar(token, log_probability(s, logits_view, token));
            }
        });
        let tape = Tape::default();
        let row = leaves(&tape, &to_f64(&logits));
        for (token, &got) in got.iter().enumerate() {
            let expected = -cross_entropy(&row, token as u32).data();
            // The bound counts the difference, `exp`, V / 16 sums in order, four in the butterfly, and the logarithm.
            let bound = (f64::from(vocab) / 16.0 + 9.0) * ROUNDING * (1.0 - expected);
            assert_close(format!("vocabulary {vocab}, token {token}"), 1, &[got], &[expected], bound);
        }
    }
}
