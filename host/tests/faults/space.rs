//! A disk that is full.

use std::fs;
use std::process::Command;

use assert_cmd::cargo::cargo_bin;

use crate::common::{Folder, NAMES};

/// Runs a script in a namespace of its own, in which it can mount a disk of 64 KB at `disk`. Returns `None` where the
/// system permits no namespaces.
fn with_small_disk(folder: &Folder, script: &str) -> Option<String> {
    fs::create_dir_all(folder.path("disk")).unwrap();
    let script = format!("mount -t tmpfs -o size=64k none disk && echo mounted && {{ {script}; }} 2>&1");
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "bash", "-c", &script]).current_dir(&folder.0);
    let output = command.output().ok()?;
    let text = String::from_utf8(output.stdout).unwrap();
    text.strip_prefix("mounted\n").map(str::to_owned)
}

// A checkpoint takes 46 KB, so that the disk holds one and not two.
#[test]
fn a_full_disk_keeps_the_checkpoint_that_it_has() {
    let folder = Folder::new();
    let program = cargo_bin!("microgpt").display().to_string();
    let args = "--input names.txt --device cpu --steps 20 --log-every 0 --samples 1";
    let script = format!(
        "'{program}' {args} --save disk/model.safetensors >/dev/null && echo first
         cp disk/model.safetensors before
         '{program}' {args} --seed 7 --save disk/model.safetensors; echo code $?
         cmp disk/model.safetensors before && ls -A disk"
    );
    let Some(output) = with_small_disk(&folder, &script) else {
        println!("skipped: a full disk, since the system permits no namespaces");
        return;
    };
    assert!(output.contains("\nfirst\n"), "{output}");
    assert!(output.contains("error: cannot save to `disk/model.safetensors`"), "{output}");
    assert!(output.contains("No space left on device") && output.contains("\nhint: "), "{output}");
    assert!(output.ends_with("code 1\nmodel.safetensors\n"), "{output}");
    assert_eq!(fs::read_to_string(folder.path("names.txt")).unwrap(), NAMES);
}
