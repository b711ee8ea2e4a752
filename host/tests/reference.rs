//! The reference against what was computed by hand, against central differences, and against golden values.
#![expect(clippy::float_cmp, reason = "numbers that are exact by hand must come out exactly")]

#[path = "reference/by_hand.rs"]
mod by_hand;
#[path = "reference/differences.rs"]
mod differences;

use std::fmt::Display;

use gpu_kernels::shape::{RuntimeShape, Shape};
use microgpt::config::{ModelConfig, OptimizerConfig, SampleConfig, TrainConfig, num_params};
use microgpt::corpus::Dataset;
use microgpt::device::{Device, State};
use microgpt::reference::model::{Vector, sample};
use microgpt::reference::value::{Tape, Value};
use microgpt::reference::{Model, Reference};
use microgpt::weights::Weights;
use rand_xoshiro::Xoshiro128PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

#[track_caller]
fn assert_close(what: impl Display, index: usize, expected: f64, got: f64, bound: f64) {
    let error = (got - expected).abs();
    assert!(error <= bound, "{what}[{index}]: expected {expected:e}, got {got:e}, off by {error:e}, bound {bound:e}");
}

#[track_caller]
fn assert_all_close(what: &str, expected: &[f64], got: &[f64]) {
    assert_eq!(expected.len(), got.len(), "{what}: length");
    for (i, (&expected, &got)) in expected.iter().zip(got).enumerate() {
        assert_close(what, i, expected, got, 1e-14 * (1.0 + expected.abs()));
    }
}

fn leaves<'t>(tape: &'t Tape, numbers: &[f64]) -> Vector<'t> {
    numbers.iter().map(|&x| tape.leaf(x)).collect()
}

fn data(values: &[Value]) -> Vec<f64> {
    values.iter().map(|value| value.data()).collect()
}

fn grads(values: &[Value]) -> Vec<f64> {
    values.iter().map(|value| value.grad()).collect()
}

fn shape(vocab: usize, block_size: usize, n_embd: usize, n_head: usize, n_layer: usize) -> RuntimeShape {
    ModelConfig { n_embd, n_head, n_layer, block_size }.shape(vocab).unwrap()
}

/// Multiples of 1/256 up to 1/2 in size, as `golden/microgpt.py` has them. No tensor is zero.
fn weights(shape: RuntimeShape) -> Vec<f64> {
    let number = |i: i64| ((7 * i * i + 37 * i + 11) % 257 - 128) as f64 / 256.0;
    (0..num_params(shape) as i64).map(number).collect()
}

// Sampling.

fn sampling(top_k: usize, temperature: f64) -> SampleConfig<'static> {
    SampleConfig { top_k, temperature, seed: 42, prompt: &[], logprobs: false }
}

