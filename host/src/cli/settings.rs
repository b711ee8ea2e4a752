//! The settings of a run, which are the flags that decide its models. Checkpoints and metrics state them, and a
//! configuration file gives them.

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::{Map, Value};

use crate::checkpoint::{DIMENSIONS, MODE, to_flag};

/// The heading of the flags of sampling, which do not decide a model.
pub(super) const SAMPLING: &str = "Sampling";

/// The flag for the number of validation documents. Its default depends on the number of models and on the corpus.
pub(super) const VAL_DOCS: &str = "val-docs";

/// The other flags that are no settings. They do not decide a model, or they end a run before its last step.
const OTHERS: [&str; 17] = [
    "completions",
    "config",
    "device",
    "gpu",
    "help",
    "log-every",
    "man-page",
    "metrics",
    "page",
    "plot",
    "quiet",
    "resume",
    "save",
    "save-best",
    "save-every",
    "stop-after",
    "threads",
];

/// The settings that a checkpoint states of its own model, beside the dimensions. Each has a flag of its name.
const SETTINGS: [&str; 13] = [
    MODE,
    "seed",
    "normalize",
    "steps",
    "batch",
    "learning_rate",
    "warmup",
    "min_lr",
    "beta1",
    "beta2",
    "eps",
    "weight_decay",
    "max_grad_norm",
];

/// The keys that a flag without a value sets, the value that it sets, and the flag.
const SWITCHES: [(&str, bool, &str); 3] =
    [("shuffle", false, "no-shuffle"), ("keep_spaces", true, "keep-spaces"), ("dedup", true, "dedup")];

/// Returns the settings that a checkpoint states of its own model, by their flags without dashes. They differ from
/// those of the whole run where that trained several models.
pub(super) fn own_settings(description: &Value) -> Map<String, Value> {
    let keys = DIMENSIONS.iter().chain(&SETTINGS).filter(|&&key| !description[key].is_null());
    let mut settings: Map<String, Value> = keys.map(|&key| (to_flag(key), description[key].clone())).collect();
    for (key, value, flag) in SWITCHES {
        if description[key] == value {
            settings.insert(flag.to_owned(), true.into());
        }
    }
    settings
}

/// Returns whether a checkpoint states the setting of this flag, without dashes, for its own model.
pub(super) fn is_own(flag: &str) -> bool {
    SWITCHES.iter().any(|&(.., switch)| switch == flag)
        || DIMENSIONS.iter().chain(&SETTINGS).any(|key| to_flag(key) == flag)
}

/// Returns whether a flag's value is a number, by the name of its value.
pub(super) fn is_number(arg: &Arg) -> bool {
    arg.get_value_names().is_some_and(|names| matches!(names[0].as_str(), "N" | "X" | "B" | "N|all"))
}

/// Returns the long names of the flags that the command line gives.
pub(super) fn given(command: &Command, matches: &ArgMatches) -> Vec<String> {
    let is_given = |arg: &&Arg| matches.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine);
    command.get_arguments().filter(is_given).filter_map(Arg::get_long).map(str::to_owned).collect()
}

/// Returns whether a flag is a setting.
pub(super) fn is_setting(arg: &Arg) -> bool {
    arg.get_help_heading() != Some(SAMPLING) && arg.get_long().is_some_and(|flag| !OTHERS.contains(&flag))
}

/// Returns the settings, defaults included, by their flags without dashes.
pub(super) fn settings(command: &Command, matches: &ArgMatches) -> Map<String, Value> {
    let mut settings = Map::new();
    for arg in command.get_arguments().filter(|arg| is_setting(arg)) {
        let Some(flag) = arg.get_long() else { continue };
        let Ok(Some(values)) = matches.try_get_raw(arg.get_id().as_str()) else { continue };
        let values: Vec<Value> = values.filter_map(|value| value.to_str()).map(|text| value(arg, text)).collect();
        let setting = match arg.get_action() {
            ArgAction::SetTrue if matches.get_flag(arg.get_id().as_str()) => Some(Value::Bool(true)),
            ArgAction::SetTrue => None,
            ArgAction::Append => Some(Value::Array(values)),
            _ => values.into_iter().next().filter(|value| value != ""),
        };
        if let Some(setting) = setting {
            settings.insert(flag.to_owned(), setting);
        }
    }
    settings
}

/// Returns a value of a flag. One value has one notation, however the command line spells it.
fn value(arg: &Arg, text: &str) -> Value {
    let is_real = arg.get_value_names().is_some_and(|names| names[0] == "X");
    let number =
        if is_real { text.parse::<f64>().ok().map(Value::from) } else { text.parse::<u64>().ok().map(Value::from) };
    number.filter(|_| is_number(arg)).unwrap_or_else(|| Value::from(text))
}

/// Returns the arguments that give a setting, such as `--steps=500`.
pub(super) fn to_args(flag: &str, setting: &Value) -> Vec<String> {
    match setting {
        Value::Null | Value::Bool(false) => Vec::new(),
        Value::Bool(true) => vec![format!("--{flag}")],
        Value::Array(values) => values.iter().flat_map(|value| to_args(flag, value)).collect(),
        Value::String(text) => vec![format!("--{flag}={text}")],
        other => vec![format!("--{flag}={other}")],
    }
}

/// Returns the settings as a configuration file.
pub(super) fn to_toml(settings: &Map<String, Value>) -> String {
    let table: toml::Table =
        settings.iter().filter_map(|(flag, value)| Some((flag.clone(), toml_value(value)?))).collect();
    table.to_string()
}

/// Returns a setting as TOML has it. A number beyond 63 bits becomes a text.
fn toml_value(value: &Value) -> Option<toml::Value> {
    Some(match value {
        Value::Bool(yes) => (*yes).into(),
        Value::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(integer), ..) => integer.into(),
            (None, Some(large), _) => large.to_string().into(),
            (None, None, real) => real?.into(),
        },
        Value::String(text) => text.as_str().into(),
        Value::Array(values) => toml::Value::Array(values.iter().filter_map(toml_value).collect()),
        Value::Null | Value::Object(_) => return None,
    })
}
