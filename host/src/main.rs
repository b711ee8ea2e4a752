//! The `microgpt` program.
#![feature(alloc_error_hook)]

use std::alloc::set_alloc_error_hook;
use std::io::{self, Write};
use std::process::{self, ExitCode};

use microgpt::cli;
use microgpt::error::OutOfMemory;

fn main() -> ExitCode {
    set_alloc_error_hook(|layout| {
        // An `Error` would allocate.
        let _ = writeln!(io::stderr(), "error: {}\nhint: {}", OutOfMemory(layout.size()), OutOfMemory::HINT);
        process::exit(1);
    });
    cli::main()
}
