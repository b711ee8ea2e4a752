//! Random command lines on small corpora, which the program runs or refuses in good order.
#![cfg(unix)]

use std::env;
use std::fs::{self, File};
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use assert_cmd::cargo::cargo_bin;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

mod common;
use common::{Folder, NAMES};

/// The seed of the command lines. Run `i` draws from `SEED + i`.
const SEED: u64 = 1_000_000;

/// The longest time that a run may take.
const LIMIT: Duration = Duration::from_secs(10);

/// The memory that a run may have, so that a model that is too large is refused on every computer.
const MEMORY: u64 = 4 << 30;

/// Whole numbers that most flags take, then numbers at the ends of ranges, then texts that are none.
const COUNTS: [&str; 14] =
    ["1", "2", "3", "4", "5", "7", "8", "12", "16", "24", "0", "-1", "18446744073709551615", "1e3"];
const REALS: [&str; 15] =
    ["0.01", "0.1", "0.5", "0.9", "1", "1.5", "3e-4", "0", "1e-37", "1e9", "3e38", "-0.1", "nan", "inf", "x"];

/// The flags of a run, each with the values that it may get. A flag without values is a switch.
const FLAGS: [(&str, &[&str]); 44] = [
    ("--steps", &["1", "2", "5", "20", "0", "-3", "many", "18446744073709551615"]),
    ("--stop-after", &COUNTS),
    ("--n-embd", &COUNTS),
    ("--n-head", &COUNTS),
    ("--n-layer", &["1", "2", "3", "0", "1000000000"]),
    ("--block-size", &["1", "2", "5", "8", "17", "64", "0", "1000000000"]),
    ("--batch", &COUNTS),
    ("--seeds", &["1", "2", "3", "0", "4097"]),
    ("--sweep", &["learning-rate=0.01,0.1", "n-embd=8,16", "batch=1,3", "n-embd=8,8", "n-embd=", "steps=1,2", "x=1"]),
    ("--val-every", &COUNTS),
    ("--val-docs", &["1", "3", "all", "0", "1000000", "none"]),
    ("--learning-rate", &REALS),
    ("--beta1", &REALS),
    ("--beta2", &REALS),
    ("--eps", &REALS),
    ("--weight-decay", &REALS),
    ("--warmup", &COUNTS),
    ("--min-lr", &REALS),
    ("--stop-early", &COUNTS),
    ("--max-grad-norm", &REALS),
    ("--samples", &["0", "1", "3", "300", "-1", "x"]),
    ("--sample-length", &["1", "3", "20", "300", "0", "x"]),
    ("--corpus", &["lines", "text", "names.txt"]),
    ("--top-k", &COUNTS),
    ("--top-p", &REALS),
    ("--min-p", &REALS),
    ("--temperature", &REALS),
    ("--prompt", &["a", "em", "", "é", "zzzzzzzzzzzzzzzzzzzz", "\n", "--"]),
    ("--format", &["text", "jsonl", "csv"]),
    ("--unique", &[]),
    ("--seed", &["0", "1", "18446744073709551615", "18446744073709551616", "-1"]),
    ("--no-shuffle", &[]),
    ("--device", &["cpu", "reference", "auto", "cuda", "tpu"]),
    ("--threads", &["1", "2", "5", "0", "x"]),
    ("--gpu", &["auto", "0", "1", "-1", "x"]),
    ("--save", &["model.safetensors", "none/model", ".", "", "-"]),
    ("--save-every", &COUNTS),
    ("--save-best", &["best.safetensors", "model.safetensors", "none/best"]),
    ("--metrics", &["steps.jsonl", "steps.csv", "/dev/null", "none/steps", "-"]),
    ("--plot", &["losses.svg", "losses.png", "losses.gif"]),
    ("--page", &["model.html", "losses.svg", "none/model.html"]),
    ("--log-every", &COUNTS),
    ("--config", &["run.toml", "wrong.toml", "none.toml", "latin.txt"]),
    ("--init-from", &["old.safetensors", "broken.safetensors", "none", "names.txt"]),
];

/// Corpora by their names in the folder of the runs.
const CORPORA: [(&str, &[u8]); 9] = [
    ("names.txt", NAMES.as_bytes()),
    ("two.txt", b"a\nb\n"),
    ("one.txt", b"only one document"),
    ("empty.txt", b""),
    ("blank.txt", b" \n\t\r\n\n"),
    ("wide.txt", "\u{10ffff}\u{0}é\n漢字かな\ne\u{301}\n\u{feff}x\n".as_bytes()),
    ("long.txt", b"abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz\nab\nba\ncab\n"),
    ("control.txt", b"\x1b]0;x\x07\n\x0b\x0c\n\x7f\n"),
    ("latin.txt", b"caf\xe9\nna\xefve\n"),
];

