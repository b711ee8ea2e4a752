//! Pipes that are slow, or closed from the start.

use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use assert_cmd::cargo::cargo_bin;

use crate::common::{Folder, NAMES, untimed};

#[test]
fn a_slow_corpus_and_a_slow_reader_change_nothing() {
    let folder = Folder::new();
    let expected = folder.stdout("--device cpu --steps 300");
    let mut command = Command::new(cargo_bin!("microgpt"));
    command.current_dir(&folder.0).args(["--input", "-", "--device", "cpu", "--steps", "300"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let writer = thread::spawn(move || {
        for bytes in NAMES.as_bytes().chunks(5) {
            stdin.write_all(bytes).unwrap();
            thread::sleep(Duration::from_millis(2));
        }
    });
    let mut stdout = child.stdout.take().unwrap();
    // SAFETY: the call takes any descriptor. The pipe holds a page, so the run waits for its reader.
    assert!(unsafe { libc::fcntl(stdout.as_raw_fd(), libc::F_SETPIPE_SZ, 4096) } >= 4096);
    let (mut text, mut part) = (Vec::new(), [0; 100]);
    loop {
        let len = stdout.read(&mut part).unwrap();
        if len == 0 {
            break;
        }
        text.extend(&part[..len]);
        thread::sleep(Duration::from_millis(2));
    }
    writer.join().unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(untimed(&String::from_utf8(text).unwrap()), expected);
}

// The descriptor of a closed stream must not become that of the checkpoint, into which the lines would go then.
#[test]
fn streams_that_are_closed_from_the_start_do_not_harm_the_checkpoint() {
    let folder = Folder::new();
    for closed in ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"] {
        let program = cargo_bin!("microgpt");
        let args = "--input names.txt --device cpu --steps 20 --save model.safetensors";
        let script = format!("exec '{}' {args} {closed}", program.display());
        let output = Command::new("bash").args(["-c", &script]).current_dir(&folder.0).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{closed}: {stderr}");
        folder.program("sample model.safetensors").assert().success();
        assert_eq!(folder.files(), ["model.safetensors", "names.txt"], "{closed}");
        std::fs::remove_file(folder.path("model.safetensors")).unwrap();
    }
}
