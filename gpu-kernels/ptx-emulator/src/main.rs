//! The command `ptx-emulator`, which checks, runs and profiles kernels in PTX, and runs programs on the emulated driver.

mod command;

use std::process::ExitCode;

fn main() -> ExitCode {
    command::main()
}
