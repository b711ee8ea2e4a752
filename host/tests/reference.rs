//! The reference against what was computed by hand, against central differences, and against golden values.
#![expect(clippy::float_cmp, reason = "numbers that are exact by hand must come out exactly")]

use std::fmt::Display;

use gpu_kernels::layout::Layout;
use gpu_kernels::shape::{RuntimeShape, Shape};
use microgpt::config::{ModelConfig, OptimizerConfig, SampleConfig, TrainConfig, num_params};
use microgpt::corpus::Dataset;
use microgpt::device::{Device, State};
use microgpt::reference::model::{Vector, attention, cross_entropy, linear, mlp, rmsnorm, sample, softmax};
use microgpt::reference::value::{Tape, Value, dot};
use microgpt::reference::{Model, Reference, adamw, clip, loss_and_gradients};
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

// By hand.

#[test]
fn a_value_that_is_used_twice_collects_both_gradients() {
    let tape = Tape::default();
    let (a, b) = (tape.leaf(2.0), tape.leaf(3.0));
    let d = a * b + a; // 8
    let loss = d * d - b; // 61
    loss.backward();
    assert_eq!(loss.data(), 61.0);
    // dL/dd = 2 d = 16; dL/da = 16 (b + 1) = 64; dL/db = 16 a - 1 = 31.
    assert_eq!((d.grad(), a.grad(), b.grad()), (16.0, 64.0, 31.0));
    // A second loss on the same tape starts afresh: dd/da = b + 1.
    d.backward();
    assert_eq!((d.grad(), a.grad(), b.grad(), loss.grad()), (1.0, 4.0, 2.0, 0.0));
}

#[test]
fn a_cleared_tape_starts_anew() {
    let mut tape = Tape::default();
    let x = tape.leaf(3.0);
    (x * x).backward();
    tape.clear();
    let (x, y) = (tape.leaf(5.0), tape.leaf(7.0));
    (x * y).backward();
    assert_eq!((x.grad(), y.grad()), (7.0, 5.0));
}

#[test]
fn rmsnorm_of_3_4() {
    let tape = Tape::default();
    let x = leaves(&tape, &[3.0, 4.0]);
    let y = rmsnorm(&x);
    // mean square = (9 + 16) / 2 = 12.5; root = sqrt(12.50001) = r.
    let r = 12.50001f64.sqrt();
    assert_all_close("rmsnorm", &[3.0 / r, 4.0 / r], &data(&y));
    // dy0/dx0 = 1/r - x0 * (x0 / 2) * 2 / 2 / r^3 = 1/r - 9 / (2 r^3);  dy0/dx1 = -x0 x1 / (2 r^3) = -6 / r^3.
    y[0].backward();
    assert_all_close("d rmsnorm", &[1.0 / r - 4.5 / r.powi(3), -6.0 / r.powi(3)], &grads(&x));
}

#[test]
fn rmsnorm_of_zeros_is_zeros() {
    let tape = Tape::default();
    let x = leaves(&tape, &[0.0; 3]);
    let y = rmsnorm(&x);
    y[0].backward();
    assert_eq!(data(&y), [0.0; 3]);
    // Around 0 it is the division by sqrt(0 + 1e-5).
    assert_all_close("d rmsnorm", &[1e-5f64.sqrt().recip(), 0.0, 0.0], &grads(&x));
}

#[test]
fn linear_takes_rows_with_x() {
    let tape = Tape::default();
    let w = [leaves(&tape, &[1.0, 2.0]), leaves(&tape, &[3.0, 4.0]), leaves(&tape, &[5.0, 6.0])];
    let x = leaves(&tape, &[10.0, -1.0]);
    let y = linear(&w, &x);
    assert_eq!(data(&y), [8.0, 26.0, 44.0]);
    y[1].backward();
    assert_eq!(grads(&x), [3.0, 4.0]); // the row
    assert_eq!(grads(&w[1]), [10.0, -1.0]); // x
    assert_eq!(grads(&w[0]), [0.0, 0.0]);
}

#[test]
fn softmax_of_large_scores() {
    let tape = Tape::default();
    // exp(1000) overflows, but only differences count: exp(0), exp(-ln 3) = 1 and 1/3, so shares of 3/4 and 1/4.
    let y = softmax(&leaves(&tape, &[1000.0, 1000.0 - 3f64.ln()]));
    assert_close("softmax", 0, 0.75, y[0].data(), 1e-13); // 1000 - ln 3 is rounded at 1e-13
    assert_close("softmax", 1, 0.25, y[1].data(), 1e-13);
}

