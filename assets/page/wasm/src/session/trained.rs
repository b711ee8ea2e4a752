//! A model that the program has trained, with which a page begins.

use gpu_kernels::shape::RuntimeShape;
use microgpt::config::num_params;
use microgpt::device::State;
use microgpt::error::{Error, Result};
use microgpt::weights::Weights;
use serde::Deserialize;

/// A model that the program has trained.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Trained {
    /// The number of steps that it has taken, with which its run ends.
    pub(super) step: u64,
    /// The characters of the tokens from 1 on.
    pub(super) vocabulary: String,
    /// Whether the documents are shuffled.
    pub(super) shuffle: bool,
    /// The seed of the initial weights, if they were drawn and not taken from a file.
    pub(super) initial_seed: Option<u64>,
}

impl Trained {
    /// Returns the state of the model from its values.
    pub(super) fn state(&self, shape: RuntimeShape, values: &[f32]) -> Result<State> {
        let len = num_params(shape);
        if values.len() != 3 * len {
            let message = format!("the trained model should have {} values, got {}", 3 * len, values.len());
            return Err(Error::usage(message, "write the page anew"));
        }
        let array = |i: usize| Weights { shape, values: values[i * len..(i + 1) * len].to_vec() };
        Ok(State { step: self.step, weights: array(0), m: array(1), v: array(2) })
    }

    /// Returns the weights before the first step, or `None` if the page cannot draw them again.
    pub(super) fn initial(&self, shape: RuntimeShape) -> Option<Weights> {
        self.initial_seed.map(|seed| Weights::init(shape, seed))
    }
}
