//! Outputs that fail while a model is trained. None of them costs the model.
#![cfg(target_os = "linux")]

use std::fs::{self, File};
use std::io::Read;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use assert_cmd::cargo::cargo_bin;

mod common;
use common::Folder;

/// The flags of a run that would take hours.
const ENDLESS: &str = "--steps 1000000000 --val-every 0 --save model.safetensors";

/// Returns a command for the program in the folder.
fn program(folder: &Folder, args: &str) -> Command {
    let mut command = Command::new(cargo_bin!("microgpt"));
    command.current_dir(&folder.0).args(["--input", "names.txt", "--device", "cpu"]).args(args.split_whitespace());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn full() -> File {
    File::options().write(true).open("/dev/full").unwrap()
}

/// Asserts that the run has failed with this error, and saved the model before, so that the run can go on.
#[track_caller]
fn assert_saved(folder: &Folder, output: &Output, error: &str) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    let saved = "saved: `model.safetensors`\ngo on with the same flags and `--resume model.safetensors`\n";
    let report = stderr.split_once(saved).unwrap_or_else(|| panic!("{saved} in {stderr}")).1;
    assert!(report.starts_with(error) && report.contains("\nhint: "), "{report}");
    let info = folder.program("info model.safetensors --format json").output().unwrap();
    let info: serde_json::Value = serde_json::from_slice(&info.stdout).unwrap();
    assert!(info["step"].as_u64().unwrap() > 0, "{info}");
}

#[test]
fn metrics_on_a_full_disk_end_the_run_with_its_model() {
    let folder = Folder::new();
    let output = program(&folder, &format!("{ENDLESS} --metrics /dev/full")).output().unwrap();
    assert_saved(&folder, &output, "error: cannot write the metrics to `/dev/full`\n  caused by: No space left");
}

#[test]
fn a_reader_of_metrics_that_leaves_ends_the_run_with_its_model() {
    let folder = Folder::new();
    assert!(Command::new("mkfifo").arg(folder.path("pipe")).status().unwrap().success());
    let path = folder.path("pipe");
    let reader = thread::spawn(|| File::open(path).unwrap().read_exact(&mut [0; 100]).unwrap());
    let output = program(&folder, &format!("{ENDLESS} --metrics pipe")).output().unwrap();
    reader.join().unwrap();
    assert_saved(&folder, &output, "error: cannot write the metrics to `pipe`\n  caused by: Broken pipe");
}

#[test]
fn a_full_disk_under_stdout_ends_the_run_with_its_model() {
    let folder = Folder::new();
    // A limit on the size of files stands in for a full disk. The lines exceed it, and a checkpoint of 46 KB does not.
    let script = format!(
        "ulimit -f 60; exec '{}' --input names.txt --device cpu {ENDLESS} --log-every 1 > lines.txt",
        cargo_bin!("microgpt").display()
    );
    let output = Command::new("bash").args(["-c", &script]).current_dir(&folder.0).output().unwrap();
    assert_saved(&folder, &output, "error: cannot write to stdout\n  caused by: File too large");
    assert_eq!(folder.files(), ["lines.txt", "model.safetensors", "names.txt"]);
}

#[test]
fn a_best_model_that_cannot_be_saved_ends_the_run_with_its_model() {
    let folder = Folder::new();
    let flags = "--steps 1000000000 --val-every 400000 --save model.safetensors --save-best best-{step}.st";
    let mut child = program(&folder, flags).spawn().unwrap();
    let mut stdout = common::wait_for(&mut child, "step");
    // A folder takes the name after the check.
    fs::create_dir(folder.path("best-400000.st")).unwrap();
    thread::spawn(move || stdout.read_to_end(&mut Vec::new()));
    let output = child.wait_with_output().unwrap();
    assert_saved(&folder, &output, "error: cannot save to `best-400000.st`\n  caused by: ");
}

#[test]
fn a_plot_that_cannot_be_written_ends_the_run_after_its_model_is_saved() {
    let folder = Folder::new();
    let mut child = program(&folder, "--steps 50000 --save model.safetensors --plot losses.svg").spawn().unwrap();
    let mut stdout = common::wait_for(&mut child, "step");
    // A folder takes the name after the check.
    fs::create_dir_all(folder.path("losses.svg/inside")).unwrap();
    thread::spawn(move || stdout.read_to_end(&mut Vec::new()));
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("saved: `model.safetensors`\nerror: cannot save to `losses.svg`"), "{stderr}");
    assert_eq!(folder.files(), ["losses.svg", "model.safetensors", "names.txt"]);
}

