//! The configuration of a training.

use crate::config::{ModelConfig, OptimizerConfig, TrainConfig};
use crate::device::DeviceKind;

/// The configuration of a training on one corpus, with the defaults of the command line.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The model's dimensions.
    pub model: ModelConfig,
    /// The number of steps, the length of the learning rate's schedule.
    pub steps: u64,
    /// B, the number of documents of a step.
    pub batch: usize,
    /// The optimiser's parameters.
    pub optimizer: OptimizerConfig,
    /// The seed of the shuffle and of the initial weights.
    pub seed: u64,
    /// Whether the documents are shuffled before they are split.
    pub shuffle: bool,
    /// The number of steps between two validations, or 0 for none.
    pub val_every: u64,
    /// The number of documents to validate on, where 0 counts as 1.
    pub val_docs: usize,
    /// The number of steps between two [`Event::Checkpoint`](super::Event::Checkpoint)s, or 0 for none.
    pub checkpoint_every: u64,
    /// Whether a validation that is better than all before gives an [`Event::Best`](super::Event::Best).
    pub keep_best: bool,
    /// The number of validations without a better one that ends the training, or 0 for none.
    pub stop_early: u64,
    /// The device to train on.
    pub device: DeviceKind,
}

impl Default for Config {
    fn default() -> Self {
        let TrainConfig { steps, batch, optimizer } = TrainConfig::default();
        Self {
            model: ModelConfig::default(),
            steps,
            batch,
            optimizer,
            seed: 42,
            shuffle: true,
            val_every: 100,
            val_docs: 20,
            checkpoint_every: 0,
            keep_best: false,
            stop_early: 0,
            device: DeviceKind::Auto,
        }
    }
}

/// The steps at which a training validates, makes checkpoints and ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// The step after which the training ends.
    pub stop_after: u64,
    /// The number of steps between two validations, or 0 for none.
    pub val_every: u64,
    /// The number of documents to validate on, where 0 counts as 1.
    pub val_docs: usize,
    /// The number of steps between two checkpoints, or 0 for none.
    pub checkpoint_every: u64,
    /// Whether a validation that is better than all before gives an [`Event::Best`](super::Event::Best).
    pub keep_best: bool,
    /// The number of validations without a better one that ends the training, or 0 for none. Of several runs, each must
    /// have had so many.
    pub stop_early: u64,
    /// Whether the runs are compared, with each other or with those of another trainer. Compared runs are validated at
    /// the end, and a run that diverges drops out. Otherwise the training fails if its run diverges.
    pub compares: bool,
}