#[test]
fn attention_over_two_keys() {
    let tape = Tape::default();
    // D = 4, so scores are over 2. The query finds the first key with 0 and the second with 2 ln 3 / 2 = ln 3: the
    // exps are 1 and 3, the shares 1/4 and 3/4.
    let q = leaves(&tape, &[2.0 * 3f64.ln(), 5.0, 0.0, 0.0]);
    let keys = [leaves(&tape, &[0.0, 0.0, 7.0, 0.0]), leaves(&tape, &[1.0, 0.0, 0.0, -7.0])];
    let values = [leaves(&tape, &[4.0, 0.0, 1.0, -4.0]), leaves(&tape, &[8.0, 1.0, 1.0, 0.0])];
    let out = attention(&q, &keys, &values, 1);
    assert_all_close("attention", &[7.0, 0.75, 1.0, -1.0], &data(&out));
    out[0].backward();
    // dout0/dvalues[t][0] = share[t].
    assert_all_close("dv", &[0.25, 0.75], &[values[0][0].grad(), values[1][0].grad()]);
    // dout0/dscore[t] = share[t] (values[t][0] - out0) = 1/4 (4 - 7), 3/4 (8 - 7) = -3/4, 3/4. The query has each of
    // them times the key over 2: 3/4 ((1, 0, 0, -7) - (0, 0, 7, 0)) / 2.
    assert_all_close("dq", &[0.375, 0.0, -2.625, -2.625], &grads(&q));
    // And a key has them times the query over 2.
    assert_all_close("dk", &[0.75 * 3f64.ln(), 1.875, 0.0, 0.0], &grads(&keys[1]));
}

#[test]
fn attention_keeps_heads_apart() {
    let tape = Tape::default();
    // D = 1. The first head has equal scores, so the mean of 2 and 6; the second scores 0 and ln 3: (10 + 3 * 30) / 4.
    let q = leaves(&tape, &[9.0, 3f64.ln()]);
    let keys = [leaves(&tape, &[1.0, 0.0]), leaves(&tape, &[1.0, 1.0])];
    let values = [leaves(&tape, &[2.0, 10.0]), leaves(&tape, &[6.0, 30.0])];
    assert_all_close("attention", &[4.0, 25.0], &data(&attention(&q, &keys, &values, 2)));
}

#[test]
fn mlp_squares_what_is_positive() {
    let tape = Tape::default();
    let fc1 = [leaves(&tape, &[2.0]), leaves(&tape, &[-1.0]), leaves(&tape, &[1.0]), leaves(&tape, &[0.0])];
    let fc2 = [leaves(&tape, &[1.0, 100.0, 10.0, 100.0])];
    let x = leaves(&tape, &[3.0]);
    // h = (6, -3, 3, 0); relu(h)^2 = (36, 0, 9, 0); out = 36 + 90; dout/dx = 2 * 6 * 2 + 10 * 2 * 3.
    let out = mlp(&fc1, &fc2, &x);
    out[0].backward();
    assert_eq!((out[0].data(), x[0].grad()), (126.0, 84.0));
}

#[test]
fn cross_entropy_of_two_logits() {
    let tape = Tape::default();
    let logits = leaves(&tape, &[3f64.ln(), 0.0]);
    // Probabilities 3/4 and 1/4: the second costs ln 4. Its gradient is p - (1 at the target).
    let nll = cross_entropy(&logits, 1);
    nll.backward();
    assert_close("nll", 0, 4f64.ln(), nll.data(), 1e-15);
    assert_all_close("dlogits", &[0.75, -0.75], &grads(&logits));
    // A probability of e^-2000 is 0 in f64, its logarithm is not.
    assert_eq!(cross_entropy(&leaves(&tape, &[2000.0, 0.0]), 1).data(), 2000.0);
}

#[test]
fn clip_keeps_the_direction() {
    let mut gradients = [3.0, -4.0];
    assert_eq!(clip(&mut gradients, 5.0), 5.0);
    assert_eq!(gradients, [3.0, -4.0], "a norm of just the maximum is left alone");
    assert_eq!(clip(&mut gradients, 1.0), 5.0);
    assert_all_close("clip", &[0.6, -0.8], &gradients);
}

