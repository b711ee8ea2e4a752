//! A folder to run the program in, for the tests of the program.
#![allow(dead_code, reason = "no test uses all of it")]

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{self, Child, ChildStdout};
use std::time::Duration;

use assert_cmd::Command;
use assert_cmd::cargo::cargo_bin_cmd;
use predicates::prelude::*;
use safetensors::SafeTensors;
use serde_json::Value;
use tempfile::TempDir;

/// A corpus of twelve names.
pub const NAMES: &str = "emma\nolivia\nava\nisabella\nsophia\ncharlotte\nmia\namelia\nharper\nevelyn\nabigail\nemily\n";

/// A temporary folder with [`NAMES`] as `names.txt`, in which programs run.
pub struct Folder(pub TempDir);

impl Folder {
    pub fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        folder.write("names.txt", NAMES);
        folder
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::write(self.path(name), text).unwrap();
    }

    /// Returns a command for the program with these arguments, which are separated by spaces.
    pub fn program(&self, args: &str) -> Command {
        let mut command = cargo_bin_cmd!("microgpt");
        command.current_dir(&self.0).args(args.split_whitespace());
        for variable in ["MICROGPT_DEVICE", "MICROGPT_THREADS"] {
            command.env_remove(variable);
        }
        command.timeout(Duration::from_mins(2));
        command
    }

    /// Returns a command for the program with these arguments on [`NAMES`].
    pub fn run(&self, args: &str) -> Command {
        self.program(&format!("--input names.txt {args}"))
    }

    /// Runs the program on [`NAMES`]. Returns its stdout without the times.
    pub fn stdout(&self, args: &str) -> String {
        let output = self.run(args).assert().success().get_output().clone();
        untimed(&String::from_utf8(output.stdout).unwrap())
    }

    /// Returns the metadata of a checkpoint, without the checksum, so that it can be changed.
    pub fn metadata(&self, file: &str) -> Value {
        let bytes = fs::read(self.path(file)).unwrap();
        let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
        let mut metadata: Value = serde_json::from_str(&header.metadata().as_ref().unwrap()["microgpt"]).unwrap();
        metadata.as_object_mut().unwrap().remove("crc32");
        metadata
    }

    /// Writes the checkpoint `to` with the tensors of `from` and this metadata.
    pub fn write_checkpoint(&self, to: &str, from: &str, metadata: Option<Value>) {
        let bytes = fs::read(self.path(from)).unwrap();
        let metadata = metadata.map(|metadata| HashMap::from([("microgpt".to_owned(), metadata.to_string())]));
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        self.write(to, safetensors::serialize(tensors.tensors(), metadata).unwrap());
    }

    /// Returns the sorted names of the files in the folder.
    pub fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap();
        let mut files: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        files.sort();
        files
    }
}

/// Returns text that the system's message of a failure contains, `unix` on Unix. Windows has messages in the user's
/// language.
pub fn system(unix: &'static str) -> &'static str {
    if cfg!(windows) { "os error" } else { unix }
}

/// Removes the times from the program's stdout.
pub fn untimed(stdout: &str) -> String {
    let untimed = |line: &str| match line.rsplit_once(" | ") {
        Some((step, _)) if line.starts_with("step") => format!("{step}\n"),
        _ => format!("{line}\n"),
    };
    stdout.lines().map(untimed).collect()
}

/// Asserts that the command fails with this code and an empty stdout. Its stderr must have an `error:`, all of `parts`,
/// and a `hint:`.
#[track_caller]
pub fn refused(mut command: Command, code: i32, parts: &[&str]) {
    let mut assert = command.assert().code(code).stdout("");
    assert = assert.stderr(predicate::str::starts_with("error: ").and(predicate::str::contains("\nhint: ")));
    for &part in parts {
        assert = assert.stderr(predicate::str::contains(part));
    }
}

/// Waits for a line that starts with `begin`. Returns the rest of stdout.
pub fn wait_for(child: &mut Child, begin: &str) -> BufReader<ChildStdout> {
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.starts_with(begin) {
        line.clear();
        assert!(stdout.read_line(&mut line).unwrap() > 0, "it ends before the first {begin}");
    }
    stdout
}

/// Waits for the end of a run. Returns its exit code, the rest of its stdout and its stderr.
pub fn rest(mut child: Child, mut stdout: impl Read) -> (Option<i32>, String, String) {
    let (mut out, mut err) = (String::new(), String::new());
    stdout.read_to_string(&mut out).unwrap();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    (child.wait().unwrap().code(), out, err)
}

/// Returns a Python that has the packages `safetensors` and `NumPy`, from `target/python`, which CI makes, or from the
/// system.
pub fn python() -> Option<PathBuf> {
    let venv = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/python/bin/python");
    [venv, "python3".into()].into_iter().find(|python| {
        let imports = ["-c", "import numpy, safetensors.numpy"];
        process::Command::new(python).args(imports).output().is_ok_and(|output| output.status.success())
    })
}
