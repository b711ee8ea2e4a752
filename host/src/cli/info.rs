//! The command `info`, which describes a checkpoint.

use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde_json::Value;

use super::console::Console;
use super::settings::{own_settings, to_toml};
use crate::error::{Error, Result};
use crate::{checkpoint, metrics};

/// The entries of a description in the order of the text. Others are in the JSON object alone.
const KEYS: &str = "params n_embd n_head n_layer block_size vocabulary step steps val_loss best moments batch \
                    learning_rate warmup min_lr beta1 beta2 eps weight_decay max_grad_norm seed shuffle keep_spaces \
                    normalize dedup corpus_mode corpus";

/// The most characters of the vocabulary that the text shows.
const MAX_CHARACTERS: usize = 64;

#[derive(Debug, Args)]
pub(super) struct InfoArgs {
    /// The checkpoint that `--save` wrote, or with --as-config also a file that `--metrics` wrote
    model: PathBuf,
    /// Print the settings of the run as a file for --config
    #[arg(long, conflicts_with = "format")]
    as_config: bool,
    /// The format of the description
    #[arg(long, default_value = "text")]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One line for each entry
    Text,
    /// One JSON object
    Json,
}

/// Describes the checkpoint that `args` names.
pub(super) fn run(args: &InfoArgs) -> Result<()> {
    let console = &mut Console::new(io::stdout().lock(), 0, false);
    if args.as_config {
        return console.write(&config(&args.model)?);
    }
    let description = describe(&args.model)?;
    let text = match args.format {
        Format::Text => text(&description),
        Format::Json => format!("{description}\n"),
    };
    console.write(&text)
}

/// Returns the description of a checkpoint that is not damaged.
fn describe(path: &Path) -> Result<Value> {
    let description = checkpoint::describe(path)?;
    checkpoint::check(path)?;
    Ok(description)
}

/// Returns the settings of the run that wrote a file of metrics or a checkpoint, as a configuration file.
fn config(path: &Path) -> Result<String> {
    let metrics = metrics::settings(path).map_err(|error| {
        let action = format!("read the settings in `{}`", path.display());
        Error::failed(action, "give a file that `--save` or `--metrics` wrote", error)
    })?;
    let settings = if let Some(settings) = metrics {
        settings
    } else {
        let mut description = describe(path)?;
        let own = own_settings(&description);
        serde_json::from_value(description["settings"].take()).unwrap_or(own)
    };
    if settings.is_empty() {
        let message = format!("`{}` does not state the settings of its run", path.display());
        return Err(Error::usage(message, "give a file that `--save` or `--metrics` wrote"));
    }
    Ok(to_toml(&settings))
}

/// Returns a line for each of [`KEYS`].
fn text(description: &Value) -> String {
    let value = |key: &str| match &description[key] {
        Value::Null => "not stated".to_owned(),
        Value::Bool(yes) => (if *yes { "yes" } else { "no" }).to_owned(),
        Value::Array(characters) if key == "vocabulary" => {
            let text: String = characters.iter().filter_map(Value::as_str).take(MAX_CHARACTERS).collect();
            let more = if characters.len() > MAX_CHARACTERS { " .." } else { "" };
            format!("{} tokens, <BOS> and {text:?}{more}", characters.len() + 1)
        }
        Value::String(text) => text.clone(),
        Value::Object(best) if best.contains_key("val_loss") && best.contains_key("step") => {
            format!("{} at step {}", best["val_loss"], best["step"])
        }
        other => other.to_string(),
    };
    let lines: Vec<String> = KEYS.split(' ').map(|key| format!("{key:<14} {}\n", value(key))).collect();
    lines.concat()
}
