//! The configurations of `--sweep`, one for every combination of values. Each is read as if it stood on the command line.

use std::ffi::OsString;

use clap::FromArgMatches;

use super::args::Cli;
use super::command::command;
use super::usage::{usage_error, with_hint};
use super::values::split_sweep;
use crate::error::{Error, Result};
use crate::run::{RunConfig, Setting};

/// The flags that can be swept.
const FLAGS: [&str; 11] = [
    "learning-rate",
    "beta1",
    "beta2",
    "eps",
    "weight-decay",
    "max-grad-norm",
    "batch",
    "n-embd",
    "n-head",
    "n-layer",
    "block-size",
];

/// The most models of a run.
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
            settings.iter().map(move |setting| [&combination[..], std::slice::from_ref(setting)].concat())
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
    let hint = format!("write `--sweep learning-rate=0.003,0.01`; these can be swept: {}", FLAGS.join(", "));
    let (flag, values) = split_sweep(sweep)
        .ok_or_else(|| Error::usage(format!("`--sweep {sweep}`: expected a flag and its values"), &*hint))?;
    if !FLAGS.contains(&flag) {
        return Err(Error::usage(format!("`--sweep {sweep}`: `{flag}` cannot be swept"), hint));
    }
    Ok(values.split(',').map(|value| Setting { flag: flag.to_owned(), value: value.trim().to_owned() }).collect())
}

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
