//! Steps of the kernels against those of the reference.

// Tests of the ops compare tensors in the same way.
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

// What single precision may differ by: about twice what it does at most over the models, documents and batches of the tests that
// compare steps. The kernels have the same bits on every machine, so that this leaves room for a change of theirs alone.
/// Of the loss: 1.4e-7 of it.
const LOSS: f64 = 3e-7;
/// Of the gradient's norm: 2.5e-7 of it.
const GRAD_NORM: f64 = 5e-7;
/// Of a gradient, beside [`CANCELLATION`]: 6.0e-7 of its tensor's norm.
const GRADIENT: f64 = 1.2e-6;
/// Of the moments, beside [`CANCELLATION`]: 3.1e-7 of their tensor's norm.
const MOMENT: f64 = 6e-7;
/// Of the updated weights: 5.7e-8 of their tensor's norm.
const WEIGHT: f64 = 1.2e-7;

/// Where all keys of a document score alike, the gradients of queries and keys are what little is left of terms that
/// cancel: their rounding is on the scale of the whole gradient, not of these tensors.
const CANCELLATION: f64 = 5e-9;

fn to_f64(weights: &Weights) -> Vec<f64> {
    weights.values.iter().copied().map(f64::from).collect()
}

/// Fails where `got` is not within `bound` times the norm of its tensor, plus `slack` times that of all tensors.
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

/// Takes a step. Loss and gradient must be those of the reference in the same state, and moments and weights what the reference
/// makes of that gradient: where a gradient is next to nothing, an update magnifies its rounding.
#[track_caller]
pub fn assert_step_agrees(what: &str, cpu: &mut Cpu, config: TrainConfig, dataset: &Dataset) {
    let state = cpu.download().unwrap();
    let mut model = to_model(&state);
    let (log, expected) = (cpu.train(1).unwrap()[0], Reference::new(config, dataset, &state).train(1).unwrap()[0]);
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
