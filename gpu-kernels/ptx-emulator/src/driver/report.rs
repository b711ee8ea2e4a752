//! The messages to the user.

use std::fmt::Display;
use std::io::{Write, stderr};

/// Prints a message to stderr. The program may have closed stderr, which must not change its results.
pub fn report(message: impl Display) {
    let _ = writeln!(stderr(), "emulator: {message}");
}
