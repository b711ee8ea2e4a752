//! The validation of models and documents. The kernels index unchecked and rely on the validation.

use gpu_kernels::shape::{RuntimeShape, Shape};

use super::types::State;
use crate::config::{ModelConfig, TrainConfig, num_params};
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
    config.optimizer.validate()?;
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
