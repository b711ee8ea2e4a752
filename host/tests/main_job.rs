//! The job of the README, on the names that the program carries, leaves the same checkpoint on every system and
//! processor.
#![allow(missing_docs)]

use std::path::Path;
use std::process::Command;

use assert_cmd::cargo::cargo_bin;
use common::Folder;
use microgpt::corpus::EMBEDDED;
use sha2::{Digest, Sha256};

mod common;
#[cfg(cuda)]
mod emulated;

/// The SHA-256 of the checkpoint's tensors. If the kernels' arithmetic changes on purpose, update the record.
const TENSORS: &str = "3bc8814104962b2f5440da16b1400a4c3e22b09629d18cfeda71e34063619983";

/// The SHA-256 of the whole checkpoint. The header states all settings, so a new setting changes the record, too.
const FILE: &str = "8fd993291b031d844d9cc6e16655646c7f42eb430f318edb7d6a92d16d4143b9";

/// Runs the job by the program that `command` returns, and compares the checkpoint with the records. The job leaves its
/// validations out, which take the emulated driver long, so that the checkpoint states no validation loss.
fn assert_leaves_the_checkpoint_of_record(command: impl FnOnce(&Path) -> Command, args: &str) {
    let folder = Folder::new();
    folder.write("names.txt", EMBEDDED);
    let mut command = command(cargo_bin!("microgpt"));
    command.current_dir(&folder.0).args(["--input", "names.txt", "--save", "model.safetensors", "--steps", "500"]);
    command.args(["--val-every", "0"]);
    let output = command.args(args.split_whitespace()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let bytes = std::fs::read(folder.path("model.safetensors")).unwrap();
    let tensors = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    assert_eq!(format!("{:x}", Sha256::digest(&bytes[tensors..])), TENSORS, "tensors");
    assert_eq!(format!("{:x}", Sha256::digest(&bytes)), FILE, "file");
}

#[test]
fn the_main_job_leaves_the_checkpoint_of_record() {
    assert_leaves_the_checkpoint_of_record(|program| Command::new(program), "--device cpu");
}

#[cfg(cuda)]
#[test]
fn the_main_job_leaves_the_checkpoint_of_record_on_the_emulated_driver() {
    let emulator = emulated::Emulator::new();
    let args = "--device cuda --samples 1";
    assert_leaves_the_checkpoint_of_record(|program| emulator.command(program, "timeout=1"), args);
}
