//! The validation of models, documents and samplings. The kernels index unchecked and rely on it.

use gpu_kernels::shape::{RuntimeShape, Shape};

use super::types::State;
use crate::config::{ModelConfig, SampleConfig, TrainConfig, num_params};
use crate::corpus::Dataset;
use crate::error::{Error, Result};
use crate::weights::Weights;

/// Rejects a model that the kernels cannot train on this dataset.
pub(super) fn model(config: &TrainConfig, dataset: &Dataset, state: &State) -> Result<()> {
    let shape = state.weights.shape;
    let [n_embd, n_head, n_layer, block_size] = [shape.n_embd(), shape.n_head(), shape.n_layer(), shape.block_size()];
    ModelConfig { n_embd, n_head, n_layer, block_size }.shape(shape.vocab())?;
    if !(1..=u32::MAX as usize).contains(&config.batch) {
        return Err(Error::Batch { batch: config.batch });
    }
    let largest = dataset.train.tokens().iter().chain(dataset.val.tokens()).max();
    if let Some(&token) = largest.filter(|&&token| token >= shape.vocab) {
        return Err(Error::Token { token, vocab: shape.vocab });
    }
    self::state(shape, state)
}

/// Rejects a state whose arrays do not have this shape.
pub(super) fn state(shape: RuntimeShape, state: &State) -> Result<()> {
    let fits = |array: &&Weights| array.shape == shape && array.values.len() == num_params(shape);
    let all_fit = [&state.weights, &state.m, &state.v].iter().all(fits);
    if all_fit { Ok(()) } else { Err(Error::StateShape) }
}

/// Rejects a configuration that a model of this shape cannot be sampled with.
pub(super) fn sampling(shape: RuntimeShape, config: &SampleConfig) -> Result<()> {
    let &SampleConfig { top_k, temperature, prompt, .. } = config;
    let RuntimeShape { vocab, .. } = shape;
    if let Some(&token) = prompt.iter().find(|token| !(1..vocab).contains(token)) {
        return Err(Error::PromptToken { token, vocab });
    }
    if prompt.len() >= shape.block_size() {
        return Err(Error::PromptLength { tokens: prompt.len(), block_size: shape.block_size() });
    }
    if !(1..=shape.vocab()).contains(&top_k) {
        return Err(Error::TopK { top_k, vocab });
    }
    if !(0.0..=f64::from(f32::MAX)).contains(&temperature) {
        return Err(Error::Temperature { temperature });
    }
    Ok(())
}
