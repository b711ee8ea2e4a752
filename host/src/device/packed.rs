//! What the host hands to the kernels on any machine, and what it makes of their results.

use std::ops::Range;

use gpu_kernels::generate::BOS;
use gpu_kernels::layout::{Kind, Layout, Place};
use gpu_kernels::ops::adamw::{AdamWParams, StepCoefficients};
use gpu_kernels::shape::{RuntimeShape, Shape};

use super::{Evaluation, Sample, StepLog};
use crate::config::{OptimizerConfig, TrainConfig};
use crate::corpus::Documents;
use crate::error::{Error, Result};
use crate::weights::Weights;

/// The optimiser's constants, rounded.
pub(super) fn optimizer(o: &OptimizerConfig) -> AdamWParams {
    AdamWParams {
        beta1: o.beta1 as f32,
        // Of the rounded beta, so that the weights of old and new sum to exactly one.
        one_minus_beta1: 1.0 - o.beta1 as f32,
        beta2: o.beta2 as f32,
        one_minus_beta2: 1.0 - o.beta2 as f32,
        max_grad_norm: o.max_grad_norm as f32,
    }
}

/// Returns the [`StepCoefficients`] of `steps` steps from `step` on, value by value.
pub(super) fn step_coefficients(config: &TrainConfig, step: u64, steps: usize) -> Vec<f32> {
    let coefficients = (0..steps as u64).map(|i| coefficients(config, step + i));
    coefficients.flat_map(|StepCoefficients { sqrt_scale, eps, decay }| [sqrt_scale, eps, decay]).collect()
}

/// Returns the optimiser's coefficients of step `step`, counted from 0.
fn coefficients(config: &TrainConfig, step: u64) -> StepCoefficients {
    let o = config.optimizer;
    let learning_rate = o.learning_rate_at(step, config.steps);
    let (correct1, correct2) = o.bias_corrections(step + 1);
    StepCoefficients {
        sqrt_scale: (correct1 / (learning_rate * correct2.sqrt())) as f32,
        // Without an eps there is none, also at a learning rate of zero.
        eps: if o.eps == 0.0 { 0.0 } else { (o.eps * correct1 / learning_rate) as f32 },
        decay: (learning_rate * o.weight_decay) as f32,
    }
}

/// The first document of the step with this number, from 0.
pub(super) fn first_document(config: &TrainConfig, step: u64, documents: &Documents) -> u32 {
    (u128::from(step) * config.batch as u128 % documents.len() as u128) as u32
}

/// Numbers of a step in a log.
pub(super) const LOG: usize = size_of::<gpu_kernels::train::StepLog>() / size_of::<f32>();

/// What the steps of a launch have reported, [`LOG`] numbers each.
pub(super) fn step_logs(log: &[f32]) -> Vec<StepLog> {
    log.chunks(LOG).map(|log| StepLog { loss: log[0].into(), grad_norm: log[1].into() }).collect()
}

/// What `evaluate` has found for the first documents.
pub(super) fn evaluation(nll: &[f32], documents: &Documents, shape: RuntimeShape) -> Evaluation {
    let tokens = (0..nll.len()).map(|i| documents.positions(i, shape.block_size()) as u64).sum();
    Evaluation { nll: nll.iter().copied().map(f64::from).sum(), tokens }
}

/// How many samples of a launch, and how many tokens they take.
///
/// # Errors
/// More than 32 bits or the memory's addresses can count.
pub(super) fn sample_count(samples: &Range<u64>, shape: RuntimeShape) -> Result<(u32, usize)> {
    let count = u32::try_from(samples.end.saturating_sub(samples.start)).ok();
    let tokens = |count: u32| (count as usize).checked_mul(shape.block_size());
    count
        .and_then(|count| Some((count, tokens(count)?)))
        .ok_or_else(|| Error::new("too many samples for one launch").hint("ask for fewer at a time"))
}

/// What logits are multiplied by: no more than a number, lest the largest, which is 0 then, becomes none.
pub(super) fn inverse_temperature(temperature: f64) -> f32 {
    if temperature == 0.0 { 0.0 } else { (1.0 / temperature).min(f32::MAX.into()) as f32 }
}

/// Spreads `weights` out to the kernels' padded layout, [`Layout::len`] elements.
pub(super) fn pack(weights: &Weights, padded: &mut [f32]) {
    for (tensor, values) in weights.tensors() {
        for (i, &value) in values.iter().enumerate() {
            padded[tensor.index(i)] = value;
        }
    }
}

/// The weights from the kernels' padded layout.
pub(super) fn unpack(shape: RuntimeShape, padded: &[f32]) -> Weights {
    let mut weights = Weights::zeros(shape);
    for (tensor, values) in weights.tensors_mut() {
        for (i, value) in values.iter_mut().enumerate() {
            *value = padded[tensor.index(i)];
        }
    }
    weights
}

/// Writes the transposed copies of the matrices in `params`, both padded.
pub(super) fn transpose(shape: RuntimeShape, params: &[f32], transposed: &mut [f32]) {
    for tensor in Layout(shape).tensors().filter(|tensor| tensor.spec.kind == Kind::Matrix) {
        let Place { rows, cols, offset: at, .. } = tensor.place;
        for i in 0..rows * cols {
            transposed[at + i % cols * rows + i / cols] = params[at + i];
        }
    }
}

/// The samples that `generate` has written, `block_size` tokens each, with their log-probabilities if there are any.
pub(super) fn samples_of(out: &[u32], logprobs: &[f32], block_size: usize) -> Vec<Sample> {
    let sample = |(i, tokens): (usize, &[u32])| {
        let len = tokens.iter().position(|&token| token == BOS as u32).unwrap_or(block_size);
        let first = i * block_size;
        let logprobs = logprobs.get(first..first + block_size.min(len + 1)).unwrap_or_default();
        Sample { tokens: tokens[..len].to_vec(), logprobs: logprobs.iter().copied().map(f64::from).collect() }
    };
    out.chunks(block_size).enumerate().map(sample).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ModelConfig;

    #[test]
    fn a_launch_has_as_many_samples_as_32_bits_count() {
        let shape = ModelConfig::default().shape(27).unwrap();
        assert_eq!(sample_count(&(3..3), shape).unwrap(), (0, 0));
        assert_eq!(sample_count(&(1 << 40..(1 << 40) + 7), shape).unwrap(), (7, 56));
        assert!(sample_count(&(0..1 << 32), shape).unwrap_err().report().contains("too many samples"));
        assert!(sample_count(&(0..u64::MAX), shape).is_err());
    }

    #[test]
    fn the_inverse_of_a_temperature_is_a_number() {
        let bits = |temperature| inverse_temperature(temperature).to_bits();
        assert_eq!([0.0, 0.5, 1e-300].map(bits), [0.0, 2.0, f32::MAX].map(f32::to_bits));
        assert!(inverse_temperature(f32::MAX.into()) > 0.0);
    }
}
