//! The command line with its flags, its use of the library, and everything that is printed.

use std::env;
use std::io::{self, Write};
use std::process::ExitCode;

use crate::error::Result;

mod args;
mod command;
mod console;
mod interrupt;
mod parse;
mod samples;
mod session;
mod shared_args;
mod sweep;
mod values;

use args::Cli;
use console::printed;

/// Runs the program, and returns its exit code.
pub fn main() -> ExitCode {
    run().unwrap_or_else(|error| {
        let _ = writeln!(io::stderr(), "{}", error.report());
        ExitCode::FAILURE
    })
}

fn run() -> Result<ExitCode> {
    let cli = match Cli::read(env::args_os()) {
        Ok(cli) => cli,
        Err(error) => {
            // The help is a result, which stdout must take. Nothing can be done about a stderr that cannot be written.
            let written = error.print();
            if !error.use_stderr() {
                printed(written)?;
            }
            return Ok(ExitCode::from(error.exit_code() as u8));
        }
    };
    let Some(document) = cli.document() else { return session::run(&cli) };
    let mut out = io::stdout().lock();
    printed(out.write_all(&document).and_then(|()| out.flush()))?;
    Ok(ExitCode::SUCCESS)
}