#[test]
fn adamw_takes_two_steps() {
    let config = OptimizerConfig { eps: 0.5, weight_decay: 0.1, ..OptimizerConfig::default() };
    let mut model = Model::new(shape(2, 1, 1, 1, 1), vec![1.0; 15]);
    let mut gradients = vec![0.0; 15];
    gradients[3] = -2.0;
    model.step = 1;
    adamw(&mut model, &gradients, 0.25, &config);
    // m = 0.1 * -2 = -0.2, v = 0.05 * 4 = 0.2; mhat = -0.2 / (1 - 0.9) = -2, vhat = 0.2 / (1 - 0.95) = 4.
    // w = 1 - 0.25 (-2 / (2 + 0.5) + 0.1 * 1) = 1 + 0.2 - 0.025.
    assert_all_close("m, v, w", &[-0.2, 0.2, 1.175], &[model.m[3], model.v[3], model.weights[3]]);
    // No gradient: only the decay, w = 1 - 0.25 * 0.1.
    assert_all_close("m, v, w", &[0.0, 0.0, 0.975], &[model.m[2], model.v[2], model.weights[2]]);
    gradients[3] = 1.0;
    model.step = 2;
    adamw(&mut model, &gradients, 0.25, &config);
    // m = -0.18 + 0.1 = -0.08, v = 0.19 + 0.05 = 0.24; mhat = -0.08 / 0.19, vhat = 0.24 / 0.0975.
    let w = 1.175 - 0.25 * (-0.08 / 0.19 / ((0.24f64 / 0.0975).sqrt() + 0.5) + 0.1175);
    assert_all_close("m, v, w", &[-0.08, 0.24, w], &[model.m[3], model.v[3], model.weights[3]]);
}

#[test]
fn a_model_of_zeros_knows_nothing() {
    let shape = shape(11, 7, 6, 3, 2);
    let mut model = Model::new(shape, vec![0.0; num_params(shape)]);
    for tokens in [&[0, 3, 0][..], &[0, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0]] {
        let nll = model.document_nll(tokens);
        assert_all_close("nll", &vec![11f64.ln(); 7.min(tokens.len() - 1)], &nll);
        assert_close("loss", 0, 11f64.ln(), model.loss_and_gradients(tokens).0, 1e-14);
    }
}

// Sampling.

fn sampling(top_k: usize, temperature: f64) -> SampleConfig {
    SampleConfig { top_k, temperature, seed: 42 }
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
        assert_eq!(model.generate(&sampling(27, 0.6), sample_index), expected, "sample {sample_index}");
        lengths[expected.len()] += 1;
    }
    assert!(lengths[8] > 0 && lengths[8] < 40, "both ends of a sample are met: {lengths:?}");
    assert!(model.generate(&sampling(1, 0.6), 0).is_empty(), "greedy, all equal: `<BOS>`");
}

