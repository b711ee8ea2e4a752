//! Any bytes are a configuration file or an error with a hint.
#![no_main]

use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use microgpt::cli;
use tempfile::TempDir;

static FOLDER: LazyLock<TempDir> = LazyLock::new(|| {
    // Most systems have a file system in memory here, which is faster than a disk.
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a temporary folder")
});

static PATH: LazyLock<PathBuf> = LazyLock::new(|| FOLDER.path().join("fuzzed.toml"));

fuzz_target!(|bytes: &[u8]| {
    fs::write(&*PATH, bytes).unwrap();
    let args = ["microgpt".into(), "--config".into(), PATH.clone().into_os_string()];
    if let Err(text) = cli::check(args) {
        assert!(text.starts_with("error: ") && text.contains("\nhint: "), "{text}");
    }
});
