//! The conversion of the host's types to the kernels' arguments, and of the kernels' results to the host's types.

use gpu_kernels::generate::{BOS, NO_TOKEN};
use gpu_kernels::layout::{Layout, Place};
use gpu_kernels::ops::adamw::{AdamWParams, StepCoefficients};
use gpu_kernels::ops::sample::SamplingParams;
use gpu_kernels::shape::{RuntimeShape, Shape};

use super::types::{Evaluation, Sample, StepLog};
use crate::config::{OptimizerConfig, SampleConfig, TrainConfig};
use crate::corpus::Documents;
use crate::weights::Weights;

/// Returns the optimiser's constants, rounded to single precision.
pub(super) fn optimizer(o: &OptimizerConfig) -> AdamWParams {
    AdamWParams { beta1: o.beta1 as f32, beta2: o.beta2 as f32, max_grad_norm: o.max_grad_norm as f32 }
}

/// The largest factor of a root, 2^60. A learning rate that leads to a larger one, below 10^-18, counts as zero, and moments no
/// longer change the weights.
const MAX_SQRT_SCALE: f32 = 1_152_921_504_606_846_976.0;

/// Returns the [`StepCoefficients`] of `steps` steps from `step` (from 0), flattened to their values.
pub(super) fn step_coefficients(config: &TrainConfig, step: u64, steps: usize) -> Vec<f32> {
    let o = config.optimizer;
    let coefficients = (step..step + steps as u64).map(|step| {
        let learning_rate = o.learning_rate_at(step, config.steps);
        let (correct1, correct2) = o.bias_corrections(step + 1);
        let decay = (learning_rate * o.weight_decay) as f32;
        let sqrt_scale = (correct1 / (learning_rate * correct2.sqrt())) as f32;
        if sqrt_scale > MAX_SQRT_SCALE {
            return StepCoefficients { sqrt_scale: 0.0, eps: f32::INFINITY, decay };
        }
        StepCoefficients { sqrt_scale, eps: (o.eps * correct1 / learning_rate) as f32, decay }
    });
    coefficients.flat_map(|StepCoefficients { sqrt_scale, eps, decay }| [sqrt_scale, eps, decay]).collect()
}

/// The number of values that a kernel logs for each step.
pub(super) const LOG_LEN: usize = size_of::<gpu_kernels::train::StepLog>() / size_of::<f32>();

/// The value of a log before its step is completed. No norm is negative.
pub(super) const UNWRITTEN: f32 = -1.0;

/// Returns the logs of the completed steps of a launch, from [`LOG_LEN`] values each.
pub(super) fn completed_logs(log: &[f32]) -> Vec<StepLog> {
    let completed = log.chunks(LOG_LEN).take_while(|log| log[1] != UNWRITTEN).count();
    step_logs(&log[..LOG_LEN * completed])
}

/// Returns the logs of the steps of a launch, from [`LOG_LEN`] values each.
pub(super) fn step_logs(log: &[f32]) -> Vec<StepLog> {
    log.chunks(LOG_LEN).map(|log| StepLog { loss: log[0].into(), grad_norm: log[1].into() }).collect()
}

/// Returns the evaluation of each of the first documents from its negative log-likelihood.
pub(super) fn evaluations(nll: &[f32], documents: &Documents, shape: RuntimeShape) -> Vec<Evaluation> {
    let tokens = |i| documents.positions(i, shape.block_size()) as u64;
    nll.iter().enumerate().map(|(i, &nll)| Evaluation { nll: nll.into(), tokens: tokens(i) }).collect()
}

/// Returns the parameters of the draws in single precision. A temperature of 0 is greedy decoding, like a top-k of 1.
///
/// The inverse temperature is finite, because the largest logit is shifted to 0, and 0 times infinity would be NaN.
pub(super) fn sampling_params(config: &SampleConfig) -> SamplingParams {
    let &SampleConfig { top_k, temperature, min_p, top_p, .. } = config;
    let (top_k, temperature) = if temperature == 0.0 { (1, 1.0) } else { (top_k as u32, temperature) };
    let inverse_temperature = (1.0 / temperature).min(f32::MAX.into()) as f32;
    SamplingParams { top_k, inverse_temperature, min_p: min_p as f32, top_p: top_p as f32 }
}

