//! The tests of Windows' console events and code pages, and of files that another program has open.
#![allow(missing_docs)]
#![cfg(windows)]

use std::fs::{self, File};
use std::io::BufReader;
use std::os::windows::fs::OpenOptionsExt;
use std::os::windows::process::CommandExt;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use assert_cmd::cargo::cargo_bin;
use microgpt::atomic_file::AtomicFile;
use windows_sys::Win32::System::Console::{
    AllocConsole, COORD, CTRL_BREAK_EVENT, GenerateConsoleCtrlEvent, ReadConsoleOutputCharacterW, SetConsoleOutputCP,
};

mod common;
use common::{Folder, rest, wait_for};

/// The flag `CREATE_NEW_PROCESS_GROUP`. Console events go to process groups.
const NEW_GROUP: u32 = 0x200;
/// The flag `FILE_SHARE_READ` alone, by which a program forbids others to rename or replace a file that it has open.
const SHARE_READ: u32 = 1;

/// Gives this process a console, which its children inherit. Under Wine, the tests must run in a terminal.
fn console() {
    // SAFETY: the call takes no pointers. If there is a console already, the call fails.
    unsafe { AllocConsole() };
}

/// Starts a run that would not end, and waits for its first step.
fn training(folder: &Folder, args: &str) -> (Child, BufReader<ChildStdout>) {
    console();
    let mut command = Command::new(cargo_bin!("microgpt"));
    command.current_dir(&folder.0).args(["--input", "names.txt", "--device", "cpu"]).args(args.split_whitespace());
    command.args(["--steps", "1000000000", "--log-every", "1", "--val-every", "0"]).creation_flags(NEW_GROUP);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let stdout = wait_for(&mut child, "step");
    (child, stdout)
}

fn ctrl_break(child: &Child) {
    // SAFETY: the call takes two integers and no pointers.
    assert_ne!(unsafe { GenerateConsoleCtrlEvent(CTRL_BREAK_EVENT, child.id()) }, 0);
}

#[test]
#[ignore = "Wine cannot send the event: run with --ignored on Windows"]
fn ctrl_break_validates_saves_and_samples() {
    let folder = Folder::new();
    let (child, stdout) = training(&folder, "--samples 3 --save model.safetensors");
    ctrl_break(&child);
    let (code, out, err) = rest(child, stdout);
    assert_eq!(code, Some(130), "{err}");
    assert!(out.contains("\n  val loss: ") && out.contains("\n--- inference ---\n"), "{out}");
    assert!(err.contains("interrupted after step ") && err.contains("saved: `model.safetensors`"), "{err}");
    folder.run("--steps 0 --init-from model.safetensors").assert().success();
}

#[test]
#[ignore = "Wine cannot send the event: run with --ignored on Windows"]
fn ctrl_break_twice_ends_at_once() {
    let folder = Folder::new();
    let (child, stdout) = training(&folder, "--samples 1000000000000");
    ctrl_break(&child);
    thread::sleep(Duration::from_millis(300));
    let start = Instant::now();
    ctrl_break(&child);
    assert_eq!(rest(child, stdout).0, Some(130));
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_console_of_another_code_page_shows_all_characters() {
    console();
    let console = File::options().read(true).write(true).open("CONOUT$").unwrap();
    let folder = Folder::new();
    folder.write("letters.txt", "é\nλ\nж\nß\n".repeat(3));
    // SAFETY: the call takes an integer and no pointers. 437 is the code page of DOS.
    assert_ne!(unsafe { SetConsoleOutputCP(437) }, 0);
    let mut command = Command::new(cargo_bin!("microgpt"));
    command.current_dir(&folder.0).args([
        "--input",
        "letters.txt",
        "--device",
        "cpu",
        "--steps",
        "1",
        "--samples",
        "30",
    ]);
    assert!(command.stdout(console.try_clone().unwrap()).stderr(Stdio::null()).status().unwrap().success());
    let (mut shown, mut len) = (vec![0u16; 1 << 14], 0);
    let handle = std::os::windows::io::AsRawHandle::as_raw_handle(&console);
    // SAFETY: the console is open, `shown` has the stated length, and `len` outlives the call.
    let read = unsafe {
        let start = COORD { X: 0, Y: 0 };
        ReadConsoleOutputCharacterW(handle.cast(), shown.as_mut_ptr(), shown.len() as u32, start, &raw mut len)
    };
    let shown = String::from_utf16_lossy(&shown[..len as usize]);
    assert!(read != 0 && ['é', 'λ', 'ж', 'ß'].iter().all(|&letter| shown.contains(letter)), "{shown}");
}

#[test]
fn a_file_that_another_program_has_open_is_replaced_when_it_is_closed() {
    let folder = Folder::new();
    let path = folder.path("names.txt");
    let file = AtomicFile::new(&path).unwrap();
    let open = File::options().read(true).share_mode(SHARE_READ).open(&path).unwrap();
    let report = file.save(b"new").unwrap_err().report();
    assert!(report.contains("cannot save to") && report.contains("another program has it open"), "{report}");
    assert_eq!((fs::read(&path).unwrap(), folder.files()), (common::NAMES.into(), vec!["names.txt".to_owned()]));
    let closes = thread::spawn(|| {
        thread::sleep(Duration::from_millis(300));
        drop(open);
    });
    file.save(b"new").unwrap();
    closes.join().unwrap();
    assert_eq!((fs::read(&path).unwrap(), folder.files()), (b"new".to_vec(), vec!["names.txt".to_owned()]));
}

#[test]
fn names_of_devices_are_not_files() {
    let folder = Folder::new();
    for name in ["NUL", "nul", "CON", "COM1"] {
        let output = folder.run(&format!("--steps 1 --save {name}")).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && stderr.contains(&format!("cannot save to `{name}`")), "{name}: {stderr}");
    }
    assert_eq!(folder.files(), ["names.txt"]);
}
