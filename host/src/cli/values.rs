//! The values that flags take, and what is said of those that they do not take.

use std::env;
use std::error::Error as _;
use std::ffi::OsStr;
use std::ops::RangeInclusive;

use clap::builder::ValueParser;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::command;
use super::sweep::swept;
use crate::error::Error;

/// The largest size of a model: indices fit 32 bits on every device.
const MAX_SIZE: u64 = 1 << 30;

/// Reads a whole number within `range`.
pub(super) fn whole<T: TryFrom<u64> + Clone + Send + Sync + 'static>(range: RangeInclusive<u64>) -> ValueParser {
    ValueParser::new(move |text: &str| {
        let number = text.parse().ok().filter(|number| range.contains(number));
        number
            .and_then(|number| T::try_from(number).ok())
            .ok_or_else(|| format!("expected a whole number from {} to {}", range.start(), range.end()))
    })
}

/// Reads a size of the model.
pub(super) fn size() -> ValueParser {
    whole::<usize>(1..=MAX_SIZE)
}

/// Reads a number from `min` to `max`, which `expected` describes. NaN is in no range.
fn real(min: f64, max: f64, expected: &'static str) -> ValueParser {
    ValueParser::new(move |text: &str| {
        let number = text.parse().ok().filter(|number| (min..=max).contains(number));
        number.ok_or_else(|| format!("expected a number {expected}"))
    })
}

// The kernels compute in `f32`: what overflows there, or becomes zero or one, is refused here.

pub(super) fn not_negative() -> ValueParser {
    real(0.0, f32::MAX.into(), "from 0 to 3.4e38")
}

pub(super) fn positive() -> ValueParser {
    real(f32::MIN_POSITIVE.into(), f32::MAX.into(), "above 0, from 1.2e-38 to 3.4e38")
}

pub(super) fn below_one() -> ValueParser {
    real(0.0, 1.0f32.next_down().into(), "from 0 to below 1")
}

/// Gives clap's error the form of [`Error`], with a hint; help and version stay as they are. A value may come from one of
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
    let (Some(arg), Some(value), Some(expected)) =
        (error.get(ContextKind::InvalidArg), error.get(ContextKind::InvalidValue), expected)
    else {
        return usage_error(&general(&error));
    };
    let mut command = command();
    command.build();
    let value = value.to_string();
    let flag = command.get_arguments().find(|flag| flag.to_string() == arg.to_string());
    let name = flag.and_then(clap::Arg::get_long).unwrap_or_default();
    let variable = flag.and_then(clap::Arg::get_env).filter(|&variable| env::var_os(variable) == Some((&value).into()));
    let default = flag.and_then(|flag| flag.get_default_values().first()).map(|value| value.display());
    let (what, hint) = match (variable.map(OsStr::display), default) {
        (Some(variable), _) => (format!("{variable}={value}"), format!("unset {variable}, or give it such a value; ")),
        (None, Some(default)) => (format!("--{name} {value}"), format!("the default is `--{name} {default}`; ")),
        (None, None) => (format!("--{name} {value}"), String::new()),
    };
    let sweep = sweeps.iter().find(|sweep| swept(sweep).is_some_and(|(flag, _)| flag == name));
    let sweep = sweep.map_or(String::new(), |sweep| format!("`--sweep {sweep}`: "));
    usage_error(&Error::new(format!("{sweep}`{what}`: {expected}")).hint(hint + HELP))
}

const HELP: &str = "`--help` describes every flag";

/// What clap says, of which the first paragraph is the error; another may be a tip.
fn general(error: &clap::Error) -> Error {
    let text = error.render().to_string();
    let (message, rest) = text.split_once("\n\n").unwrap_or((&text, ""));
    let tip = rest.lines().find_map(|line| line.trim().strip_prefix("tip: "));
    let hint = tip.map_or(HELP.to_owned(), |tip| format!("{tip}; {HELP}"));
    Error::new(message.trim_start_matches("error: ").trim_end()).hint(hint)
}

/// `error` as clap prints it, in clap's colours and with its exit code.
pub(super) fn usage_error(error: &Error) -> clap::Error {
    let report = error.report();
    let message = report.strip_prefix("error: ").unwrap_or(&report).to_owned() + "\n";
    // Of the command it takes the colours.
    clap::Error::raw(ErrorKind::ValueValidation, message).with_cmd(&command())
}