/// Returns the number of command lines, which `MICROGPT_RUNS` sets.
fn runs() -> u64 {
    env::var("MICROGPT_RUNS").map_or(150, |runs| runs.parse().expect("MICROGPT_RUNS is a number"))
}

/// Returns the arguments of run `i`.
fn args(i: u64) -> Vec<String> {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(SEED + i);
    // Most runs have a valid corpus and few flags, so that many of them train.
    let corpus = if rng.random_bool(0.6) { "names.txt" } else { CORPORA[rng.random_range(0..CORPORA.len())].0 };
    let mut args = vec!["--input".to_owned(), corpus.to_owned()];
    for _ in 0..rng.random_range(0..8) {
        let (flag, values) = *FLAGS.choose(&mut rng).unwrap();
        args.push(flag.to_owned());
        // The first values are the ordinary ones.
        let ordinary = &values[..values.len().div_ceil(2)];
        let from = if rng.random_bool(0.85) { ordinary } else { values };
        args.extend(from.choose(&mut rng).map(|&value| value.to_owned()));
    }
    args
}

/// Runs the program. Returns its exit code, or 128 and more for a signal, and its stdout and stderr.
fn run(folder: &Folder, i: u64, args: &[String]) -> (i32, String, String) {
    let stream = |name: &str| folder.path(&format!("{name}-{i}"));
    let mut command = Command::new(cargo_bin!("microgpt"));
    command.current_dir(&folder.0).args(args).stdin(Stdio::null());
    command.stdout(File::create(stream("out")).unwrap()).stderr(File::create(stream("err")).unwrap());
    let limit = || {
        let limit = libc::rlimit { rlim_cur: MEMORY, rlim_max: MEMORY };
        // SAFETY: the limit is a live `rlimit`.
        if unsafe { libc::setrlimit(libc::RLIMIT_AS, &raw const limit) } == 0 {
            Ok(())
        } else {
            Err(io::Error::last_os_error())
        }
    };
    // SAFETY: the closure only calls `setrlimit` and reads `errno`. Both are async-signal-safe, as code between fork and
    // exec must be.
    unsafe { command.pre_exec(limit) };
    let mut child = command.spawn().unwrap();
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if start.elapsed() > LIMIT {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("run {i} takes more than {LIMIT:?}: {args:?}");
        }
        thread::sleep(Duration::from_millis(2));
    };
    let [stdout, stderr] = ["out", "err"].map(|name| {
        let bytes = fs::read(stream(name)).unwrap();
        fs::remove_file(stream(name)).unwrap();
        String::from_utf8(bytes).unwrap_or_else(|error| panic!("run {i}: {error}: {args:?}"))
    });
    (status.code().unwrap_or_else(|| 128 + status.signal().unwrap()), stdout, stderr)
}

/// Returns what is wrong with the end of a run.
fn defect(code: i32, stdout: &str, stderr: &str) -> Option<&'static str> {
    let has_no_number = |line: &str| line.contains("NaN") || line.contains("loss inf") || line.contains("null");
    match code {
        _ if stderr.contains("panicked") => Some("a panic"),
        0 if stdout.lines().any(has_no_number) => Some("a result that is no number"),
        1 | 2 if !stderr.contains("error: ") => Some("no error"),
        1 | 2 if !stderr.contains("\nhint: ") => Some("an error without a hint"),
        0..=2 => None,
        _ => Some("another exit code than 0, 1 and 2"),
    }
}

#[test]
fn random_flags_are_taken_or_refused_in_good_order() {
    // In memory a run does not wait for the disk, which other programs may keep busy for seconds.
    let folder = Folder(tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap());
    for (name, bytes) in CORPORA {
        folder.write(name, bytes);
    }
    folder.stdout("--device cpu --steps 3 --samples 0 --save old.safetensors");
    let old = fs::read(folder.path("old.safetensors")).unwrap();
    folder.write("run.toml", "steps = 7\nn-embd = 12\nn-head = 3\nno-shuffle = true\n");
    folder.write("wrong.toml", "steps = 7\ndropout = 0.1\n");
    folder.write("broken.safetensors", &old[..old.len() / 2]);
    let (runs, mut codes) = (runs(), [0; 3]);
    for i in 0..runs {
        let args = args(i);
        let (code, stdout, stderr) = run(&folder, i, &args);
        if let Some(defect) = defect(code, &stdout, &stderr) {
            panic!("run {i} has {defect}, code {code}: {args:?}\n{stdout}\n{stderr}");
        }
        codes[code as usize] += 1;
    }
    println!("{runs} runs: {} succeeded, {} failed, {} were refused", codes[0], codes[1], codes[2]);
    assert!(codes.iter().all(|&count| count > runs / 20), "{codes:?}");
    assert!(fs::read(folder.path("old.safetensors")).unwrap() == old, "no flag but `--save` writes a checkpoint");
}
