//! The documents that are generated from the definition of the command line, which are completion scripts and manual
//! pages.

use std::io;

use clap::builder::PossibleValuesParser;
use clap::{Arg, ValueHint};
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::args::{Cli, EXIT_CODES, FILES, SIGNALS};
use super::command::command;
use super::values::SWEPT;

/// The examples of the manual page, each with its explanation.
const EXAMPLES: [(&str, &str); 4] = [
    ("microgpt --input names.txt --save names.safetensors", "Trains on a file and saves the model."),
    ("microgpt sample names.safetensors --samples 5 --prompt an", "Samples from the saved model."),
    ("microgpt --resume names.safetensors --steps 1000 --save names.safetensors", "Trains the model further."),
    ("microgpt --sweep learning-rate=0.003,0.01 --metrics runs.csv", "Compares two learning rates."),
];

/// The environment variables, each with its explanation.
const ENVIRONMENT: [(&str, &str); 4] = [
    ("MICROGPT_DEVICE", "The device, if --device is not given."),
    ("MICROGPT_THREADS", "The number of CPU threads, if --threads is not given."),
    ("CUDA_VISIBLE_DEVICES", "The GPUs that NVIDIA's driver shows to the program."),
    ("NO_COLOR", "Colours are turned off if this is set."),
];

impl Cli {
    /// Returns the completion script or the manual page, if that is all that is asked for.
    pub(super) fn document(&self) -> Option<Vec<u8>> {
        let mut text = Vec::new();
        if let Some(shell) = self.completions {
            completions(shell, &mut text);
        } else if self.man_page {
            // Writing to memory cannot fail.
            let _ = man_page(&mut text);
        } else {
            return None;
        }
        Some(text)
    }
}

/// Writes the completion script for a shell. Only paths complete to the names of files.
fn completions(shell: Shell, out: &mut Vec<u8>) {
    let with_hint = |arg: Arg| {
        let is_path = |name: &str| name.starts_with("FILE") || name == "MODEL";
        let hint = match arg.get_value_names() {
            Some([name, ..]) if name.split('|').all(is_path) => ValueHint::FilePath,
            _ => ValueHint::Other,
        };
        if arg.get_action().takes_values() { arg.value_hint(hint) } else { arg }
    };
    let command = command().mut_args(with_hint).mut_subcommands(|command| command.mut_args(with_hint));
    let mut command = command.mut_arg("sweep", |arg| arg.value_parser(PossibleValuesParser::new(SWEPT)));
    clap_complete::generate(shell, &mut command, "microgpt", out);
}

/// Writes the manual page of the program, and that of each command, to which the first refers.
fn man_page(out: &mut Vec<u8>) -> io::Result<()> {
    let version = concat!("microgpt ", env!("CARGO_PKG_VERSION"));
    let usage = "microgpt [OPTION]...\n       microgpt COMMAND [OPTION]... [ARGUMENT]...";
    let mut program = command().after_help(None::<&str>).override_usage(usage);
    program.build();
    let page = Man::new(program.clone()).source(version);
    page.render_title(out)?;
    page.render_name_section(out)?;
    page.render_synopsis_section(out)?;
    page.render_description_section(out)?;
    page.render_options_section(out)?;
    page.render_subcommands_section(out)?;
    for (title, text) in [("FILES", FILES), ("SIGNALS", SIGNALS), ("EXIT STATUS", EXIT_CODES)] {
        Roff::new().control("SH", [title]).text([roman(text)]).to_writer(out)?;
    }
    section(out, "ENVIRONMENT", &ENVIRONMENT)?;
    section(out, "EXAMPLES", &EXAMPLES)?;
    for subcommand in program.get_subcommands() {
        let arguments = subcommand.get_positionals().map(Arg::to_string).collect::<Vec<_>>().join(" ");
        let usage = format!("microgpt {} [OPTION]... {arguments}", subcommand.get_name());
        Man::new(subcommand.clone().override_usage(usage)).source(version).render(out)?;
    }
    Ok(())
}

/// Writes a section of terms and their explanations.
fn section(out: &mut Vec<u8>, title: &str, terms: &[(&str, &str)]) -> io::Result<()> {
    let mut roff = Roff::new();
    roff.control("SH", [title]);
    for (term, text) in terms {
        roff.control("TP", []).text([bold(*term)]).text([roman(*text)]);
    }
    roff.to_writer(out)
}
