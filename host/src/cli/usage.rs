//! The errors of a wrong command line.

use std::env;
use std::error::Error as _;
use std::ffi::OsStr;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::command::command;
use super::values::split_sweep;
use crate::error::Error;

const HELP: &str = "`--help` describes every flag";

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
