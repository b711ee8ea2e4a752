//! The validation of models, documents and samplings. The kernels index unchecked and rely on the validation.

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
        let expected = format!("from 1 to {} documents", u32::MAX);
        return Err(Error::argument("a batch", expected, &config.batch, "choose a batch of at least 1"));
    }
    tokens(shape, dataset.train.tokens())?;
    tokens(shape, dataset.val.tokens())?;
    self::state(shape, state)
}

/// Rejects documents with a token that is not in the vocabulary.
pub(super) fn tokens(shape: RuntimeShape, tokens: &[u32]) -> Result<()> {
    const HINT: &str = "give the model the vocabulary of its documents";
    match tokens.iter().find(|&&token| token >= shape.vocab) {
        Some(token) => Err(Error::argument("document tokens", format!("below {}", shape.vocab), token, HINT)),
        None => Ok(()),
    }
}

/// Rejects a state whose arrays do not have this shape.
pub(super) fn state(shape: RuntimeShape, state: &State) -> Result<()> {
    let len = num_params(shape);
    let misfit = |array: &&&Weights| array.shape != shape || array.values.len() != len;
    match [&state.weights, &state.m, &state.v].iter().find(misfit) {
        Some(Weights { shape: other, values }) => {
            let (expected, got) = (format!("{len} values of {shape:?}"), format!("{} of {other:?}", values.len()));
            Err(Error::argument("an array of a state", expected, &got, "give a state of a model of this shape"))
        }
        None => Ok(()),
    }
}

/// Rejects a configuration that a model of this shape cannot be sampled with.
pub(super) fn sampling(shape: RuntimeShape, config: &SampleConfig) -> Result<()> {
    let &SampleConfig { top_k, temperature, min_p, top_p, prompt, .. } = config;
    let RuntimeShape { vocab, block_size, .. } = shape;
    if let Some(token) = prompt.iter().find(|token| !(1..vocab).contains(token)) {
        const HINT: &str = "encode the prompt with the model's vocabulary, without `<BOS>`";
        return Err(Error::argument("prompt tokens", format!("between 1 and {}", vocab - 1), token, HINT));
    }
    if prompt.len() >= shape.block_size() {
        let expected = format!("shorter than {block_size} tokens");
        return Err(Error::argument("a prompt", expected, &prompt.len(), "shorten the prompt"));
    }
    if !(1..=shape.vocab()).contains(&top_k) {
        let expected = format!("from 1 to {vocab}");
        return Err(Error::argument("top-k", expected, &top_k, "choose at most the size of the vocabulary"));
    }
    if !(0.0..=f64::from(f32::MAX)).contains(&temperature) {
        return Err(Error::argument("temperature", "from 0 to 3.4e38", &temperature, "choose 0 or a positive value"));
    }
    for (name, value) in [("min-p", min_p), ("top-p", top_p)] {
        if !(0.0..=1.0).contains(&value) {
            return Err(Error::argument(name, "from 0 to 1", &value, "choose a probability"));
        }
    }
    Ok(())
}
