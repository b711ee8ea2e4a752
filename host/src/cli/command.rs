//! The definition of the command line, and the errors of a wrong one.

use std::env;
use std::error::Error as _;
use std::ffi::{OsStr, OsString};

use clap::builder::Resettable;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command, CommandFactory, FromArgMatches};

use super::args::Cli;
use super::foreign_flags;
use super::settings::{given, is_number, settings};
use super::values::Sweep;
use crate::error::Error;

/// Returns the definition of the command line. An environment variable that is empty is ignored.
pub(super) fn command() -> Command {
    let completed = |arg: Arg| {
        let is_empty = arg.get_env().and_then(env::var_os).is_some_and(|value| value.is_empty());
        let arg = if is_empty { arg.env(Resettable::Reset) } else { arg };
        // A negative number is taken as a value in every notation, so that the flag can refuse it by name.
        let takes_values = arg.get_action().takes_values();
        if is_number(&arg) { arg.allow_hyphen_values(true) } else { arg.allow_negative_numbers(takes_values) }
    };
    Cli::command().mut_args(completed).mut_subcommands(|command| command.mut_args(completed))
}

/// Returns the definition of the command that a command line names first, or of the whole program.
fn scope<'a>(program: &'a Command, args: &[OsString]) -> &'a Command {
    args.get(1).and_then(|name| program.find_subcommand(name)).unwrap_or(program)
}

/// Returns the hint to the help of a command, or of the whole program.
fn help(command: &Command) -> String {
    let name = if command.has_subcommands() { String::new() } else { format!("microgpt {} ", command.get_name()) };
    format!("`{name}--help` describes every flag")
}

impl Cli {
    /// Reads a command line, which starts with the program's name. A value may come from one of `sweeps`.
    pub(super) fn parse(command: Command, args: &[OsString], sweeps: &[Sweep]) -> Result<Self, clap::Error> {
        let mut command = command;
        let matches =
            command.try_get_matches_from_mut(args).map_err(|error| with_hint(scope(&command, args), error, sweeps))?;
        let cli = Self::from_arg_matches(&matches)?;
        Ok(Self { given: given(&command, &matches), settings: settings(&command, &matches), ..cli })
    }
}

/// Gives clap's error about the arguments of a command the form of [`Error`], with a hint. Help and version stay as they are.
fn with_hint(command: &Command, error: clap::Error, sweeps: &[Sweep]) -> clap::Error {
    if !error.use_stderr() {
        return error;
    }
    if let Some(invalid) = invalid_value(command, &error, sweeps) {
        return invalid.into();
    }
    // The first paragraph is the message, and another may be a tip.
    let text = error.render().to_string();
    let (message, rest) = text.split_once("\n\n").unwrap_or((&text, ""));
    let tip = match error.kind() {
        ErrorKind::UnknownArgument => unknown_flag_tip(&error),
        ErrorKind::ArgumentConflict if message.contains("the subcommand '") => {
            Some("start with the command, and give its own flags after it".to_owned())
        }
        ErrorKind::ArgumentConflict if message.contains("multiple times") => Some("give it once".to_owned()),
        ErrorKind::ArgumentConflict => Some("give one of them".to_owned()),
        ErrorKind::MissingRequiredArgument if command.get_positionals().next().is_some() => {
            let names: Vec<_> = command.get_positionals().map(Arg::to_string).collect();
            Some(format!("write `microgpt {} {}`", command.get_name(), names.join(" ")))
        }
        _ => rest.lines().find_map(|line| line.trim().strip_prefix("tip: ")).map(str::to_owned),
    };
    let help = help(command);
    let hint = tip.map_or_else(|| help.clone(), |tip| format!("{tip}; {help}"));
    Error::usage(message.trim_start_matches("error: ").trim_end(), hint).into()
}

/// Returns the tip for a flag that does not exist. Other programs may have it, or it may be misspelt.
fn unknown_flag_tip(error: &clap::Error) -> Option<String> {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    let given = text(ContextKind::InvalidArg)?;
    foreign_flags::hint(given).map(str::to_owned).or_else(|| {
        let flag = text(ContextKind::SuggestedArg)?;
        foreign_flags::is_similar(given, flag).then(|| format!("perhaps `{flag}`"))
    })
}

/// Returns the error of a command's flag that does not take its value, if `error` is of that kind.
pub(super) fn invalid_value(command: &Command, error: &clap::Error, sweeps: &[Sweep]) -> Option<Error> {
    let expected = match (error.source(), error.get(ContextKind::ValidValue)) {
        (Some(expected), _) => Some(expected.to_string()),
        (None, Some(ContextValue::Strings(values))) if !values.is_empty() => {
            Some(format!("expected one of {}", values.join(", ")))
        }
        _ => None,
    };
    let given = (error.get(ContextKind::InvalidArg), error.get(ContextKind::InvalidValue));
    let ((Some(arg), Some(value)), Some(expected)) = (given, expected) else { return None };
    let (arg, value) = (arg.to_string(), value.to_string());
    let mut command = command.clone();
    command.build();
    let flag = command.get_arguments().find(|flag| flag.to_string() == arg);
    let name = flag.and_then(Arg::get_long).unwrap_or_default();
    let variable = flag.and_then(Arg::get_env).filter(|&variable| env::var_os(variable) == Some(value.as_str().into()));
    let default = flag.and_then(|flag| flag.get_default_values().first()).map(|value| value.display());
    let (given, hint) = match (variable.map(OsStr::display), default) {
        (Some(variable), _) => (format!("{variable}={value}"), format!("unset {variable}, or give it such a value; ")),
        (None, Some(default)) => (format!("--{name} {value}"), format!("the default is `--{name} {default}`; ")),
        (None, None) => (format!("--{name} {value}"), String::new()),
    };
    let sweep = sweeps.iter().find(|sweep| sweep.flag == name);
    let sweep = sweep.map_or(String::new(), |Sweep { text, .. }| format!("`--sweep {text}`: "));
    Some(Error::usage(format!("{sweep}`{given}`: {expected}"), hint + &help(&command)))
}

/// Makes an error one of a wrong command line, for clap to print in its colours and with its exit code.
impl From<Error> for clap::Error {
    fn from(error: Error) -> Self {
        let report = error.report();
        let message = report.strip_prefix("error: ").unwrap_or(&report).to_owned() + "\n";
        // The command decides on the colours.
        Self::raw(ErrorKind::ValueValidation, message).with_cmd(&command())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clap_accepts_the_definition() {
        command().debug_assert();
    }
}
