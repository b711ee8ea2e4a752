//! Any arguments are a command line or an error with a hint. The input has an argument on each line.
#![no_main]

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use libfuzzer_sys::fuzz_target;
use microgpt::cli;

fuzz_target!(|bytes: &[u8]| {
    let args = bytes.split(|&byte| byte == b'\n').map(|arg| OsStr::from_bytes(arg).to_owned());
    if let Err(text) = cli::check(std::iter::once(OsString::from("microgpt")).chain(args)) {
        let is_help = text.contains("\nUsage: ") || text.starts_with("microgpt ");
        assert!(is_help || text.starts_with("error: ") && text.contains("\nhint: "), "{text}");
    }
});
