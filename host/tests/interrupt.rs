//! The first Ctrl-C ends a run in good order, and the second ends it at once.
#![cfg(unix)]

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use assert_cmd::cargo::cargo_bin;

mod common;
use common::{Folder, rest, wait_for};

/// Starts the program on `input`, with `action` for SIGINT and SIGHUP in place of the inherited actions.
fn program(folder: &Folder, input: &str, args: &str, action: libc::sighandler_t) -> Child {
    program_with(folder, input, args, action, Stdio::piped())
}

/// Starts the program as [`program`] does, with this stdout.
fn program_with(folder: &Folder, input: &str, args: &str, action: libc::sighandler_t, stdout: Stdio) -> Child {
    let mut command = Command::new(cargo_bin!("microgpt"));
    command.current_dir(&folder.0).args(["--input", input]).args(args.split_whitespace());
    let set = move || {
        for signal in [libc::SIGINT, libc::SIGHUP] {
            // SAFETY: `action` is `SIG_DFL` or `SIG_IGN`, so the call installs no function as a handler.
            if unsafe { libc::signal(signal, action) } == libc::SIG_ERR {
                return Err(io::Error::last_os_error());
            }
        }
        Ok(())
    };
    // SAFETY: `set` only calls `signal` and reads `errno`. Both are async-signal-safe, as code between fork and exec
    // must be.
    unsafe { command.pre_exec(set) };
    command.stdout(stdout).stderr(Stdio::piped()).spawn().unwrap()
}

/// Starts a run, and waits for a line that starts with `begin`. Returns the run and the rest of its stdout.
fn started(folder: &Folder, args: &str, begin: &str) -> (Child, BufReader<ChildStdout>) {
    let mut child = program(folder, "names.txt", args, libc::SIG_DFL);
    let stdout = wait_for(&mut child, begin);
    (child, stdout)
}

/// Starts a run, and waits for its first step.
fn training(folder: &Folder, args: &str) -> (Child, BufReader<ChildStdout>) {
    started(folder, args, "step")
}

fn signal(child: &Child, signal: &str) {
    let status = Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
    assert!(status.success());
}

fn ctrl_c(child: &Child) {
    signal(child, "-INT");
}

#[test]
fn ctrl_c_validates_saves_and_samples_and_the_run_can_go_on() {
    let folder = Folder::new();
    let flags = "--steps 1000000000 --val-every 0 --log-every 1 --samples 3 --metrics steps.jsonl --plot losses.svg";
    let (child, stdout) = training(&folder, &format!("{flags} --save model.safetensors"));
    ctrl_c(&child);
    let (code, out, err) = rest(child, stdout);
    assert_eq!(code, Some(130), "{err}");
    let end: Vec<&str> = out.lines().skip_while(|line| line.starts_with("step")).collect();
    assert!(end[0].starts_with("  val loss: ") && end[1] == "--- inference ---" && end.len() == 5, "{end:?}");
    let stopped = err.split_once("interrupted after step ").unwrap().1.lines().next().unwrap();
    assert!(err.contains("\ngo on with the same flags and `--resume model.safetensors`\n"), "{err}");
    assert!(err.contains("saved: `model.safetensors`") && err.contains("plotted: `losses.svg`"), "{err}");
    let metrics = std::fs::read_to_string(folder.path("steps.jsonl")).unwrap();
    let last = metrics.lines().last().unwrap();
    assert!(last.contains(&format!("\"step\":{stopped},")) && last.contains("val_loss"), "{last}");
    // The resumed run continues after that step, so the metrics have every step once.
    let (child, stdout) = training(&folder, &format!("{flags} --resume model.safetensors"));
    ctrl_c(&child);
    assert_eq!(rest(child, stdout).0, Some(130));
    let metrics = std::fs::read_to_string(folder.path("steps.jsonl")).unwrap();
    for (line, step) in metrics.lines().zip(1..) {
        assert!(line.contains(&format!("\"step\":{step},")), "{step}: {line}");
    }
}

