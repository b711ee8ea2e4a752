//! System calls that fail or fall short.

use std::env;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::OnceLock;

use assert_cmd::cargo::cargo_bin;
use tempfile::TempDir;

use crate::common::{Folder, untimed};

const SAVE: &str = "--device cpu --steps 20 --save model.safetensors --metrics steps.jsonl";

/// Returns the library of `shim.rs`, which is compiled once.
fn shim() -> &'static Path {
    static SHIM: OnceLock<TempDir> = OnceLock::new();
    let folder = SHIM.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/faults/shim.rs");
        let mut rustc = Command::new(env::var_os("RUSTC").unwrap_or("rustc".into()));
        rustc.args(["--edition", "2024", "-O", "--crate-type", "cdylib", "--crate-name", "shim", source, "--out-dir"]);
        let output = rustc.arg(folder.path()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        folder
    });
    folder.path()
}

/// A fault of the system calls on a file.
struct Fault {
    call: &'static str,
    file: &'static str,
    /// The error's number, or 0 for calls that transfer seven bytes at most.
    error: i32,
    /// The number of calls that succeed before.
    after: usize,
}

fn on_names(args: &str) -> String {
    format!("--input names.txt {args}")
}

fn run(folder: &Folder, args: &str, fault: &Fault) -> Output {
    let mut command = Command::new(cargo_bin!("microgpt"));
    command.current_dir(&folder.0).args(args.split_whitespace()).env("LD_PRELOAD", shim().join("libshim.so"));
    command.env("FAULT_CALL", fault.call).env("FAULT_FILE", fault.file);
    command.env("FAULT_ERROR", fault.error.to_string()).env("FAULT_AFTER", fault.after.to_string());
    command.output().unwrap()
}

#[test]
fn a_save_that_fails_at_any_call_leaves_the_checkpoint_before() {
    let folder = Folder::new();
    folder.stdout(&format!("{SAVE} --seed 1"));
    let old = fs::read(folder.path("model.safetensors")).unwrap();
    let temporary = ".model.safetensors.microgpt-tmp";
    for (call, file, error, cause) in [
        ("write", temporary, libc::EIO, "Input/output error"),
        ("write", temporary, libc::ENOSPC, "No space left"),
        ("write", temporary, libc::EDQUOT, "quota exceeded"),
        ("fsync", temporary, libc::EIO, "Input/output error"),
        ("rename", "/model.safetensors", libc::EIO, "Input/output error"),
        ("rename", "/model.safetensors", libc::EACCES, "Permission denied"),
        ("rename", "/model.safetensors", libc::EROFS, "Read-only file system"),
    ] {
        let output = run(&folder, &on_names(SAVE), &Fault { call, file, error, after: 0 });
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{call}, {cause}: {stderr}");
        assert!(stderr.contains("cannot save to `model.safetensors`"), "{call}, {cause}: {stderr}");
        assert!(stderr.contains(cause) && stderr.contains("\nhint: "), "{call}, {cause}: {stderr}");
        assert!(fs::read(folder.path("model.safetensors")).unwrap() == old, "{call}, {cause}");
        assert_eq!(folder.files(), ["model.safetensors", "names.txt", "steps.jsonl"], "{call}, {cause}");
    }
}

#[test]
fn short_and_interrupted_transfers_change_nothing() {
    let plain = Folder::new();
    let expected = plain.stdout(SAVE);
    let model = fs::read(plain.path("model.safetensors")).unwrap();
    for (call, file) in [("write", ""), ("read", "names.txt")] {
        let folder = Folder::new();
        let output = run(&folder, &on_names(SAVE), &Fault { call, file, error: 0, after: 0 });
        assert!(output.status.success(), "{call}: {}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(untimed(&String::from_utf8(output.stdout).unwrap()), expected, "{call}");
        assert!(fs::read(folder.path("model.safetensors")).unwrap() == model, "{call}");
        let metrics = fs::read_to_string(folder.path("steps.jsonl")).unwrap();
        assert_eq!(metrics.lines().count(), 20, "{call}");
    }
    let fault = Fault { call: "read", file: "model.safetensors", error: 0, after: 0 };
    let short = run(&plain, "sample model.safetensors", &fault);
    assert!(short.status.success(), "{}", String::from_utf8_lossy(&short.stderr));
    let whole = plain.program("sample model.safetensors").output().unwrap();
    assert_eq!(short.stdout, whole.stdout);
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let folder = Folder::new();
    folder.stdout(SAVE);
    for (args, file) in [
        ("--input names.txt --device cpu --steps 2", "names.txt"),
        ("sample model.safetensors", "model.safetensors"),
        ("info model.safetensors", "model.safetensors"),
        ("eval model.safetensors names.txt", "names.txt"),
    ] {
        let output = run(&folder, args, &Fault { call: "read", file, error: libc::EIO, after: 0 });
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{args}: {stderr}");
        assert!(stderr.contains(&format!("`{file}`")) && stderr.contains("Input/output error"), "{args}: {stderr}");
        assert!(stderr.contains("\nhint: "), "{args}: {stderr}");
    }
}