/// Copies `weights` to the kernels' padded layout of [`Layout::len`] elements.
pub(super) fn pack(weights: &Weights, padded: &mut [f32]) {
    for (tensor, values) in weights.tensors() {
        for (i, values) in values.chunks(tensor.run()).enumerate() {
            padded[tensor.index(i * tensor.run())..][..values.len()].copy_from_slice(values);
        }
    }
}

/// Returns the weights from the kernels' padded layout.
pub(super) fn unpack(shape: RuntimeShape, padded: &[f32]) -> Weights {
    let mut weights = Weights::zeros(shape);
    for (tensor, values) in weights.tensors_mut() {
        for (i, values) in values.chunks_mut(tensor.run()).enumerate() {
            values.copy_from_slice(&padded[tensor.index(i * tensor.run())..][..values.len()]);
        }
    }
    weights
}

/// Writes the transposed copies of the matrices in `params`. Both arrays are padded.
pub(super) fn transpose(shape: RuntimeShape, params: &[f32], transposed: &mut [f32]) {
    for tensor in Layout(shape).tensors().filter(|tensor| tensor.spec.transposed) {
        let Place { rows, cols, offset: at, .. } = tensor.place;
        for i in 0..rows * cols {
            transposed[at + i % cols * rows + i / cols] = params[at + i];
        }
    }
}

/// Returns the samples from the output of `generate`: `block_size` tokens each, and as many log-probabilities or none.
/// A sample that ends in `NO_TOKEN` has NaN for a log-probability in either case.
pub(super) fn to_samples(out: &[u32], logprobs: &[f32], block_size: usize) -> Vec<Sample> {
    let sample = |(i, tokens): (usize, &[u32])| {
        let ends = |&token: &u32| token == BOS as u32 || token == NO_TOKEN as u32;
        let len = tokens.iter().position(ends).unwrap_or(block_size);
        let (first, without) = (i * block_size, tokens.get(len) == Some(&(NO_TOKEN as u32)));
        let logprobs = logprobs.get(first..first + block_size.min(len + 1)).unwrap_or_default();
        let logprobs = if without { &[f32::NAN] } else { logprobs };
        Sample { tokens: tokens[..len].to_vec(), logprobs: logprobs.iter().copied().map(f64::from).collect() }
    };
    out.chunks(block_size).enumerate().map(sample).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_without_a_next_token_has_nan_for_a_log_probability() {
        let none = NO_TOKEN as u32;
        let samples = to_samples(&[3, 0, 0, 2, none, 0, none, 0, 0, 1, 2, 3], &[], 3);
        let tokens: Vec<_> = samples.iter().map(|sample| &sample.tokens[..]).collect();
        assert_eq!(tokens, [&[3][..], &[2], &[], &[1, 2, 3]]);
        assert_eq!([0, 1, 2, 3].map(|i| samples[i].logprobs.len()), [0, 1, 1, 0]);
        assert!(samples[1].logprobs[0].is_nan() && samples[2].logprobs[0].is_nan());
    }

    #[test]
    fn the_inverse_of_a_temperature_is_finite() {
        let params = |temperature| sampling_params(&SampleConfig { temperature, ..SampleConfig::default() });
        let bits = |temperature| params(temperature).inverse_temperature.to_bits();
        assert_eq!([0.5, 1e-300].map(bits), [2.0, f32::MAX].map(f32::to_bits));
        assert!(params(f32::MAX.into()).inverse_temperature > 0.0);
        assert_eq!([0.0, 1e-300].map(|temperature| params(temperature).top_k), [1, 5]);
    }
}