#[test]
fn greedy_samples_follow_the_likeliest_token() {
    let shape = shape(11, 7, 10, 5, 2);
    let mut model = Model::new(shape, weights(shape));
    let document = model.generate(&sampling(3, 0.0), 0);
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

// By central differences: a derivative is (f(x + h) - f(x - h)) / 2h, with an error of h^2 from the curve and of
// 1e-16 / h from rounding. With h = 1e-5 both are near 1e-10 and below for functions of size 1.

const H: f64 = 1e-5;

#[test]
fn every_operation_of_the_engine() {
    type Operation = for<'t> fn(Value<'t>, Value<'t>) -> Value<'t>;
    let operations: [(&str, Operation); 16] = [
        ("a + b", |a, b| a + b),
        ("a - b", |a, b| a - b),
        ("a * b", |a, b| a * b),
        ("a / b", |a, b| a / b),
        ("-a", |a, _| -a),
        ("a + 3", |a, _| a + 3.0),
        ("a - 3", |a, _| a - 3.0),
        ("a / 3", |a, _| a / 3.0),
        ("exp(a)", |a, _| a.exp()),
        ("ln(b)", |_, b| b.ln()),
        ("sqrt(b)", |_, b| b.sqrt()),
        ("relu(a)", |a, _| a.relu()),
        ("a + b + a", |a, b| [a, b, a].into_iter().sum()),
        ("a * a", |a, _| a * a),
        ("dot((a, b, a), (b, b, a))", |a, b| dot(&[a, b, a], &[b, b, a])),
        ("ln(exp(a) / b + a * a) * b", |a, b| (a.exp() / b + a * a).ln() * b),
    ];
    for (name, operation) in operations {
        for (a, b) in [(1.3, 0.7), (-1.7, 2.9), (0.4, 1.1), (-0.2, 0.3)] {
            let f = |a: f64, b: f64| {
                let tape = Tape::default();
                operation(tape.leaf(a), tape.leaf(b)).data()
            };
            let tape = Tape::default();
            let (x, y) = (tape.leaf(a), tape.leaf(b));
            operation(x, y).backward();
            let numeric = [(f(a + H, b) - f(a - H, b)) / (2.0 * H), (f(a, b + H) - f(a, b - H)) / (2.0 * H)];
            for (i, got) in [x.grad(), y.grad()].into_iter().enumerate() {
                assert_close(format!("{name} at ({a}, {b})"), i, numeric[i], got, 1e-9 * (1.0 + numeric[i].abs()));
            }
        }
    }
}

#[test]
fn the_corner_of_relu_has_slope_0() {
    let tape = Tape::default();
    let x = tape.leaf(0.0);
    x.relu().backward();
    assert_eq!(x.grad(), 0.0);
}

/// Every gradient of the model, for a document.
fn check_model_gradients(shape: RuntimeShape, tokens: &[u32]) {
    let weights = weights(shape);
    let (loss, gradients) = loss_and_gradients(&weights, shape, tokens);
    let mut model = Model::new(shape, weights);
    let mut mean_nll = |i: usize, change: f64| {
        let weight = model.weights[i];
        model.weights[i] += change;
        let nll = model.document_nll(tokens);
        model.weights[i] = weight;
        nll.iter().sum::<f64>() / nll.len() as f64
    };
    assert_eq!(loss, mean_nll(0, 0.0), "the loss is the mean over positions");
    let mut i = 0;
    for tensor in Layout(shape).tensors() {
        let mut largest = 0f64;
        for index in 0..tensor.numel() {
            let numeric = (mean_nll(i, H) - mean_nll(i, -H)) / (2.0 * H);
            assert_close(tensor, index, numeric, gradients[i], 1e-9 + 1e-7 * numeric.abs());
            largest = largest.max(numeric.abs());
            i += 1;
        }
        assert!(largest > 1e-3, "{tensor}: gradients of at most {largest:e} test nothing");
    }
    assert_eq!(i, gradients.len());
}

#[test]
fn model_gradients_of_a_short_document() {
    check_model_gradients(shape(11, 7, 10, 5, 1), &[0, 4, 10, 4, 0]);
}

#[test]
fn model_gradients_of_a_document_longer_than_the_block() {
    check_model_gradients(shape(11, 7, 6, 3, 2), &[0, 3, 1, 9, 3, 3, 7, 5, 2, 0]);
}

#[test]
fn model_gradients_of_the_shortest_document() {
    // A softmax over one key is always 1: queries and keys cannot have a gradient.
    let shape = shape(5, 3, 6, 2, 1);
    let weights = weights(shape);
    let (_, gradients) = loss_and_gradients(&weights, shape, &[0, 0]);
    let queries_and_keys = (5 + 3) * 6..(5 + 3 + 2 * 6) * 6;
    assert!(gradients[queries_and_keys].iter().all(|g| g.abs() < 1e-16));
    // And positions 1 and 2 do not occur.
    assert!(gradients[(5 + 1) * 6..(5 + 3) * 6].iter().all(|&g| g == 0.0));
    assert!(gradients[5 * 6..(5 + 1) * 6].iter().all(|&g| g != 0.0));
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
            runs.push((Model::new(shape, weights(shape)), TrainConfig { steps: 20, optimizer }));
            continue;
        }
        let (model, config) = runs.last_mut().unwrap();
        let tokens: Vec<u32> = numbers[2..].iter().map(|&token| token as u32).collect();
        let what = format!("losses.txt, line {}, {kind}", i + 1);
        if kind == "step" {
            let log = model.train_step(&tokens, config);
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
    let train_config = TrainConfig { steps: 30, optimizer: OptimizerConfig::default() };
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
        assert_eq!(model.train_step(dataset.train.get(step % 10), &train_config), *log, "step {step}");
    }
    let state = device.download().unwrap();
    assert_eq!((state.step, &state), (12, &model.to_state()));

    // It has learned, and its samples do not depend on which are drawn together.
    device.train(18).unwrap();
    assert!(device.evaluate(20).unwrap().loss() < before.loss());
    let config = sampling(3, 0.8);
    let samples = device.generate(&config, 0..6).unwrap();
    assert_eq!(device.generate(&config, 4..6).unwrap(), samples[4..]);
    assert!(samples.iter().all(|sample| sample.len() <= shape.block_size() && !sample.contains(&0)));

    // A state that is uploaded goes on from its step.
    let mut resumed = Reference::new(train_config, &dataset, &start);
    resumed.upload(&state).unwrap();
    assert_eq!(resumed.download().unwrap(), state);
    assert_eq!(resumed.train(1).unwrap().len(), 1);
    assert_eq!(resumed.download().unwrap().step, 13);
}
