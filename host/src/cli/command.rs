//! The definition of the command line, the documents that are generated from it, and the errors of a wrong one.

use std::env;
use std::error::Error as _;
use std::ffi::OsStr;

use clap::builder::Resettable;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, CommandFactory};

use super::args::{Cli, split_sweep};
use crate::error::Error;

const HELP: &str = "`--help` describes every flag";

/// Returns the definition of the command line. An environment variable that is empty is ignored.
pub(super) fn command() -> Command {
    Cli::command().mut_args(|arg| {
        let is_empty = arg.get_env().and_then(env::var_os).is_some_and(|value| value.is_empty());
        let arg = if is_empty { arg.env(Resettable::Reset) } else { arg };
        // A negative number is taken as a value in every notation, so that the flag can refuse it by name.
        let is_number = arg.get_value_names().is_some_and(|names| matches!(names[0].as_str(), "N" | "X" | "B"));
        let takes_values = arg.get_action().takes_values();
        if is_number { arg.allow_hyphen_values(true) } else { arg.allow_negative_numbers(takes_values) }
    })
}

impl Cli {
    /// Returns the completion script or the manual page, if that is all that is asked for.
    pub(super) fn document(&self) -> Option<Vec<u8>> {
        let mut text = Vec::new();
        if let Some(shell) = self.completions {
            clap_complete::generate(shell, &mut command(), "microgpt", &mut text);
        } else if self.man_page {
            // Writing to memory cannot fail.
            let _ = clap_mangen::Man::new(command()).render(&mut text);
        } else {
            return None;
        }
        Some(text)
    }
}

/// Gives clap's error the form of [`Error`], with a hint. Help and version stay as they are. A value may come from one of
/// `sweeps`, `FLAG=X,Y,..` each.
pub(super) fn with_hint(error: clap::Error, sweeps: &[String]) -> clap::Error {
    if !error.use_stderr() {
        return error;
    }
    let expected = match (error.source(), error.get(ContextKind::ValidValue)) {
        (Some(expected), _) => Some(expected.to_string()),
        (None, Some(ContextValue::Strings(values))) if !values.is_empty() => {
            Some(format!("expected one of {}", values.join(", ")))
        }
        _ => None,
    };
    match (error.get(ContextKind::InvalidArg), error.get(ContextKind::InvalidValue), expected) {
        (Some(arg), Some(value), Some(expected)) => {
            usage_error(&invalid_value(&arg.to_string(), &value.to_string(), &expected, sweeps))
        }
        _ => usage_error(&general(&error)),
    }
}

/// Returns the error of a flag, as clap shows it in `arg`, that does not take `value`. The hint says where the value comes from.
fn invalid_value(arg: &str, value: &str, expected: &str, sweeps: &[String]) -> Error {
    let mut command = command();
    command.build();
    let flag = command.get_arguments().find(|flag| flag.to_string() == arg);
    let name = flag.and_then(clap::Arg::get_long).unwrap_or_default();
    let variable = flag.and_then(clap::Arg::get_env).filter(|&variable| env::var_os(variable) == Some(value.into()));
    let default = flag.and_then(|flag| flag.get_default_values().first()).map(|value| value.display());
    let (given, hint) = match (variable.map(OsStr::display), default) {
        (Some(variable), _) => (format!("{variable}={value}"), format!("unset {variable}, or give it such a value; ")),
        (None, Some(default)) => (format!("--{name} {value}"), format!("the default is `--{name} {default}`; ")),
        (None, None) => (format!("--{name} {value}"), String::new()),
    };
    let sweep = sweeps.iter().find(|sweep| split_sweep(sweep).is_some_and(|(flag, _)| flag == name));
    let sweep = sweep.map_or(String::new(), |sweep| format!("`--sweep {sweep}`: "));
    Error::usage(format!("{sweep}`{given}`: {expected}"), hint + HELP)
}

/// Returns any other error of clap. Its first paragraph is the message, and another may be a tip.
fn general(error: &clap::Error) -> Error {
    let text = error.render().to_string();
    let (message, rest) = text.split_once("\n\n").unwrap_or((&text, ""));
    let tip = rest.lines().find_map(|line| line.trim().strip_prefix("tip: "));
    let hint = tip.map_or(HELP.to_owned(), |tip| format!("{tip}; {HELP}"));
    Error::usage(message.trim_start_matches("error: ").trim_end(), hint)
}

/// Returns `error` for clap to print, in clap's colours and with its exit code.
pub(super) fn usage_error(error: &Error) -> clap::Error {
    let report = error.report();
    let message = report.strip_prefix("error: ").unwrap_or(&report).to_owned() + "\n";
    // The command decides on the colours.
    clap::Error::raw(ErrorKind::ValueValidation, message).with_cmd(&command())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clap_accepts_the_definition() {
        command().debug_assert();
    }
}
