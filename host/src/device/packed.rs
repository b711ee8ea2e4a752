//! What the host hands to the kernels on any machine: the padded arrays and the optimiser's scalars.

use gpu_kernels::args::{Optimizer, Schedule};
use gpu_kernels::generate::BOS;
use gpu_kernels::layout::Layout;
use gpu_kernels::shape::RuntimeShape;

use super::Sample;
use crate::config::{OptimizerConfig, TrainConfig};
use crate::weights::Weights;

/// The optimiser's constants, rounded.
pub(super) fn optimizer(o: &OptimizerConfig) -> Optimizer {
    Optimizer {
        beta1: o.beta1 as f32,
        // Of the rounded beta, so that the weights of old and new sum to exactly one.
        one_minus_beta1: 1.0 - o.beta1 as f32,
        beta2: o.beta2 as f32,
        one_minus_beta2: 1.0 - o.beta2 as f32,
        max_grad_norm: o.max_grad_norm as f32,
    }
}

/// The optimiser's scalars of the step with this number, from 0.
pub(super) fn schedule(config: &TrainConfig, step: u64) -> Schedule {
    let o = config.optimizer;
    let learning_rate = o.learning_rate_at(step, config.steps);
    let t = (step + 1) as f64;
    let (correct1, correct2) = (1.0 - o.beta1.powf(t), 1.0 - o.beta2.powf(t));
    Schedule {
        root: (correct1 / (learning_rate * correct2.sqrt())) as f32,
        // Without an eps there is none, also at a learning rate of zero.
        eps: if o.eps == 0.0 { 0.0 } else { (o.eps * correct1 / learning_rate) as f32 },
        decay: (learning_rate * o.weight_decay) as f32,
    }
}

/// Spreads `weights` out to the kernels' padded layout, [`Layout::len`] elements.
pub(super) fn pack(weights: &Weights, padded: &mut [f32]) {
    for (tensor, values) in weights.tensors() {
        for (i, &value) in values.iter().enumerate() {
            padded[tensor.index(i / tensor.shape[1], i % tensor.shape[1])] = value;
        }
    }
}

/// The weights from the kernels' padded layout.
pub(super) fn unpack(shape: RuntimeShape, padded: &[f32]) -> Weights {
    let mut weights = Weights::zeros(shape);
    for (tensor, values) in weights.tensors_mut() {
        for (i, value) in values.iter_mut().enumerate() {
            *value = padded[tensor.index(i / tensor.shape[1], i % tensor.shape[1])];
        }
    }
    weights
}

/// Writes the transposed copies of the matrices in `params`, both padded.
pub(super) fn transpose(shape: RuntimeShape, params: &[f32], transposed: &mut [f32]) {
    for matrix in Layout(shape).matrices() {
        let (rows, cols, at) = (matrix.rows, matrix.cols, matrix.offset);
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
