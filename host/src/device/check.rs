//! What the kernels take for granted of a model, its documents and its samples: they check no index themselves.

use gpu_kernels::shape::{RuntimeShape, Shape};

use super::State;
use crate::config::{ModelConfig, SampleConfig, TrainConfig, num_params};
use crate::corpus::Dataset;
use crate::error::{Error, Result};
use crate::weights::Weights;

/// Refuses a model that the kernels cannot train on this dataset.
pub(super) fn model(config: &TrainConfig, dataset: &Dataset, state: &State) -> Result<()> {
    let shape = state.weights.shape;
    let vocab = shape.vocab();
    let [n_embd, n_head, n_layer, block_size] = [shape.n_embd(), shape.n_head(), shape.n_layer(), shape.block_size()];
    ModelConfig { n_embd, n_head, n_layer, block_size }.shape(vocab)?;
    if !(1..=u32::MAX as usize).contains(&config.batch) {
        return Err(Error::new(format!("a step of {} documents", config.batch)).hint("it takes at least 1"));
    }
    let largest = dataset.train.tokens().iter().chain(dataset.val.tokens()).max();
    if let Some(token) = largest.filter(|&&token| token >= shape.vocab) {
        return Err(Error::new(format!("the documents have the token {token}, the model a vocabulary of {vocab}"))
            .hint("give the model the vocabulary of its documents"));
    }
    self::state(shape, state)
}

/// Refuses a state whose arrays are not those of this shape.
pub(super) fn state(shape: RuntimeShape, state: &State) -> Result<()> {
    let fits = |array: &&Weights| array.shape == shape && array.values.len() == num_params(shape);
    if [&state.weights, &state.m, &state.v].iter().all(fits) {
        return Ok(());
    }
    Err(Error::new("the state's arrays do not have the model's shape").hint("upload what a model of this shape had"))
}

/// Refuses what samples of a model of this shape cannot be drawn with.
pub(super) fn sampling(shape: RuntimeShape, config: &SampleConfig) -> Result<()> {
    let (vocab, prompt) = (shape.vocab, config.prompt);
    if let Some(token) = prompt.iter().find(|token| !(1..vocab).contains(token)) {
        return Err(Error::new(format!("the prompt has the token {token}"))
            .hint(format!("a prompt takes tokens from 1, since 0 ends a text, to below {vocab}, the vocabulary")));
    }
    if prompt.len() >= shape.block_size() {
        return Err(Error::new(format!("a prompt of {} tokens leaves no room for a sample", prompt.len()))
            .hint(format!("prompt and sample take at most {} tokens", shape.block_size)));
    }
    if !(1..=shape.vocab()).contains(&config.top_k) {
        return Err(Error::new(format!("a top-k of {}", config.top_k)).hint(format!("choose from 1 to {vocab}")));
    }
    if !(0.0..=f64::from(f32::MAX)).contains(&config.temperature) {
        return Err(Error::new(format!("a temperature of {}", config.temperature)).hint("choose from 0 to 3.4e38"));
    }
    Ok(())
}