// A system that shuts down sends SIGTERM, and a terminal that is closed sends SIGHUP. Service managers and batch systems
// expect an exit code of 128 plus the number of the signal.
#[test]
fn sigterm_and_sighup_act_like_ctrl_c_with_exit_codes_of_their_own() {
    for (name, expected) in [("-TERM", 143), ("-HUP", 129)] {
        let folder = Folder::new();
        let flags = "--steps 1000000000 --log-every 1 --samples 3 --save model.safetensors --save-every 1";
        let (child, stdout) = training(&folder, flags);
        signal(&child, name);
        let (code, out, err) = rest(child, stdout);
        assert_eq!(code, Some(expected), "{name}: {err}");
        assert!(out.contains("\n--- inference ---\n") && err.contains("saved: `model.safetensors`"), "{name}: {err}");
        assert_eq!(folder.files(), ["model.safetensors", "names.txt"], "{name}");
    }
}

// `nohup` makes a program ignore SIGHUP, and a shell script makes its background programs ignore SIGINT. The run must
// continue when the terminal is closed.
#[test]
fn a_signal_that_is_ignored_at_the_start_stays_ignored() {
    let folder = Folder::new();
    let mut child = program(&folder, "names.txt", "--steps 1000000000 --val-every 0 --log-every 1", libc::SIG_IGN);
    let mut stdout = wait_for(&mut child, "step");
    signal(&child, "-HUP");
    ctrl_c(&child);
    // A pipe holds far fewer than 20,000 lines, so the program prints the last lines after the signals.
    let steps = stdout.by_ref().lines().map_while(Result::ok).take_while(|line| line.starts_with("step"));
    assert_eq!(steps.take(20_000).count(), 20_000);
    // SIGTERM had its default action at the start, so the program handles it.
    signal(&child, "-TERM");
    let (code, _, err) = rest(child, stdout);
    assert!(code == Some(143) && err.contains("interrupted after step "), "{err}");
}

// The metrics go to a pipe that is read late, so the run blocks after its last step.
#[test]
fn ctrl_c_after_the_last_step_validates_saves_and_samples_all_the_same() {
    let folder = Folder::new();
    assert!(Command::new("mkfifo").arg(folder.path("pipe")).status().unwrap().success());
    let flags = "--steps 4000 --val-every 0 --log-every 1 --samples 3 --save model.safetensors --metrics pipe";
    let path = folder.path("pipe");
    // `open` blocks until the program opens the other end.
    let pipe = std::thread::spawn(|| std::fs::File::open(path).unwrap());
    let (child, stdout) = started(&folder, flags, "step 4000/4000");
    let mut pipe = pipe.join().unwrap();
    std::thread::sleep(Duration::from_millis(200));
    ctrl_c(&child);
    std::thread::sleep(Duration::from_millis(200));
    let reader = std::thread::spawn(move || pipe.read_to_end(&mut Vec::new()).unwrap());
    let (code, out, err) = rest(child, stdout);
    assert_eq!(code, Some(130), "{err}");
    let lines: Vec<&str> = out.lines().collect();
    assert!(lines[0].starts_with("  val loss: ") && lines[1] == "--- inference ---" && lines.len() == 5, "{out}");
    assert!(err.contains("saved: `model.safetensors`"), "{err}");
    assert!(reader.join().unwrap() > 4000 * 80);
}

