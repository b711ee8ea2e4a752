//! The start of a training on a device of this computer.

use std::slice;

use super::{Config, Schedule, Trainer};
use crate::config::TrainConfig;
use crate::corpus::{Corpus, Dataset};
use crate::device::{DeviceKind, ModelSetup, Selected, State, select};
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
        let &Config { model, steps, batch, seed, shuffle, val_every, val_docs, checkpoint_every, device, .. } =
            &configs[0];
        let documents: Vec<&str> = corpus.documents().collect();
        let dataset = Dataset::new(&documents, shuffle.then_some(seed), None)?;
        let shape = model.shape(dataset.tokenizer.vocab_size())?;
        let runs = configs.iter().map(|&Config { optimizer, seed, .. }| {
            let config = RunConfig { swept: Vec::new(), model, train: TrainConfig { steps, batch, optimizer } };
            Run { seed, config }
        });
        let states = configs.iter().map(|config| State::new(Weights::init(shape, config.seed))).collect();
        let compares = configs.len() > 1;
        let schedule = Schedule { stop_after: steps, val_every, val_docs, checkpoint_every, compares };
        Self::start(runs.collect(), states, &dataset, device, schedule)
    }

    /// Starts runs of one shape and batch size side by side, each from its state. See
    /// [`group_by_shape`](crate::run::group_by_shape).
    ///
    /// # Errors
    /// If a state does not fit the data set, or the device is missing or too small.
    pub fn start(
        runs: Vec<Run>,
        states: Vec<State>,
        dataset: &Dataset,
        device: DeviceKind,
        schedule: Schedule,
    ) -> Result<Self> {
        let setup = |(run, state): (&Run, State)| ModelSetup { train: run.config.train, state };
        let setups: Vec<ModelSetup> = runs.iter().zip(states).map(setup).collect();
        let Selected { models, description } = select(device, dataset, &setups)?;
        Ok(Self { description, ..Self::on(models, runs, dataset, schedule) })
    }
}
