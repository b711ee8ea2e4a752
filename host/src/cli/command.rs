//! The definition of the command line, and the documents that are generated from it.

use std::env;

use clap::builder::Resettable;
use clap::{Command, CommandFactory};

use super::args::Cli;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clap_accepts_the_definition() {
        command().debug_assert();
    }
}
