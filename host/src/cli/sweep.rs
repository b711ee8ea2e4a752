//! The configurations of `--sweep`, one for every combination of values, and the table of their results.

use std::ffi::OsString;

use super::args::Cli;
use super::command::command;
use super::console::Loss;
use super::values::Sweep;
use crate::error::Error;
use crate::run::{RunConfig, Setting};
use crate::summary::Summary;

/// Refuses a flag that the command line gives beside a sweep of its values. Such a flag in a configuration file gives way.
pub(super) fn refuse_given(sweeps: &[Sweep], given: &[String]) -> Result<(), Error> {
    let Some(Sweep { text, flag, .. }) = sweeps.iter().find(|sweep| given.contains(&sweep.flag)) else { return Ok(()) };
    let message = format!("`--{flag}` has a value beside those of `--sweep {text}`");
    Err(Error::usage(message, format!("leave `--{flag}` out, or add its value to the sweep")))
}

/// The largest number of models of a run.
const MAX_MODELS: usize = 4096;

/// Returns a configuration for every combination of values that `--sweep` asks for, on top of the command line `args`.
pub(super) fn configs(args: &[OsString], cli: &Cli) -> Result<Vec<RunConfig>, clap::Error> {
    let sweeps = &cli.training.sweep;
    let mut combinations: Vec<Vec<Setting>> = vec![Vec::new()];
    for Sweep { text, flag, values } in sweeps {
        if combinations[0].iter().any(|other| other.flag == *flag) {
            let message = format!("`--sweep {text}`: `{flag}` is swept twice");
            return Err(Error::usage(message, "give all of its values at once, separated by commas").into());
        }
        let with_each = |combination: Vec<Setting>| {
            let settings = values.iter().map(|value| Setting { flag: flag.clone(), value: value.clone() });
            settings.map(|setting| [&combination[..], &[setting]].concat()).collect::<Vec<_>>()
        };
        combinations = combinations.into_iter().flat_map(with_each).collect();
        let models = combinations.len().saturating_mul(cli.training.seeds);
        if models > MAX_MODELS {
            let message = format!("`--sweep {text}` makes {models} models, at most {MAX_MODELS} are supported");
            return Err(Error::usage(message, "give fewer values, or fewer `--seeds`").into());
        }
    }
    let config = |swept: Vec<Setting>| {
        // The values are read as if they stood on the command line.
        let overrides = swept.iter().map(|Setting { flag, value }| OsString::from(format!("--{flag}={value}")));
        let args: Vec<OsString> = args.iter().cloned().chain(overrides).collect();
        let config = Cli::parse(command().args_override_self(true), &args, sweeps)?.config(swept);
        // The vocabulary is not known yet. A model that fails with one token fails with every corpus.
        config.model.shape(1)?;
        Ok(config)
    };
    let configs: Vec<RunConfig> = combinations.into_iter().map(config).collect::<Result<_, clap::Error>>()?;
    for (i, one) in configs.iter().enumerate() {
        if let Some(other) = configs[..i].iter().find(|other| other.model == one.model && other.train == one.train) {
            let message = format!("`--sweep` makes two equal models, of `{other}` and of `{one}`");
            return Err(Error::usage(message, "give every value once").into());
        }
    }
    Ok(configs)
}

/// A configuration of a sweep, and the validation losses of its seeds, NaN for one that diverged. The standard error is
/// that of their mean over the validation documents.
pub(super) struct SweepResult {
    pub(super) config: RunConfig,
    pub(super) val_losses: Vec<f64>,
    pub(super) standard_error: Option<f64>,
}

/// Returns the swept values that all configurations of a group share, such as `n-embd 16`.
pub(super) fn common(group: &[RunConfig]) -> String {
    let mut first = group[0].clone();
    first.swept.retain(|setting| group.iter().all(|config| config.swept.contains(setting)));
    first.to_string()
}

/// Returns the table at the end of a sweep, which has a line for each configuration.
pub(super) fn table(results: &[SweepResult]) -> String {
    let swept = results.first().map(|result| &result.config.swept[..]).unwrap_or_default();
    let mut rows = vec![swept.iter().map(|setting| setting.flag.clone()).collect::<Vec<_>>()];
    // One seed has no spread.
    let spread = if results.iter().any(|result| result.val_losses.len() > 1) { 3 } else { 0 };
    let columns = ["val loss", "std error", "std", "best", "worst"].map(str::to_owned);
    rows[0].extend(columns.into_iter().take(2 + spread).chain(["diverged".to_owned()]));
    for SweepResult { config, val_losses, standard_error } in results {
        let summary = Summary::of(val_losses.iter().copied());
        let losses = summary.map_or([None; 5], |Summary { mean, std, min, max }| {
            [Some(mean), *standard_error, Some(std), Some(min), Some(max)]
        });
        let cell = |loss: Option<f64>| loss.map_or("-".to_owned(), |loss| Loss(loss).to_string());
        let losses = losses.into_iter().take(2 + spread).map(cell);
        let diverged = val_losses.iter().filter(|loss| !loss.is_finite()).count().to_string();
        let swept = config.swept.iter().map(|setting| setting.value.clone());
        rows.push(swept.chain(losses).chain([diverged]).collect());
    }
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let line = |row: &Vec<String>| {
        let cells: Vec<String> = row.iter().enumerate().map(|(i, cell)| format!("{cell:>w$}", w = width(i))).collect();
        cells.join("  ")
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{ModelConfig, OptimizerConfig, TrainConfig};

    fn result(rate: &str, n_embd: &str, val_losses: Vec<f64>) -> SweepResult {
        let swept = [("learning-rate", rate), ("n-embd", n_embd)]
            .map(|(flag, value)| Setting { flag: flag.to_owned(), value: value.to_owned() });
        let train = TrainConfig { steps: 1, batch: 1, optimizer: OptimizerConfig::default() };
        let standard_error = val_losses.iter().any(|loss| loss.is_finite()).then_some(0.0625);
        let config = RunConfig { swept: swept.into(), model: ModelConfig::default(), train };
        SweepResult { config, val_losses, standard_error }
    }

    #[test]
    fn the_table_has_a_line_for_each_configuration() {
        let results =
            [result("0.01", "16", vec![2.5, f64::NAN, 2.7]), result("0.1", "8", vec![f64::NAN, f64::NAN, f64::NAN])];
        let expected = "\
learning-rate  n-embd  val loss  std error     std    best   worst  diverged
         0.01      16    2.6000     0.0625  0.1414  2.5000  2.7000         1
          0.1       8         -          -       -       -       -         3";
        assert_eq!(table(&results), expected);
    }

    #[test]
    fn the_table_of_one_seed_has_no_spread() {
        let expected = "\
learning-rate  n-embd  val loss  std error  diverged
         0.01      16    2.5000     0.0625         0
          0.1       8         -          -         1";
        assert_eq!(table(&[result("0.01", "16", vec![2.5]), result("0.1", "8", vec![f64::NAN])]), expected);
    }
}
