//! The command `info`, which describes a checkpoint.

use std::io;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde_json::Value;

use super::console::Console;
use crate::checkpoint;
use crate::error::Result;

/// The entries of a description in the order of the text. Others are in the JSON object alone.
const KEYS: &str = "params n_embd n_head n_layer block_size vocabulary step steps val_loss moments batch learning_rate \
                    beta1 beta2 eps weight_decay max_grad_norm seed shuffle corpus";

/// The most characters of the vocabulary that the text shows.
const MAX_CHARACTERS: usize = 64;

#[derive(Debug, Args)]
pub(super) struct InfoArgs {
    /// The checkpoint that `--save` wrote
    model: PathBuf,
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
    let description = checkpoint::describe(&args.model)?;
    let text = match args.format {
        Format::Text => text(&description),
        Format::Json => format!("{description}\n"),
    };
    Console::new(io::stdout().lock(), 0, false).write(&text)
}

/// Returns a line for each of [`KEYS`].
fn text(description: &Value) -> String {
    let value = |key: &str| match &description[key] {
        Value::Null => "not stated".to_owned(),
        Value::Bool(yes) => (if *yes { "yes" } else { "no" }).to_owned(),
        Value::Array(characters) => {
            let text: String = characters.iter().filter_map(Value::as_str).take(MAX_CHARACTERS).collect();
            let more = if characters.len() > MAX_CHARACTERS { " .." } else { "" };
            format!("{} tokens, <BOS> and {text:?}{more}", characters.len() + 1)
        }
        Value::String(text) => text.clone(),
        number => number.to_string(),
    };
    let lines: Vec<String> = KEYS.split(' ').map(|key| format!("{key:<14} {}\n", value(key))).collect();
    lines.concat()
}
