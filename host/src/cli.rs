//! The command line with its flags, its use of the library, and everything that is printed.

use std::env;
use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use crate::cluster::Cluster;
use crate::error::Result;

mod args;
mod command;
mod config_file;
mod console;
mod document_args;
mod documents;
mod eval;
mod foreign_flags;
mod info;
mod interrupt;
mod loss;
mod memory;
mod notices;
mod overwrite;
mod page;
mod parse;
mod paths;
mod progress;
mod ranking;
mod sample;
mod samples;
mod save_path;
mod saved;
mod session;
mod settings;
mod shared_args;
mod start;
mod sweep;
mod values;

use args::{Cli, Task};
use console::printed;
pub use memory::exit_without;

/// Runs the program, and returns its exit code.
pub fn main() -> ExitCode {
    interrupt::survive_limits();
    let cluster = match Cluster::join() {
        Ok(cluster) => cluster,
        Err(error) => return failed(&error.report()),
    };
    let cluster = cluster.as_ref();
    cluster.inspect(|cluster| memory::name_process(cluster.name()));
    if let Some(cluster) = cluster.filter(|cluster| cluster.rank() > 0) {
        // Rank 0 decides what a signal ends, and a launcher sends signals to all ranks.
        return interrupt::watch(true).map_or(ExitCode::FAILURE, |_| cluster.serve());
    }
    run(cluster)
        .unwrap_or_else(|error| failed(&cluster.map_or_else(|| error.report(), |cluster| cluster.report(&error))))
}

/// Prints the report of an error, and returns the exit code.
fn failed(report: &str) -> ExitCode {
    let _ = writeln!(io::stderr(), "{report}");
    ExitCode::FAILURE
}

/// Reads a command line, which starts with the program's name, and runs nothing.
///
/// # Errors
/// Returns the text that the program prints for a wrong command line, or for one that asks for help.
pub fn check(args: impl IntoIterator<Item = OsString>) -> Result<(), String> {
    Cli::read(args).map(drop).map_err(|error| error.render().to_string())
}

fn run(cluster: Option<&Cluster>) -> Result<ExitCode> {
    let cli = match Cli::read(env::args_os()) {
        Ok(cli) => cli,
        Err(error) => {
            // The help is a result, which stdout must take. Nothing can be done about a stderr that cannot be written.
            match cluster {
                Some(cluster) if error.use_stderr() => {
                    let report = error.render().to_string();
                    failed(report.replacen("error: ", &format!("error: {}: ", cluster.name()), 1).trim_end());
                }
                _ if error.use_stderr() => drop(error.print()),
                _ => printed(error.print())?,
            }
            return Ok(ExitCode::from(error.exit_code() as u8));
        }
    };
    if let Some(document) = cli.document() {
        let mut out = io::stdout().lock();
        printed(out.write_all(&document).and_then(|()| out.flush()))?;
        return Ok(ExitCode::SUCCESS);
    }
    match &cli.task {
        None => return session::run(&cli, cluster),
        Some(Task::Sample(args)) => return sample::run(args, cli.quiet),
        Some(Task::Eval(args)) => eval::run(args, cli.quiet),
        Some(Task::Info(args)) => info::run(args),
    }?;
    Ok(ExitCode::SUCCESS)
}
