//! Runs whose stdout or stderr is closed early or full.

#[cfg(target_os = "linux")]
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use super::*;

/// Waits for the end of a program, and kills it after a minute. Returns whether the program succeeded, and its stderr.
fn wait(mut child: Child) -> (bool, String) {
    let start = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if start.elapsed() > Duration::from_mins(1) {
            child.kill().unwrap();
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    (child.wait().unwrap().success(), stderr)
}

/// Starts the program, reads three lines and closes its stdout, as `| head -3` does.
fn head(folder: &Path, args: &str) -> (bool, String) {
    let mut command = Command::new(cargo_bin!("microgpt"));
    command.current_dir(folder).args(["--input", "names.txt"]).args(args.split_whitespace());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().take(3);
    assert_eq!(lines.map(Result::unwrap).last().unwrap(), "num params: 3488");
    wait(child)
}

#[test]
fn stdout_closed_early_ends_the_run_quietly() {
    let folder = Folder::new();
    for device in DEVICES {
        // A run that ignores the closed stdout would take hours.
        let (success, stderr) = head(folder.0.path(), &format!("--device {device} --steps 1000000000 --val-every 10"));
        assert!(success, "{device}: {stderr}");
        let notices = ["corpus: ", "memory: ", "device: ", "cut: "];
        assert!(stderr.lines().all(|line| notices.iter().any(|notice| line.starts_with(notice))), "{stderr}");
    }
    let (success, stderr) = head(folder.0.path(), "--steps 1 --samples 9007199254740992 --device cpu");
    assert!(success, "{stderr}");
}

#[test]
fn stdout_closed_early_does_not_lose_the_model() {
    let folder = Folder::new();
    let (success, stderr) = head(folder.0.path(), "--steps 300 --val-every 10 --save model");
    assert!(success && stderr.contains("saved: `model`\n"), "{stderr}");
    folder.run("--steps 0 --init-from model").assert().success();
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_under_stdout_is_an_error() {
    let folder = Folder::new();
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command = Command::new(cargo_bin!("microgpt"));
    command.current_dir(&folder.0).args(["--input", "names.txt"]);
    let output = command.stdout(full).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr.contains("error: cannot write to stdout\n  caused by: No space left"), "{stderr}");
    assert!(stderr.contains("\nhint: "), "{stderr}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_stderr_that_cannot_be_written_to_stops_nothing() {
    let folder = Folder::new();
    let full = || fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let run = |args: &str| {
        let mut command = Command::new(cargo_bin!("microgpt"));
        command.current_dir(&folder.0).args(["--input", "names.txt"]).args(args.split_whitespace());
        command.stderr(full()).output().unwrap()
    };
    assert!(run("--steps 2").status.success());
    assert_eq!(run("--top-k 19").status.code(), Some(1));
    assert_eq!(run("--steps 0").status.code(), Some(2));
}

#[cfg(target_os = "linux")]
#[test]
fn a_help_text_that_cannot_be_written_is_an_error_unless_nobody_reads_it() {
    for args in [&["--completions", "bash"][..], &["--man-page"], &["--help"], &["--version"]] {
        let run = |out: Stdio| Command::new(cargo_bin!("microgpt")).args(args).stdout(out).output().unwrap();
        let output = run(fs::OpenOptions::new().write(true).open("/dev/full").unwrap().into());
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        assert!(
            stderr.starts_with("error: cannot write to stdout") && stderr.contains("\nhint: "),
            "{args:?}: {stderr}"
        );
        // The read end of this pipe is closed.
        let (_, closed) = std::io::pipe().unwrap();
        let output = run(closed.into());
        assert!(output.status.success() && output.stderr.is_empty(), "{args:?}: {output:?}");
    }
}
