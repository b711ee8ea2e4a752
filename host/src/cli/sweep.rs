//! `--sweep`: every combination of some flags' values, each read as if it stood on the command line.

use std::ffi::OsString;

use clap::FromArgMatches;

use super::values::{usage_error, with_hint};
use super::{Cli, command};
use crate::error::{Error, Result};
use crate::experiment::Variant;

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

/// The variants that `sweeps` ask for, `FLAG=X,Y,..` each, on top of the command line `args`.
pub(super) fn variants(args: &[OsString], cli: &Cli) -> Result<Vec<Variant>, clap::Error> {
    let mut combinations: Vec<Vec<(String, String)>> = vec![Vec::new()];
    for sweep in &cli.training.sweep {
        let (flag, values) = parse(sweep).map_err(|error| usage_error(&error))?;
        if combinations[0].iter().any(|(other, _)| *other == flag) {
            let error = Error::new(format!("`--sweep {sweep}`: `{flag}` is swept twice"));
            return Err(usage_error(&error.hint("give all of its values at once, separated by commas")));
        }
        let with = |combination: &Vec<(String, String)>| {
            let combination = combination.clone();
            let flag = flag.clone();
            values.clone().into_iter().map(move |value| [&combination[..], &[(flag.clone(), value)]].concat())
        };
        combinations = combinations.iter().flat_map(with).collect();
        let models = combinations.len().saturating_mul(cli.training.replicas);
        if models > MAX_MODELS {
            let error =
                Error::new(format!("`--sweep {sweep}` makes {models} models, at most {MAX_MODELS} are supported"));
            return Err(usage_error(&error.hint("give fewer values, or fewer `--replicas`")));
        }
    }
    combinations.into_iter().map(|values| variant(args, &cli.training.sweep, values)).collect()
}

/// The flag of `FLAG=X,Y,..`, without dashes, and what is to become of it.
pub(super) fn swept(sweep: &str) -> Option<(&str, &str)> {
    sweep.split_once('=').map(|(flag, values)| (flag.trim().trim_start_matches("--"), values))
}

/// The flag and its values.
fn parse(sweep: &str) -> Result<(String, Vec<String>)> {
    let hint = format!("write `--sweep learning-rate=0.003,0.01`; these can be swept: {}", FLAGS.join(", "));
    let (flag, values) = swept(sweep)
        .ok_or_else(|| Error::new(format!("`--sweep {sweep}`: expected a flag and its values")).hint(&*hint))?;
    if !FLAGS.contains(&flag) {
        return Err(Error::new(format!("`--sweep {sweep}`: `{flag}` cannot be swept")).hint(hint));
    }
    Ok((flag.to_owned(), values.split(',').map(|value| value.trim().to_owned()).collect()))
}

fn variant(args: &[OsString], sweeps: &[String], values: Vec<(String, String)>) -> Result<Variant, clap::Error> {
    let overrides = values.iter().map(|(flag, value)| OsString::from(format!("--{flag}={value}")));
    let args = args.iter().cloned().chain(overrides);
    let matches =
        command().args_override_self(true).try_get_matches_from(args).map_err(|error| with_hint(error, sweeps))?;
    let cli = Cli::from_arg_matches(&matches)?;
    // As for the command line itself: what fails with one token fails with every corpus.
    cli.model().shape(1).map_err(|error| usage_error(&error))?;
    Ok(Variant { values, model: cli.model(), train: cli.train() })
}
