//! The configuration file of `--config`, whose keys are flags.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use clap::error::ErrorKind;
use clap::{Arg, ArgAction, Command};
use serde_json::Value;
use toml::Spanned;

use super::command::{command, invalid_value};
use super::foreign_flags;
use super::settings::to_args;
use crate::corpus::read_bytes;
use crate::error::{Error, Result};

const AS_TOML: &str = "write one `flag = value` on each line, as TOML has it, with quotes around numbers from 2^63 on";

/// The flags that ask for something else than a run.
const NO_KEYS: [&str; 4] = ["completions", "config", "help", "man-page"];

/// Returns the arguments that a configuration file gives, without those of the flags in `given`.
///
/// # Errors
/// If the file cannot be read, is not TOML, or has a key that is no flag or a value that its flag does not take. The
/// error names the line.
pub(super) fn args(path: &Path, given: &[String]) -> Result<Vec<String>> {
    let text =
        read_bytes(path).and_then(|bytes| String::from_utf8(bytes).map_err(io::Error::other)).map_err(|error| {
            let action = format!("read the configuration `{}`", path.display());
            Error::failed(action, "give a TOML file with a line such as `steps = 500` for each flag", error)
        })?;
    let at = |offset: usize| {
        let line = text[..offset.min(text.len())].matches('\n').count() + 1;
        format!("`{}`, line {line}", path.display())
    };
    let entries: BTreeMap<Spanned<String>, toml::Value> = toml::from_str(&text).map_err(|error: toml::de::Error| {
        let place = at(error.span().map_or(0, |span| span.start));
        Error::usage(format!("{place}: {}", error.message()), AS_TOML)
    })?;
    let command = command();
    let mut args = Vec::new();
    for (key, value) in &entries {
        let entry = entry_args(&command, key.get_ref(), value).map_err(|error| match error {
            Error::Usage { message, hint } => Error::usage(format!("{}: {message}", at(key.span().start)), hint),
            other => other,
        })?;
        if !given.iter().any(|flag| flag == key.get_ref()) {
            args.extend(entry);
        }
    }
    Ok(args)
}

/// Returns the arguments of a key and its value, which the flag takes.
fn entry_args(command: &Command, key: &str, value: &toml::Value) -> Result<Vec<String>> {
    let flags: Vec<&Arg> = command.get_arguments().filter(|arg| is_key(arg)).collect();
    let Some(arg) = flags.iter().find(|arg| arg.get_long() == Some(key)) else {
        let nearest = foreign_flags::nearest(key, flags.iter().filter_map(|arg| arg.get_long()));
        let hint =
            foreign_flags::hint(key).map(str::to_owned).or_else(|| nearest.map(|flag| format!("perhaps `{flag}`")));
        let hint = hint.unwrap_or_else(|| "keys are flags without their dashes".to_owned());
        return Err(Error::usage(format!("`{key}` is not a flag"), hint + "; `--help` describes every flag"));
    };
    let setting = match (arg.get_action(), value) {
        (ArgAction::SetTrue, toml::Value::Boolean(yes)) => Value::Bool(*yes),
        (ArgAction::SetTrue, _) => return Err(misfit(key, value, "true or false")),
        (ArgAction::Append, toml::Value::Array(values)) => {
            Value::Array(values.iter().map(|value| scalar(key, value)).collect::<Result<_>>()?)
        }
        _ => scalar(key, value)?,
    };
    let args = to_args(key, &setting);
    for arg in &args {
        // Other conditions of the flag depend on the whole command line.
        let matches = command.clone().try_get_matches_from(["microgpt", arg]);
        let Err(error) = matches else { continue };
        if let Some(error) = invalid_value(command, &error, &[]) {
            return Err(error);
        }
        if error.kind() == ErrorKind::InvalidValue {
            return Err(misfit(key, value, "a text that is not empty"));
        }
    }
    Ok(args)
}

/// Returns whether a flag can be a key.
fn is_key(arg: &Arg) -> bool {
    arg.get_long().is_some_and(|flag| !NO_KEYS.contains(&flag))
}

/// Returns a text or a number as a setting.
fn scalar(key: &str, value: &toml::Value) -> Result<Value> {
    match value {
        toml::Value::String(text) => Ok(text.as_str().into()),
        toml::Value::Integer(integer) => Ok((*integer).into()),
        toml::Value::Float(real) => Ok(real.to_string().into()),
        other => Err(misfit(key, other, "a text or a number")),
    }
}

fn misfit(key: &str, value: &toml::Value, expected: &str) -> Error {
    let found = value.type_str();
    Error::usage(format!("`{key}` is of type {found}, expected {expected}"), format!("`--help` describes `--{key}`"))
}
