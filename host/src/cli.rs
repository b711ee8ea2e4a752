//! The command line with its flags, its use of the library, and everything that is printed.

use std::env;
use std::io::{self, Write};
use std::process::ExitCode;

use crate::error::Error;

mod args;
mod command;
mod console;
mod group;
mod parse;
mod samples;
mod session;
mod sweep;

use args::Cli;
use console::printed;

/// Runs the program, and returns its exit code.
pub fn main() -> ExitCode {
    let cli = match Cli::read(env::args_os()) {
        Ok(cli) => cli,
        Err(error) => {
            // Nothing can be done about a stderr that cannot be written. The help goes to stdout.
            let printed = if error.use_stderr() { error.print().or(Ok(())) } else { printed(error.print()) };
            return printed.map_or_else(|error| fail(&error), |()| ExitCode::from(error.exit_code() as u8));
        }
    };
    let ended = match cli.document() {
        Some(text) => {
            let mut out = io::stdout().lock();
            printed(out.write_all(&text).and_then(|()| out.flush())).map(|()| ExitCode::SUCCESS)
        }
        None => session::run(&cli),
    };
    ended.unwrap_or_else(|error| fail(&error))
}

fn fail(error: &Error) -> ExitCode {
    // Nothing can be done about a stderr that cannot be written.
    let _ = writeln!(io::stderr(), "{}", error.report());
    ExitCode::FAILURE
}
