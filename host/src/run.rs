//! The runs of a training, which differ in their seed or in the values that a sweep gives them.

use std::fmt;

use crate::config::{ModelConfig, TrainConfig};

/// The configuration of a run, and the swept values that it comes from.
#[derive(Clone, Debug, PartialEq)]
pub struct RunConfig {
    /// The flags that are swept, with their values, or none without a sweep.
    pub swept: Vec<Setting>,
    /// The model's dimensions.
    pub model: ModelConfig,
    /// The steps, the batch and the optimiser.
    pub train: TrainConfig,
}

/// A flag without its dashes, and its value as the user wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The flag.
    pub flag: String,
    /// The value.
    pub value: String,
}

/// The swept values as a legend shows them, such as `learning-rate 0.003, n-embd 16`.
impl fmt::Display for RunConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let swept: Vec<String> = self.swept.iter().map(|Setting { flag, value }| format!("{flag} {value}")).collect();
        f.write_str(&swept.join(", "))
    }
}

/// The training of one model, from a configuration and a seed.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// The seed of the initial weights.
    pub seed: u64,
    /// The configuration.
    pub config: RunConfig,
}

/// The run as a notice names it, such as `seed 42, learning-rate 0.003`.
impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seed {}", self.seed)?;
        if self.config.swept.is_empty() { Ok(()) } else { write!(f, ", {}", self.config) }
    }
}

/// The best validation of a run so far.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Best {
    /// The least validation loss, or infinity before the first validation.
    pub loss: f64,
    /// The number of the step after which it was measured.
    pub step: u64,
    /// The number of validations since then.
    pub since: u64,
}

impl Default for Best {
    fn default() -> Self {
        Self { loss: f64::INFINITY, step: 0, since: 0 }
    }
}

impl Best {
    /// Takes note of a validation after `step`.
    pub fn record(&mut self, loss: f64, step: u64) {
        *self = if loss < self.loss { Self { loss, step, since: 0 } } else { Self { since: self.since + 1, ..*self } };
    }
}

/// The validations of a run before it is resumed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Validated {
    /// The best of them.
    pub best: Best,
    /// The loss of the resumed state, if it was measured.
    pub val_loss: Option<f64>,
}

/// Groups the configurations of one shape and one batch size, which can train side by side. Groups are in the order of
/// their first configurations.
pub fn group_by_shape(configs: &[RunConfig]) -> Vec<Vec<RunConfig>> {
    let mut groups: Vec<Vec<RunConfig>> = Vec::new();
    for config in configs {
        let same = |other: &RunConfig| other.model == config.model && other.train.batch == config.train.batch;
        match groups.iter_mut().find(|group| same(&group[0])) {
            Some(group) => group.push(config.clone()),
            None => groups.push(vec![config.clone()]),
        }
    }
    groups
}

/// Returns `seeds` runs of each configuration, from the seeds `seed`, `seed + 1` and so on.
pub fn with_seeds(configs: &[RunConfig], seed: u64, seeds: usize) -> Vec<Run> {
    let run = |config: &RunConfig, i| Run { seed: seed.wrapping_add(i), config: config.clone() };
    configs.iter().flat_map(|config| (0..seeds as u64).map(move |i| run(config, i))).collect()
}

/// Returns how many steps or samples of `work` multiplications make a launch. Such a launch keeps a device busy, and is
/// short enough to report results as they arise.
pub(crate) fn launch_len(work: u64) -> u64 {
    // So much work takes about a second on the slowest device.
    const MAX_WORK: u64 = 1 << 29;
    (MAX_WORK / work).clamp(1, 4096)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::OptimizerConfig;

    #[test]
    fn groups_share_a_shape_and_runs_differ_in_their_seed() {
        let train = TrainConfig { steps: 1, batch: 1, optimizer: OptimizerConfig::default() };
        let config = |value: &str, n_embd: usize| RunConfig {
            swept: vec![Setting { flag: "eps".to_owned(), value: value.to_owned() }],
            model: ModelConfig { n_embd, ..ModelConfig::default() },
            train,
        };
        let configs = [config("1", 4), config("2", 8), config("3", 4)];
        let groups = group_by_shape(&configs);
        assert_eq!(groups, [vec![configs[0].clone(), configs[2].clone()], vec![configs[1].clone()]]);
        let runs: Vec<String> = with_seeds(&groups[0], u64::MAX, 2).iter().map(Run::to_string).collect();
        let last = u64::MAX;
        assert_eq!(
            runs,
            [&format!("seed {last}, eps 1"), "seed 0, eps 1", &format!("seed {last}, eps 3"), "seed 0, eps 3"]
        );
    }
}
