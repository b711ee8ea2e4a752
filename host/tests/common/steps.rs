//! Steps of the kernels against those of the reference.

// The tests of the ops share this comparison.
#[path = "../../../gpu-kernels/tests/ops/tensors.rs"]
mod tensors;

use microgpt::config::TrainConfig;
use microgpt::corpus::Dataset;
use microgpt::device::Device;
use microgpt::device::cpu::Cpu;
use microgpt::device::reference::{Reference, adamw_at, to_model};
use microgpt::weights::Weights;
use reference::{adamw, clip};

use tensors::{assert_close, norm};

// The bounds are about twice the largest errors over all models, documents and batches of these tests. The kernels have
// the same bits on every computer, so the slack is for changes of the kernels alone.
/// The relative bound of the loss. The largest error is 1.4e-7.
const LOSS: f64 = 3e-7;
/// The relative bound of the gradient's norm. The largest error is 2.5e-7.
const GRAD_NORM: f64 = 5e-7;
/// The bound of a gradient relative to its tensor's norm, in addition to [`CANCELLATION`]. The largest error is 6.0e-7.
const GRADIENT: f64 = 1.2e-6;
/// The bound of the moments relative to their tensor's norm, in addition to [`CANCELLATION`]. The largest error is
/// 3.1e-7.
const MOMENT: f64 = 6e-7;
/// The bound of the updated weights relative to their tensor's norm. The largest error is 5.7e-8.
const WEIGHT: f64 = 1.2e-7;

/// The slack for cancellation, relative to the norm of the whole gradient. If all keys of a document score alike, the
/// terms of the gradients of queries and keys cancel. The terms' rounding is on the scale of the whole gradient.
const CANCELLATION: f64 = 5e-9;

fn to_f64(weights: &Weights) -> Vec<f64> {
    weights.values.iter().copied().map(f64::from).collect()
}

/// Asserts that each tensor of `got` is within `bound` times its norm plus `slack` times the norm of all tensors.
#[track_caller]
fn assert_tensors_close(what: &str, got: &Weights, expected: &[f64], bound: f64, slack: f64) {
    let slack = slack * norm(expected);
    let mut first = 0;
    for (tensor, got) in got.tensors() {
        let expected = &expected[first..first + got.len()];
        first += got.len();
        assert_close(format!("{what}: {tensor}"), tensor.shape()[1], got, expected, bound * norm(expected) + slack);
    }
}

/// Takes a step, and asserts that loss and gradient agree with those of the reference in the same state. Moments and
/// weights must agree with those that the reference computes from the kernels' gradient. Otherwise the update would
/// magnify the rounding of tiny gradients.
#[track_caller]
pub fn assert_step_agrees(what: &str, cpu: &mut Cpu, config: TrainConfig, dataset: &Dataset) {
    let state = cpu.download().unwrap();
    let mut model = to_model(&state);
    let (log, expected) =
        (cpu.train(1).unwrap()[0], Reference::new(config, dataset, &state).unwrap().train(1).unwrap()[0]);
    for (name, got, expected, bound) in [
        ("loss", log.loss, expected.loss, LOSS),
        ("norm of the gradient", log.grad_norm, expected.grad_norm, GRAD_NORM),
    ] {
        assert!((got - expected).abs() <= bound * expected, "{what}: {name}: expected {expected}, got {got}");
    }

    let mut gradients = vec![0.0; model.weights.len()];
    for i in 0..config.batch {
        let document = (state.step as usize * config.batch + i) % dataset.train.len();
        let (_, of_document) = model.loss_and_gradients(dataset.train.get(document));
        gradients.iter_mut().zip(of_document).for_each(|(sum, g)| *sum += g / config.batch as f64);
    }
    let got = cpu.gradients();
    assert_tensors_close(&format!("{what}: gradient"), &got, &gradients, GRADIENT, CANCELLATION);

    let mut gradients = to_f64(&got);
    clip(&mut gradients, config.optimizer.max_grad_norm);
    model.step += 1;
    adamw(&mut model, &gradients, &adamw_at(&config, state.step));
    let got = cpu.download().unwrap();
    assert_eq!(got.step, model.step, "{what}");
    assert_tensors_close(&format!("{what}: m"), &got.m, &model.m, MOMENT, CANCELLATION);
    assert_tensors_close(&format!("{what}: v"), &got.v, &model.v, MOMENT, CANCELLATION);
    assert_tensors_close(&format!("{what}: weights"), &got.weights, &model.weights, WEIGHT, 0.0);
}
