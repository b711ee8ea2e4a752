//! Every op against values computed by hand.

use reference::model::{attention, cross_entropy, linear, mlp, rmsnorm, softmax};
use reference::value::Tape;
use reference::{AdamW, TrainState, adamw, clip};

use crate::{assert_all_close, assert_close, data, grads, leaves, shape};

#[test]
fn a_value_that_is_used_twice_collects_both_gradients() {
    let tape = Tape::default();
    let (a, b) = (tape.leaf(2.0), tape.leaf(3.0));
    let d = a * b + a;
    let loss = d * d - b;
    loss.backward();
    assert_eq!(loss.data(), 61.0);
    // dL/dd = 2 d = 16; dL/da = 16 (b + 1) = 64; dL/db = 16 a - 1 = 31.
    assert_eq!((d.grad(), a.grad(), b.grad()), (16.0, 64.0, 31.0));
    // A second loss on the same tape starts afresh, with dd/da = b + 1.
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
fn rmsnorm_divides_by_the_root_mean_square() {
    let tape = Tape::default();
    let x = leaves(&tape, &[3.0, 4.0]);
    let y = rmsnorm(&x);
    // The mean square is (9 + 16) / 2 = 12.5, and the root is r = sqrt(12.50001).
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
    // Around 0 the norm is a division by sqrt(0 + 1e-5).
    assert_all_close("d rmsnorm", &[1e-5f64.sqrt().recip(), 0.0, 0.0], &grads(&x));
}

#[test]
fn linear_multiplies_each_row_by_x() {
    let tape = Tape::default();
    let w = [leaves(&tape, &[1.0, 2.0]), leaves(&tape, &[3.0, 4.0]), leaves(&tape, &[5.0, 6.0])];
    let x = leaves(&tape, &[10.0, -1.0]);
    let y = linear(&w, &x);
    assert_eq!(data(&y), [8.0, 26.0, 44.0]);
    // The gradient of y1 is w1 with respect to x, and x with respect to w1.
    y[1].backward();
    assert_eq!(grads(&x), [3.0, 4.0]);
    assert_eq!(grads(&w[1]), [10.0, -1.0]);
    assert_eq!(grads(&w[0]), [0.0, 0.0]);
}

#[test]
fn softmax_of_large_scores_does_not_overflow() {
    let tape = Tape::default();
    // exp(1000) overflows, but only differences count. exp(0) = 1 and exp(-ln 3) = 1/3 give 3/4 and 1/4.
    let y = softmax(&leaves(&tape, &[1000.0, 1000.0 - 3f64.ln()]));
    assert_close("softmax", 0, 0.75, y[0].data(), 1e-13); // 1000 - ln 3 is rounded at 1e-13
    assert_close("softmax", 1, 0.25, y[1].data(), 1e-13);
}

#[test]
fn attention_weighs_values_by_how_well_keys_match() {
    let tape = Tape::default();
    // D = 4, so scores are divided by 2. The scores are 0 and 2 ln 3 / 2 = ln 3. The exps are 1 and 3, and the
    // probabilities 1/4 and 3/4.
    let q = leaves(&tape, &[2.0 * 3f64.ln(), 5.0, 0.0, 0.0]);
    let keys = [leaves(&tape, &[0.0, 0.0, 7.0, 0.0]), leaves(&tape, &[1.0, 0.0, 0.0, -7.0])];
    let values = [leaves(&tape, &[4.0, 0.0, 1.0, -4.0]), leaves(&tape, &[8.0, 1.0, 1.0, 0.0])];
    let out = attention(&q, &keys, &values, 1);
    assert_all_close("attention", &[7.0, 0.75, 1.0, -1.0], &data(&out));
    out[0].backward();
    // dout0/dvalues[t][0] = probs[t].
    assert_all_close("dv", &[0.25, 0.75], &[values[0][0].grad(), values[1][0].grad()]);
    // dout0/dscore[t] = probs[t] (values[t][0] - out0) = 1/4 (4 - 7), 3/4 (8 - 7) = -3/4, 3/4. The query's gradient
    // is the sum of dscore[t] keys[t] / 2, so 3/4 ((1, 0, 0, -7) - (0, 0, 7, 0)) / 2.
    assert_all_close("dq", &[0.375, 0.0, -2.625, -2.625], &grads(&q));
    // A key's gradient is dscore[t] q / 2.
    assert_all_close("dk", &[0.75 * 3f64.ln(), 1.875, 0.0, 0.0], &grads(&keys[1]));
}

#[test]
fn attention_keeps_heads_apart() {
    let tape = Tape::default();
    // D = 1. The first head has equal scores, and gives the mean of 2 and 6. The second has scores 0 and ln 3, and
    // gives (10 + 3 * 30) / 4.
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
fn cross_entropy_is_the_negative_log_probability_of_the_target() {
    let tape = Tape::default();
    let logits = leaves(&tape, &[3f64.ln(), 0.0]);
    // The probabilities are 3/4 and 1/4, so the second token costs ln 4. The gradient is p, minus 1 at the target.
    let nll = cross_entropy(&logits, 1);
    nll.backward();
    assert_close("nll", 0, 4f64.ln(), nll.data(), 1e-15);
    assert_all_close("dlogits", &[0.75, -0.75], &grads(&logits));
    // The probability e^-2000 underflows to 0, but its logarithm is finite.
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
    let config =
        AdamW { learning_rate: 0.25, beta1: 0.9, beta2: 0.95, eps: 0.5, weight_decay: 0.1, max_grad_norm: 1.0 };
    let shape = shape(2, 1, 1, 1, 1);
    let mut model = TrainState::new(shape, vec![1.0; shape.num_params()]);
    let mut gradients = vec![0.0; shape.num_params()];
    gradients[3] = -2.0;
    model.step = 1;
    adamw(&mut model, &gradients, &config);
    // m = 0.1 * -2 = -0.2, v = 0.05 * 4 = 0.2; mhat = -0.2 / (1 - 0.9) = -2, vhat = 0.2 / (1 - 0.95) = 4.
    // w = 1 - 0.25 (-2 / (2 + 0.5) + 0.1 * 1) = 1 + 0.2 - 0.025.
    assert_all_close("m, v, w", &[-0.2, 0.2, 1.175], &[model.m[3], model.v[3], model.weights[3]]);
    // Without a gradient there is only the decay, w = 1 - 0.25 * 0.1.
    assert_all_close("m, v, w", &[0.0, 0.0, 0.975], &[model.m[2], model.v[2], model.weights[2]]);
    gradients[3] = 1.0;
    model.step = 2;
    adamw(&mut model, &gradients, &config);
    // m = -0.18 + 0.1 = -0.08, v = 0.19 + 0.05 = 0.24; mhat = -0.08 / 0.19, vhat = 0.24 / 0.0975.
    let w = 1.175 - 0.25 * (-0.08 / 0.19 / ((0.24f64 / 0.0975).sqrt() + 0.5) + 0.1175);
    assert_all_close("m, v, w", &[-0.08, 0.24, w], &[model.m[3], model.v[3], model.weights[3]]);
}

#[test]
fn a_model_of_zeros_takes_all_tokens_for_equally_likely() {
    let shape = shape(11, 7, 6, 3, 2);
    let mut model = TrainState::new(shape, vec![0.0; shape.num_params()]);
    for tokens in [&[0, 3, 0][..], &[0, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0]] {
        let nll = model.document_nll(tokens);
        assert_all_close("nll", &vec![11f64.ln(); 7.min(tokens.len() - 1)], &nll);
        assert_close("loss", 0, 11f64.ln(), model.loss_and_gradients(tokens).0, 1e-14);
    }
}
