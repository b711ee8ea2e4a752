//! The configurations of `--sweep`, one for every combination of values, and the table of their results.

use std::ffi::OsString;
use std::slice;

use clap::FromArgMatches;

use super::args::{Cli, split_sweep};
use super::command::{command, usage_error, with_hint};
use super::console::Loss;
use crate::error::{Error, Result};
use crate::run::{RunConfig, Setting};
use crate::summary::Summary;

/// The flags that can be swept.
const FLAGS: &str =
    "learning-rate, beta1, beta2, eps, weight-decay, max-grad-norm, batch, n-embd, n-head, n-layer, block-size";
/// The largest number of models of a run.
const MAX_MODELS: usize = 4096;

/// Returns a configuration for every combination of values that `--sweep` asks for, on top of the command line `args`.
pub(super) fn configs(args: &[OsString], cli: &Cli) -> Result<Vec<RunConfig>, clap::Error> {
    let mut combinations: Vec<Vec<Setting>> = vec![Vec::new()];
    for sweep in &cli.training.sweep {
        let settings = parse(sweep).map_err(|error| usage_error(&error))?;
        let flag = &settings[0].flag;
        if combinations[0].iter().any(|other| other.flag == *flag) {
            let message = format!("`--sweep {sweep}`: `{flag}` is swept twice");
            return Err(usage_error(&Error::usage(message, "give all of its values at once, separated by commas")));
        }
        let with_each = |combination: Vec<Setting>| {
            settings.iter().map(move |setting| [&combination[..], slice::from_ref(setting)].concat())
        };
        combinations = combinations.into_iter().flat_map(with_each).collect();
        let models = combinations.len().saturating_mul(cli.training.seeds);
        if models > MAX_MODELS {
            let message = format!("`--sweep {sweep}` makes {models} models, at most {MAX_MODELS} are supported");
            return Err(usage_error(&Error::usage(message, "give fewer values, or fewer `--seeds`")));
        }
    }
    combinations.into_iter().map(|swept| config(args, &cli.training.sweep, swept)).collect()
}

/// Parses `FLAG=X,Y,..` to a setting for each value.
fn parse(sweep: &str) -> Result<Vec<Setting>> {
    let hint = format!("write `--sweep learning-rate=0.003,0.01`; these can be swept: {FLAGS}");
    let (flag, values) = split_sweep(sweep)
        .ok_or_else(|| Error::usage(format!("`--sweep {sweep}`: expected a flag and its values"), &*hint))?;
    if !FLAGS.split(", ").any(|other| other == flag) {
        return Err(Error::usage(format!("`--sweep {sweep}`: `{flag}` cannot be swept"), hint));
    }
    Ok(values.split(',').map(|value| Setting { flag: flag.to_owned(), value: value.trim().to_owned() }).collect())
}

/// Reads a combination of values as if it stood on the command line.
fn config(args: &[OsString], sweeps: &[String], swept: Vec<Setting>) -> Result<RunConfig, clap::Error> {
    let overrides = swept.iter().map(|Setting { flag, value }| OsString::from(format!("--{flag}={value}")));
    let args = args.iter().cloned().chain(overrides);
    let matches =
        command().args_override_self(true).try_get_matches_from(args).map_err(|error| with_hint(error, sweeps))?;
    let cli = Cli::from_arg_matches(&matches)?;
    // As for the command line itself, a model that fails with one token fails with every corpus.
    cli.model().shape(1).map_err(|error| usage_error(&error))?;
    Ok(RunConfig { swept, model: cli.model(), train: cli.train() })
}

/// A configuration of a sweep, and the validation losses of its seeds, NaN for one that diverged.
pub(super) struct SweepResult {
    pub(super) config: RunConfig,
    pub(super) val_losses: Vec<f64>,
}

/// Returns the table at the end of a sweep, which has a line for each configuration.
pub(super) fn table(results: &[SweepResult]) -> String {
    let swept = results.first().map(|result| &result.config.swept[..]).unwrap_or_default();
    let mut rows = vec![swept.iter().map(|setting| setting.flag.clone()).collect::<Vec<_>>()];
    rows[0].extend(["val loss", "std", "best", "worst", "diverged"].map(str::to_owned));
    for SweepResult { config, val_losses } in results {
        let losses =
            Summary::of(val_losses.iter().copied()).map(|Summary { mean, std, min, max }| [mean, std, min, max]);
        let losses = losses.map_or(["-"; 4].map(str::to_owned), |losses| losses.map(|loss| Loss(loss).to_string()));
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

    #[test]
    fn the_table_has_a_line_for_each_configuration() {
        let result = |rate: &str, n_embd: &str, val_losses: Vec<f64>| {
            let swept = [("learning-rate", rate), ("n-embd", n_embd)]
                .map(|(flag, value)| Setting { flag: flag.to_owned(), value: value.to_owned() });
            let train = TrainConfig { steps: 1, batch: 1, optimizer: OptimizerConfig::default() };
            SweepResult { config: RunConfig { swept: swept.into(), model: ModelConfig::default(), train }, val_losses }
        };
        let results = [result("0.01", "16", vec![2.5, f64::NAN, 2.7]), result("0.1", "8", vec![f64::NAN])];
        let expected = "\
learning-rate  n-embd  val loss     std    best   worst  diverged
         0.01      16    2.6000  0.1414  2.5000  2.7000         1
          0.1       8         -       -       -       -         1";
        assert_eq!(table(&results), expected);
    }
}