#[test]
fn sample_draws_from_the_top_k_in_the_order_of_tokens() {
    // At temperature 1 shares of 3, 1, 2, 4, 0.5.
    let logits = [3f64.ln(), 0.0, 2f64.ln(), 4f64.ln(), 0.5f64.ln()];
    let draws = |config: SampleConfig, us: &[f64]| us.iter().map(|&u| sample(&logits, &config, u)).collect::<Vec<_>>();
    // All five: 0..3, 3..4, 4..6, 6..10, 10..10.5.
    let u = |x: f64| x / 10.5;
    assert_eq!(
        draws(sampling(5, 1.0), &[0.0, u(2.9), u(3.1), u(3.9), u(4.1), u(5.9), u(6.1), u(9.9), u(10.1), 0.999_999]),
        [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    );
    // More than there are: the same.
    assert_eq!(draws(sampling(9, 1.0), &[u(2.9), u(3.1), u(10.1)]), [0, 1, 4]);
    // Three: tokens 0, 2, 3 with 3, 2, 4 of 9.
    assert_eq!(draws(sampling(3, 1.0), &[0.0, 2.9 / 9.0, 3.1 / 9.0, 4.9 / 9.0, 5.1 / 9.0]), [0, 0, 2, 2, 3]);
    // At temperature 1/2 the shares are squared: 9, 4, 16 of 29.
    assert_eq!(draws(sampling(3, 0.5), &[8.9 / 29.0, 9.1 / 29.0, 12.9 / 29.0, 13.1 / 29.0]), [0, 2, 2, 3]);
    // Greedy.
    assert_eq!(draws(sampling(1, 1.0), &[0.0, 0.5, 0.999]), [3, 3, 3]);
    assert_eq!(draws(sampling(5, 0.0), &[0.0, 0.5, 0.999]), [3, 3, 3]);
}

#[test]
fn of_equal_logits_the_lower_token_is_kept() {
    let logits = [1.0, 2.0, 1.0, 2.0, 1.0];
    assert_eq!(sample(&logits, &sampling(1, 1.0), 0.9), 1);
    assert_eq!(sample(&logits, &sampling(5, 0.0), 0.9), 1);
    // Three: 1 and 3, and of the ones token 0, so that it comes first.
    assert_eq!(sample(&logits, &sampling(3, 1.0), 0.0), 0);
    assert_eq!(sample(&logits, &sampling(3, 1.0), 0.999), 3);
}

#[test]
fn a_draw_at_a_boundary_goes_to_the_next_token() {
    // 0..1, 1..2, 2..3, 3..4: u * 4 = 1 lies in the second.
    assert_eq!(sample(&[0.0; 4], &sampling(4, 1.0), 0.25), 1);
    // A token that is not kept covers nothing, so that 0 belongs to the one after it.
    assert_eq!(sample(&[0.0, 5.0, 5.0], &sampling(2, 1.0), 0.0), 1);
}

#[test]
fn a_model_of_zeros_draws_tokens_as_the_random_stream_says() {
    let shape = shape(27, 8, 16, 4, 1);
    let mut model = Model::new(shape, vec![0.0; num_params(shape)]);
    let mut lengths = [0; 9];
    for sample_index in 0..40u64 {
        let seed = 42u64.wrapping_add(sample_index.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let mut rng = Xoshiro128PlusPlus::seed_from_u64(seed);
        // All tokens are equally likely, so the draw is floor(27 u).
        let stream = std::iter::repeat_with(|| ((u64::from(rng.next_u32() >> 8) * 27) >> 24) as u32);
        let expected: Vec<u32> = stream.take(8).take_while(|&token| token != 0).collect();
        assert_eq!(model.generate(&sampling(27, 0.6), sample_index).tokens, expected, "sample {sample_index}");
        lengths[expected.len()] += 1;
    }
    assert!(lengths[8] > 0 && lengths[8] < 40, "both ends of a sample are met: {lengths:?}");
    assert!(model.generate(&sampling(1, 0.6), 0).tokens.is_empty(), "greedy, all equal: `<BOS>`");
}

#[test]
fn greedy_samples_follow_the_likeliest_token() {
    let shape = shape(11, 7, 10, 5, 2);
    let mut model = Model::new(shape, weights(shape));
    let document = model.generate(&sampling(3, 0.0), 0).tokens;
    assert!(!document.is_empty());
    // What was drawn costs less than anything else would have at its place, given the same tokens before it.
    let mut tokens = [&[0], &document[..]].concat();
    for position in 0..document.len() {
        let drawn = model.document_nll(&tokens)[position];
        let right = tokens[position + 1];
        for other in (0..11).filter(|&other| other != right) {
            tokens[position + 1] = other;
            assert!(model.document_nll(&tokens)[position] > drawn, "position {position}: {other} beats {right}");
        }
        tokens[position + 1] = right;
    }
}

// Golden values.

/// The losses of `golden/microgpt.py`, which computes in `f64` too but sums in another order. Both round at 1e-16; the
/// losses are near 3 and the update divides by the root of the second moment, which magnifies the rounding of small
/// gradients. 1e-11 leaves room for that and for another `exp`, while any other step, eps or decay moves them by more.
#[test]
fn losses_of_an_independent_implementation() {
    let golden = include_str!("golden/losses.txt");
    let mut runs: Vec<(Model, TrainConfig)> = Vec::new();
    let mut checked = 0;
    for (i, line) in golden.lines().enumerate().filter(|(_, line)| !line.starts_with('#')) {
        let mut fields = line.split(' ');
        let kind = fields.next().unwrap();
        let numbers: Vec<f64> = fields.map(|field| field.parse().unwrap()).collect();
        if kind == "shape" {
            let [v, t, c, h, l] = std::array::from_fn(|i| numbers[i] as usize);
            let shape = shape(v, t, c, h, l);
            let optimizer = OptimizerConfig { max_grad_norm: numbers[5], ..OptimizerConfig::default() };
            runs.push((Model::new(shape, weights(shape)), TrainConfig { steps: 20, batch: 1, optimizer }));
            continue;
        }
        let (model, config) = runs.last_mut().unwrap();
        let tokens: Vec<u32> = numbers[2..].iter().map(|&token| token as u32).collect();
        let what = format!("losses.txt, line {}, {kind}", i + 1);
        if kind == "step" {
            let log = model.train_step(&[&tokens], config);
            assert_close(&what, 0, numbers[0], log.loss, 1e-11);
            assert_close(&what, 1, numbers[1], log.grad_norm, 1e-11);
        } else {
            assert_close(&what, 0, numbers[0], model.loss_and_gradients(&tokens).0, 1e-11);
        }
        checked += 1;
    }
    assert_eq!((runs.len(), checked), (2, 42));
}

// As a device.

#[test]
fn the_device_trains_evaluates_and_samples() {
    let documents = ["ab", "b", "cab", "abcabcabcabc", "bca", "cc", "a", "bb", "abc", "cb", "ca", "acb"];
    let dataset = Dataset::new(&documents, None, None).unwrap();
    let shape = shape(dataset.tokenizer.vocab_size(), 5, 6, 3, 1);
    let train_config = TrainConfig { steps: 30, batch: 1, optimizer: OptimizerConfig::default() };
    let start = State::new(Weights::init(shape, 7));
    let mut device = Reference::new(train_config, &dataset, &start);
    assert_eq!(device.description(), "reference (scalar autograd, f64)");
    assert_eq!(device.download().unwrap(), start);

    // Two validation documents, "ca" and "acb", of 3 and 4 positions. Without `attn_wo` and `mlp_fc2` and at weights
    // of 0.02 it knows little.
    let before = device.evaluate(20).unwrap();
    assert_eq!(before.tokens, 7);
    assert_close("val loss", 0, 4f64.ln(), before.loss(), 0.1);
    assert_eq!(device.evaluate(1).unwrap().tokens, 3);

    // Twelve steps, in parts or at once, wrap around the ten training documents.
    let mut log = device.train(7).unwrap();
    log.extend(device.train(5).unwrap());
    let mut model = Model::from_state(&start);
    for (step, log) in log.iter().enumerate() {
        assert_eq!(model.train_step(&[dataset.train.get(step % 10)], &train_config), *log, "step {step}");
    }
    let state = device.download().unwrap();
    assert_eq!((state.step, &state), (12, &model.to_state()));

    // It has learned, and its samples do not depend on which are drawn together.
    device.train(18).unwrap();
    assert!(device.evaluate(20).unwrap().loss() < before.loss());
    let config = sampling(3, 0.8);
    let samples = device.generate(&config, 0..6).unwrap();
    assert_eq!(device.generate(&config, 4..6).unwrap(), samples[4..]);
    assert!(
        samples
            .iter()
            .map(|sample| &sample.tokens)
            .all(|sample| sample.len() <= shape.block_size() && !sample.contains(&0))
    );

    // A state that is uploaded goes on from its step.
    let mut resumed = Reference::new(train_config, &dataset, &start);
    resumed.upload(&state).unwrap();
    assert_eq!(resumed.download().unwrap(), state);
    assert_eq!(resumed.train(1).unwrap().len(), 1);
    assert_eq!(resumed.download().unwrap().step, 13);
}
