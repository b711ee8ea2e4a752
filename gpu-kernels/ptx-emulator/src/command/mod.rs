//! The subcommands.

mod argument;
mod check;
mod coverage;
mod launch;
mod program;

use std::ffi::OsString;
use std::fmt::Display;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

/// An error for the user, which is printed as it is.
type Error = Box<dyn std::error::Error>;

/// Checks, runs and profiles kernels in PTX on the CPU.
#[derive(Parser)]
#[command(name = "ptx-emulator", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Lists the kernels of a module, and what the emulator does not support of each.
    Check {
        /// The PTX.
        file: PathBuf,
    },
    /// Launches a kernel, or runs a program on the emulated driver.
    ///
    /// `ptx-emulator run FILE --grid 4 --block 128 --arg f32[1024]=iota` launches a kernel and prints the arrays that it has
    /// changed. `ptx-emulator run -- PROGRAM ARGS` runs a program that finds the emulator in place of libcuda.so.1.
    Run {
        #[command(flatten)]
        launch: LaunchArgs,
        /// The library of the emulator. By default it lies beside this command.
        #[arg(long, value_name = "FILE")]
        library: Option<PathBuf>,
        /// The program and its arguments.
        #[arg(last = true)]
        program: Vec<OsString>,
    },
    /// Launches a kernel, and prints its instructions, conflicts and cycles by kind and by source line.
    Profile {
        #[command(flatten)]
        launch: LaunchArgs,
    },
    /// Lists the forms of arithmetic instructions that the emulator supports, or those of a module with the counts of its
    /// instructions.
    Coverage {
        /// A module, whose kernels are counted.
        file: Option<PathBuf>,
    },
}

/// A launch of a kernel.
#[derive(Args)]
struct LaunchArgs {
    /// The PTX.
    file: Option<PathBuf>,
    /// The kernel, which may be left out if the module has one.
    #[arg(long, value_name = "NAME")]
    kernel: Option<String>,
    /// The blocks of the grid along x, y and z.
    #[arg(long, value_name = "X[,Y[,Z]]", default_value = "1", value_parser = argument::dimensions)]
    grid: [u32; 3],
    /// The threads of a block along x, y and z.
    #[arg(long, value_name = "X[,Y[,Z]]", default_value = "32", value_parser = argument::dimensions)]
    block: [u32; 3],
    /// The blocks of a cluster along x, y and z.
    #[arg(long, value_name = "X[,Y[,Z]]", default_value = "1", value_parser = argument::dimensions)]
    cluster: [u32; 3],
    /// The dynamic shared memory of a block in bytes.
    #[arg(long, value_name = "BYTES", default_value_t = 0)]
    shared: usize,
    /// An argument of the kernel, in their order. `TYPE=VALUE` is a number. `TYPE[N]=VALUES` is an array in global memory,
    /// where VALUES is a number, `iota`, `random`, `unset` or `@FILE`. TYPE is one of u8, s8, u16, s16, u32, s32, u64, s64,
    /// f32 and f64.
    #[arg(long = "arg", value_name = "TYPE=VALUE", value_parser = argument::parse, allow_hyphen_values = true)]
    arguments: Vec<argument::Argument>,
    /// The number of values that are printed of each array.
    #[arg(long, value_name = "N", default_value_t = 8)]
    show: usize,
    /// The largest number of threads that run the blocks of a launch. By default it is the number of cores.
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Settings as in the variable `PTX_EMULATOR`, which are added to those of the variable.
    #[arg(long, value_name = "KEY=VALUE,..", default_value = "")]
    set: String,
}

impl LaunchArgs {
    /// Returns the settings of the environment and of the command line.
    fn settings(&self) -> String {
        let inherited = std::env::var("PTX_EMULATOR").unwrap_or_default();
        let threads = self.threads.map_or(String::new(), |threads| format!("threads={threads}"));
        [inherited.as_str(), &threads, &self.set]
            .into_iter()
            .filter(|text| !text.is_empty())
            .collect::<Vec<_>>()
            .join(",")
    }
}

/// Reads a module.
fn read(path: &Path) -> Result<String, Error> {
    std::fs::read_to_string(path).map_err(|error| format!("cannot read `{}`: {error}", path.display()).into())
}

/// Prints a message to stderr, which may be closed.
fn report(message: impl Display) {
    let _ = writeln!(io::stderr(), "{message}");
}

/// Runs the command of the program's arguments.
pub fn main() -> ExitCode {
    let mut out = io::stdout();
    let done = match Cli::parse().command {
        Command::Check { file } => check::check(&file, &mut out),
        Command::Run { launch, library, program } if !program.is_empty() => {
            program::run(&program, library.as_deref(), &launch.settings())
        }
        Command::Run { launch, .. } => launch::run(&launch, false, &mut out),
        Command::Profile { launch } => launch::run(&launch, true, &mut out),
        Command::Coverage { file } => coverage::coverage(file.as_deref(), &mut out),
    };
    done.and_then(|code| out.flush().map(|()| code).map_err(Error::from)).unwrap_or_else(|error| {
        // A reader such as `head` closes its end when it has enough.
        let closed = error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe);
        if !closed {
            report(format_args!("error: {error}"));
        }
        ExitCode::FAILURE
    })
}