#[test]
fn samples_that_cannot_be_written_are_an_error_after_the_model_is_saved() {
    let folder = Folder::new();
    for format in ["text", "jsonl"] {
        // Without losses on stdout, the lines of `--format jsonl` are the first that stdout refuses.
        let args = format!("--steps 20 --log-every 0 --format {format} --save {format}.safetensors");
        let output = program(&folder, &args).stdout(full()).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(stderr.contains("error: cannot write to stdout\n  caused by: No space left"), "{stderr}");
        assert_eq!(folder.path("jsonl.safetensors").exists(), format == "jsonl", "{stderr}");
    }
}

// The first saves find no space. The last save finds it, because the test has removed the limit by then.
#[test]
fn a_save_that_fails_on_the_way_is_repeated() {
    let folder = Folder::new();
    let script = format!(
        "ulimit -S -f 1; exec '{}' --input names.txt --device cpu --steps 40000 --val-every 0 --log-every 1000 \
         --samples 1 --save model.safetensors --save-every 1000",
        cargo_bin!("microgpt").display()
    );
    let mut command = Command::new("bash");
    command.args(["-c", &script]).current_dir(&folder.0).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdout = common::wait_for(&mut child, "step  2000");
    let limit = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: the limit is a live `rlimit`, and no old limit is asked for.
    let raised =
        unsafe { libc::prlimit(child.id() as i32, libc::RLIMIT_FSIZE, &raw const limit, std::ptr::null_mut()) };
    assert_eq!(raised, 0);
    thread::spawn(move || stdout.read_to_end(&mut Vec::new()));
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    let first = "not saved after step 1000: cannot save to `model.safetensors`: File too large";
    assert!(stderr.contains(first) && stderr.ends_with("saved: `model.safetensors`\n"), "{stderr}");
}

// A killed run leaves its lock, which holds nothing up.
#[test]
fn a_second_run_on_the_files_of_another_is_refused_until_that_one_has_ended() {
    for (flag, file) in [("--save", "model.safetensors"), ("--metrics", "steps.jsonl")] {
        let folder = Folder::new();
        let args = format!("--steps 1000000000 --val-every 0 --log-every 1 {flag} {file}");
        let mut first = program(&folder, &args).spawn().unwrap();
        let stdout = common::wait_for(&mut first, "step");
        for path in [file.to_owned(), format!("../{}/{file}", folder.0.path().file_name().unwrap().display())] {
            let second = program(&folder, &format!("--steps 1 --samples 0 {flag} {path}")).output().unwrap();
            let stderr = String::from_utf8_lossy(&second.stderr);
            assert_eq!(second.status.code(), Some(1), "{stderr}");
            let error = format!("error: another run writes to `{path}`\nhint: wait until that run has ended");
            assert!(stderr.starts_with(&error), "{stderr}");
        }
        // A plot of its own is no reason to refuse a run.
        let other =
            program(&folder, "--steps 1 --samples 0 --plot losses.svg --save other.safetensors").output().unwrap();
        assert!(other.status.success());
        first.kill().unwrap();
        drop(stdout);
        first.wait().unwrap();
        assert!(folder.path(&format!(".{file}.microgpt-lock")).exists());
        let third = program(&folder, &format!("--steps 1 --samples 0 {flag} {file}")).output().unwrap();
        assert!(third.status.success(), "{}", String::from_utf8_lossy(&third.stderr));
        let mut files = [file, "losses.svg", "names.txt", "other.safetensors"];
        files.sort_unstable();
        assert_eq!(folder.files(), files, "the lock is gone");
    }
}

