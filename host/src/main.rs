//! The `microgpt` program.
#![feature(alloc_error_hook)]

use std::alloc::set_alloc_error_hook;
use std::process::ExitCode;

use microgpt::cli;

fn main() -> ExitCode {
    set_alloc_error_hook(|layout| cli::exit_without(layout.size()));
    cli::main()
}
