//! The start of a training on a corpus.

use std::slice;

use super::{Config, Schedule, Trainer};
use crate::config::TrainConfig;
use crate::corpus::Corpus;
use crate::device::State;
use crate::error::Result;
use crate::run::{Run, RunConfig};
use crate::weights::Weights;

impl Trainer {
    /// Starts the training of a new model on a corpus.
    ///
    /// # Errors
    /// If the model cannot have the configuration, or the device is missing or too small.
    pub fn new(config: &Config, corpus: &Corpus) -> Result<Self> {
        Self::side_by_side(slice::from_ref(config), corpus)
    }

    /// Starts the training of several new models on one corpus. The best model is kept. The models differ in the seed of
    /// their weights and in their optimiser. Everything else, with the shuffle, is taken from the first configuration.
    ///
    /// # Errors
    /// If the model cannot have the configuration, or the device is missing or too small.
    ///
    /// # Panics
    /// If there is no configuration.
    pub fn side_by_side(configs: &[Config], corpus: &Corpus) -> Result<Self> {
        let &Config { model, steps, batch, seed, shuffle, device, .. } = &configs[0];
        let &Config { val_every, val_docs, checkpoint_every, keep_best, stop_early, .. } = &configs[0];
        let documents: Vec<&str> = corpus.documents().collect();
        let dataset = corpus.dataset(&documents, seed, shuffle, None, model.block_size)?;
        let shape = model.shape(dataset.tokenizer.vocab_size())?;
        let runs = configs.iter().map(|&Config { optimizer, seed, .. }| {
            let train = TrainConfig { steps, batch, optimizer };
            Run { seed, config: RunConfig { swept: Vec::new(), model, train } }
        });
        let states = configs.iter().map(|config| State::new(Weights::init(shape, config.seed))).collect();
        let compares = configs.len() > 1;
        let schedule =
            Schedule { stop_after: steps, val_every, val_docs, checkpoint_every, keep_best, stop_early, compares };
        Self::start(runs.collect(), states, &dataset, device, schedule, &mut |_| ())
    }
}