#[test]
fn of_runs_that_start_at_once_on_one_file_a_single_one_writes_it() {
    let folder = Folder::new();
    let args = "--steps 1000000000 --val-every 0 --log-every 0 --metrics steps.jsonl";
    let mut runs: Vec<_> = (0..6).map(|_| program(&folder, args).spawn().unwrap()).collect();
    while runs.len() > 1 {
        let Some(ended) = runs.iter_mut().position(|run| run.try_wait().unwrap().is_some()) else {
            thread::sleep(Duration::from_millis(10));
            continue;
        };
        let output = runs.swap_remove(ended).wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(stderr.starts_with("error: another run writes to `steps.jsonl`"), "{stderr}");
    }
    let size = || fs::metadata(folder.path("steps.jsonl")).map_or(0, |metadata| metadata.len());
    while size() < 1 << 20 {
        thread::sleep(Duration::from_millis(10));
    }
    runs[0].kill().unwrap();
    runs[0].wait().unwrap();
    let metrics = fs::read_to_string(folder.path("steps.jsonl")).unwrap();
    // The kill may cut the last line.
    for (line, step) in metrics.lines().zip(1..metrics.lines().count()) {
        let object: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(object["step"], step);
    }
}

#[test]
fn threads_that_cannot_be_made_are_an_error() {
    let folder = Folder::new();
    // The stacks of 200 threads do not fit.
    let script = format!(
        "ulimit -v 200000; RAYON_NUM_THREADS=200 exec '{}' --input names.txt --device cpu --steps 2",
        cargo_bin!("microgpt").display()
    );
    let output = Command::new("bash").args(["-c", &script]).current_dir(&folder.0).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    // The system's own refusal comes first if threads that start beside it take the rest of the memory.
    let causes = ["out of memory\n", "Resource temporarily unavailable"];
    let error = "error: cannot start the threads of the CPU\n  caused by: ";
    assert!(causes.iter().any(|cause| stderr.contains(&format!("{error}{cause}"))), "{stderr}");
    assert!(stderr.contains("\nhint: ask for fewer by `--threads`"), "{stderr}");
}

/// Runs the program on the corpus with this limit of its address space.
fn with_memory(folder: &Folder, megabytes: u64, args: &str) -> Output {
    let limit = 1024 * megabytes;
    let script = format!("ulimit -v {limit}; exec '{}' {args}", cargo_bin!("microgpt").display());
    Command::new("bash").args(["-c", &script]).current_dir(&folder.0).output().unwrap()
}

// The less memory, the earlier the run fails.
#[test]
fn no_amount_of_memory_makes_the_program_panic() {
    let folder = Folder::new();
    // With less memory, the system cannot start the program.
    let least = (1..1000).find(|&megabytes| with_memory(&folder, megabytes, "--version").status.success()).unwrap();
    let mut codes = Vec::new();
    for more in [0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 100, 150, 200, 4000] {
        let args = "--input names.txt --device cpu --threads 2 --steps 20 --batch 8 --n-embd 64 --metrics steps.jsonl \
                    --plot losses.svg --save model.safetensors";
        let output = with_memory(&folder, least + more, args);
        let (code, stderr) = (output.status.code(), String::from_utf8_lossy(&output.stderr));
        assert!(!stderr.contains("panicked"), "{more} MB: {stderr}");
        assert!(
            code == Some(0) || code == Some(1) && stderr.contains("error: ") && stderr.contains("\nhint: "),
            "{stderr}"
        );
        codes.push(code.unwrap());
    }
    assert!(codes.first() == Some(&1) && codes.last() == Some(&0), "{codes:?}");
    assert_eq!(folder.files(), ["losses.svg", "model.safetensors", "names.txt", "steps.jsonl"], "nothing is left");
}

#[test]
fn a_corpus_that_does_not_fit_in_memory_is_named_as_what_is_large() {
    let folder = Folder::new();
    // The text has 8 MB, its documents 12 MB, and its tokens 24 MB.
    folder.write("names.txt", "abcdefghij\n".repeat(800_000));
    let least = (1..1000).find(|&megabytes| with_memory(&folder, megabytes, "--version").status.success()).unwrap();
    for more in [4, 12, 20, 30] {
        let output = with_memory(&folder, least + more, "--input names.txt --device cpu --threads 1 --steps 1");
        let stderr = String::from_utf8_lossy(&output.stderr);
        let hint = "\nhint: use a part of the corpus, or raise the limit of `ulimit -v`";
        assert!(output.status.code() == Some(1) && stderr.contains(hint), "{more} MB: {stderr}");
    }
}