/// Waits until the program handles SIGINT.
#[cfg(target_os = "linux")]
fn wait_for_handler(child: &Child) {
    let is_handled = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:\t")).unwrap();
        u64::from_str_radix(caught, 16).unwrap() >> (libc::SIGINT - 1) & 1 == 1
    };
    let start = Instant::now();
    while !is_handled() {
        assert!(start.elapsed() < Duration::from_mins(1), "the program handles no signal");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Returns a pipe that is full.
#[cfg(target_os = "linux")]
fn full_pipe() -> (io::PipeReader, io::PipeWriter) {
    let (reader, writer) = io::pipe().unwrap();
    // SAFETY: the descriptor is open, and the flag makes a full pipe an error instead of a wait.
    let set = |flag: libc::c_int| assert_eq!(unsafe { libc::fcntl(writer.as_raw_fd(), libc::F_SETFL, flag) }, 0);
    set(libc::O_NONBLOCK);
    while (&writer).write(&[b'\n'; 4096]).is_ok() {}
    set(0);
    (reader, writer)
}

// Stdout is a full pipe that nobody reads until the signal has come, so the signal comes before the first step.
#[cfg(target_os = "linux")]
#[test]
fn ctrl_c_before_the_first_step_leaves_the_checkpoint_and_the_plot() {
    let folder = Folder::new();
    let flags = "--samples 1 --save model.safetensors --plot losses.svg";
    folder.stdout(&format!("--steps 5 {flags}"));
    let files = || ["model.safetensors", "losses.svg"].map(|name| std::fs::read(folder.path(name)).unwrap());
    let old = files();
    let (mut reader, writer) = full_pipe();
    let child = program_with(&folder, "names.txt", flags, libc::SIG_DFL, writer.into());
    wait_for_handler(&child);
    ctrl_c(&child);
    let stdout = std::thread::spawn(move || io::read_to_string(&mut reader).unwrap());
    let output = child.wait_with_output().unwrap();
    let (code, out, err) = (output.status.code(), stdout.join().unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(code, Some(130), "{err}");
    assert!(err.contains("interrupted after step 0") && err.contains("not saved: `model.safetensors`"), "{err}");
    assert!(!err.contains("plotted") && !out.contains("sample"), "{err}");
    assert!(files() == old);
}

// The corpus comes through a pipe that nobody writes to.
#[test]
fn a_signal_during_the_start_ends_the_program_at_once_and_leaves_all_files() {
    let folder = Folder::new();
    assert!(Command::new("mkfifo").arg(folder.path("pipe")).status().unwrap().success());
    let child = program(&folder, "pipe", "--save model.safetensors --metrics steps.jsonl", libc::SIG_DFL);
    // `open` blocks until the program opens the other end.
    let pipe = std::fs::File::options().write(true).open(folder.path("pipe")).unwrap();
    ctrl_c(&child);
    assert_eq!(child.wait_with_output().unwrap().status.signal(), Some(libc::SIGINT));
    assert_eq!(folder.files(), ["names.txt", "pipe"]);
    drop(pipe);
}

#[test]
fn ctrl_c_while_sampling_ends_the_samples() {
    let folder = Folder::new();
    let (child, stdout) = started(&folder, "--steps 1 --samples 1000000000000 --unique", "sample");
    ctrl_c(&child);
    let (code, out, err) = rest(child, stdout);
    assert_eq!(code, Some(130));
    let last = out.lines().last().unwrap();
    let counts = last.strip_prefix("memorised: ").and_then(|last| last.strip_suffix(" samples stand in the corpus"));
    let drawn = counts.unwrap().split_once(" of ").unwrap().1;
    let notice = format!("interrupted after {drawn} of 1000000000000 samples\n");
    assert!(err.ends_with(&notice), "{notice} in {err}");
}

#[test]
fn ctrl_c_while_sampling_a_saved_model_ends_the_samples() {
    let folder = Folder::new();
    folder.stdout("--steps 1 --samples 0 --save model.safetensors");
    let mut command = Command::new(cargo_bin!("microgpt"));
    command.current_dir(&folder.0).args(["sample", "model.safetensors", "--samples", "1000000000000"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let stdout = wait_for(&mut child, "sample");
    signal(&child, "-TERM");
    let (code, out, err) = rest(child, stdout);
    assert_eq!(code, Some(143));
    let last = out.lines().last().unwrap().split_once(':').unwrap().0.strip_prefix("sample ").unwrap().trim();
    assert!(err.ends_with(&format!("interrupted after {last} of 1000000000000 samples\n")), "{last} in {err}");
}

/// Reads lines of stderr until one is the notice of the first signal.
fn wait_for_notice(child: &mut Child) {
    let stderr = BufReader::new(child.stderr.take().unwrap());
    let mut lines = stderr.lines().map(Result::unwrap);
    assert!(lines.any(|line| line == "ending the run in good order; a second signal ends it at once"));
}

// Nobody reads the metrics, so the run waits in a write. It cannot end in good order, but it answers.
#[test]
fn a_run_that_waits_answers_the_first_signal_with_a_notice_and_the_second_by_its_end() {
    for (name, expected) in [("-INT", 130), ("-TERM", 143)] {
        let folder = Folder::new();
        assert!(Command::new("mkfifo").arg(folder.path("pipe")).status().unwrap().success());
        let path = folder.path("pipe");
        let pipe = std::thread::spawn(|| std::fs::File::open(path).unwrap());
        let (mut child, _stdout) = training(&folder, "--steps 1000000000 --metrics pipe --log-every 1000000");
        let _pipe = pipe.join().unwrap();
        std::thread::sleep(Duration::from_millis(200));
        let start = Instant::now();
        signal(&child, name);
        wait_for_notice(&mut child);
        signal(&child, name);
        assert_eq!(child.wait().unwrap().code(), Some(expected));
        assert!(start.elapsed() < Duration::from_secs(5), "{name}");
    }
}

#[test]
fn a_quiet_run_prints_no_notice_of_a_signal() {
    let folder = Folder::new();
    let (child, stdout) = training(&folder, "--steps 1000000000 --log-every 1 --samples 1 --quiet");
    ctrl_c(&child);
    let (code, _, err) = rest(child, stdout);
    assert_eq!((code, &*err), (Some(130), ""));
}

#[test]
fn ctrl_c_twice_ends_at_once() {
    let folder = Folder::new();
    // Both training and sampling would take hours.
    let (child, stdout) = training(&folder, "--steps 1000000000 --log-every 1 --samples 1000000000000");
    ctrl_c(&child);
    // The pause lets the program handle the first signal before the second arrives.
    std::thread::sleep(Duration::from_millis(100));
    let start = Instant::now();
    ctrl_c(&child);
    assert_eq!(rest(child, stdout).0, Some(130));
    assert!(start.elapsed() < Duration::from_secs(5));
}

// A step of the reference on so many documents takes half a minute or more. Nothing was trained, so nothing is saved.
#[cfg(target_os = "linux")]
#[test]
fn a_step_of_the_reference_is_ended_by_a_signal() {
    for (name, expected) in [("-INT", 130), ("-TERM", 143), ("-HUP", 129)] {
        let folder = Folder::new();
        let flags = "--device reference --batch 200000 --save model.safetensors";
        let mut child = program(&folder, "names.txt", flags, libc::SIG_DFL);
        wait_for_handler(&child);
        std::thread::sleep(Duration::from_millis(300));
        let start = Instant::now();
        signal(&child, name);
        let stdout = child.stdout.take().unwrap();
        let (code, out, err) = rest(child, stdout);
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
        assert!(code == Some(expected) && !out.contains("step") && err.contains("interrupted after step 0\n"), "{err}");
        assert_eq!(folder.files(), ["names.txt"]);
    }
}

// Without a stop within steps, the run would first finish the step, and then try another and validate the model.
#[test]
fn a_run_with_long_steps_is_saved_after_its_last_whole_step() {
    let folder = Folder::new();
    let document = |i: usize| (0..300).map(|j| char::from(b'a' + ((i * j + j * j / 7) % 5) as u8)).collect::<String>();
    folder.write("names.txt", (1..=30).map(|i| document(i) + "\n").collect::<String>());
    let flags =
        "--steps 100 --val-every 0 --n-embd 256 --n-layer 4 --block-size 256 --batch 4 --threads 1 --device cpu";
    let (mut child, mut stdout) = training(&folder, &format!("{flags} --save model.safetensors"));
    let (stderr, start) = (BufReader::new(child.stderr.take().unwrap()), Instant::now());
    signal(&child, "-TERM");
    let mut lines = stderr.lines().map(Result::unwrap).skip_while(|line| !line.starts_with("ending the run"));
    assert!(lines.next().is_some() && start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    let step: u64 = lines.next().unwrap().strip_prefix("interrupted after step ").unwrap().parse().unwrap();
    // An optimised program answers in a fifth of a second.
    let bound = Duration::from_secs(if cfg!(debug_assertions) { 10 } else { 1 });
    assert!(start.elapsed() < bound, "{:?}", start.elapsed());
    let notices = ["saved: `model.safetensors`", "go on with the same flags and `--resume model.safetensors`"];
    assert!(lines.by_ref().take(2).eq(notices));
    assert_eq!(lines.next().unwrap(), "neither validated nor sampled, to end at once");
    stdout.read_to_end(&mut Vec::new()).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(143));
    folder.stdout(&format!("{flags} --samples 0 --stop-after {step} --save whole.safetensors"));
    let read = |name| std::fs::read(folder.path(name)).unwrap();
    assert!(read("model.safetensors") == read("whole.safetensors"), "step {step}");
}

#[test]
fn a_signal_while_nobody_reads_the_metrics_ends_the_run() {
    let folder = Folder::new();
    assert!(Command::new("mkfifo").arg(folder.path("pipe")).status().unwrap().success());
    let mut child = program(&folder, "names.txt", "--steps 10 --metrics pipe", libc::SIG_DFL);
    std::thread::sleep(Duration::from_millis(500));
    ctrl_c(&child);
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if start.elapsed() > Duration::from_secs(20) {
            child.kill().unwrap();
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    assert_eq!(status.signal(), Some(libc::SIGINT));
}
