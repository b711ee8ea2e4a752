//! The program as a user meets it: what it prints, what it refuses and how, and what it leaves alone.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use assert_cmd::Command;
use assert_cmd::cargo::{cargo_bin, cargo_bin_cmd};
use microgpt::device::cuda::PTX;
use predicates::prelude::*;
use tempfile::TempDir;

const NAMES: &str = "emma\nolivia\nava\nisabella\nsophia\ncharlotte\nmia\namelia\nharper\nevelyn\nabigail\nemily\n";

/// The devices that a run can be asked for.
const DEVICES: [&str; 2] = ["reference", "cpu"];

/// A folder with a corpus, which is the working directory of what runs in it.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        folder.write("names.txt", NAMES);
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::write(self.path(name), text).unwrap();
    }

    /// The program with these arguments, separated by blanks, on a corpus.
    fn on(&self, input: &str, args: &str) -> Command {
        let mut command = cargo_bin_cmd!("microgpt");
        command.current_dir(&self.0).args(["--input", input]).args(args.split_whitespace());
        // A run that should have been refused may have steps without end.
        command.timeout(Duration::from_mins(2));
        command
    }

    /// The program with these arguments on [`NAMES`].
    fn run(&self, args: &str) -> Command {
        self.on("names.txt", args)
    }

    /// What the program prints on [`NAMES`], without the times.
    fn stdout(&self, args: &str) -> String {
        let output = self.run(args).assert().success().get_output().clone();
        untimed(&output)
    }

    /// The names of the files in the folder.
    fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap();
        let mut files: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        files.sort();
        files
    }
}

/// stdout without the times of the steps.
fn untimed(output: &Output) -> String {
    let stdout = String::from_utf8(output.stdout.clone()).unwrap();
    stdout
        .lines()
        .map(|line| {
            line.rsplit_once(" | ").filter(|_| line.starts_with("step")).map_or(line, |(step, _)| step).to_owned()
                + "\n"
        })
        .collect()
}

/// The command fails with this code, and says why: an `error:` with all of `parts` and a `hint:`, and nothing else.
#[track_caller]
fn refused(command: &mut Command, code: i32, parts: &[&str]) {
    let mut assert = command.assert().code(code).stdout("");
    assert = assert.stderr(predicate::str::starts_with("error: ").and(predicate::str::contains("\nhint: ")));
    for &part in parts {
        assert = assert.stderr(predicate::str::contains(part));
    }
}

#[test]
fn the_lines_are_those_of_the_contract() {
    let folder = Folder::new();
    for device in DEVICES {
        let output = folder.run(&format!("--device {device} --steps 7 --val-every 3 --samples 12")).output().unwrap();
        let stdout = String::from_utf8(output.stdout).unwrap();
        let mut patterns: Vec<String> =
            [r"num docs: 12 \(train: 10, val: 2\)", r"vocab size: 18", r"num params: 3488"].map(String::from).into();
        for step in 1..=7 {
            patterns.push(format!(r"step    {step}/   7 \| loss [0-9]\.[0-9]{{4}} \| [0-9]+\.[0-9]{{3}}ms"));
            if step % 3 == 0 {
                patterns.push(r"  val loss: [0-9]\.[0-9]{4}".to_owned());
            }
        }
        patterns.push("--- inference ---".to_owned());
        patterns.extend((1..=12).map(|sample| format!("sample {sample:>2}: [a-z]{{0,8}}")));
        let lines: Vec<&str> = stdout.lines().collect();
        assert_eq!(lines.len(), patterns.len(), "{device}:\n{stdout}");
        for (line, pattern) in lines.iter().zip(&patterns) {
            let pattern = predicate::str::is_match(format!("^{pattern}$")).unwrap();
            assert!(pattern.eval(line), "{device}: {line:?} is not {pattern}");
        }
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(stderr.starts_with("corpus: `names.txt`\ndevice: "), "{stderr}");
        assert!(!stderr.contains(['\x1b', '\r']), "no bar where stderr is no terminal: {stderr:?}");
    }
}

#[test]
fn the_first_loss_is_that_of_guessing() {
    // Small random weights know nothing: ln 18.
    for device in DEVICES {
        let stdout = Folder::new().stdout(&format!("--device {device} --steps 1 --samples 1"));
        let loss: f64 = stdout.lines().nth(3).unwrap().strip_prefix("step    1/   1 | loss ").unwrap().parse().unwrap();
        assert!((loss - 18f64.ln()).abs() < 0.1, "{device}: {loss}");
    }
}

#[test]
fn devices_agree_on_the_losses() {
    let folder = Folder::new();
    let losses = |device| {
        let stdout = folder.stdout(&format!("--device {device} --steps 20 --val-every 10 --samples 1"));
        let number =
            |line: &str| line.rsplit_once("loss").map(|(_, loss)| loss.trim_matches([' ', ':']).parse().unwrap());
        stdout.lines().filter_map(number).collect::<Vec<f64>>()
    };
    let (reference, cpu) = (losses("reference"), losses("cpu"));
    assert_eq!((reference.len(), cpu.len()), (22, 22));
    for (i, (reference, cpu)) in reference.iter().zip(&cpu).enumerate() {
        assert!((reference - cpu).abs() < 2e-4, "line {i}: {reference} and {cpu}");
    }
}

#[test]
fn a_seed_decides_everything() {
    let folder = Folder::new();
    for device in DEVICES {
        let run = |args: &str| folder.stdout(&format!("--device {device} --steps 8 --val-every 4 {args}"));
        let first = run("");
        assert_eq!(first, run("--seed 42"), "{device}");
        assert_ne!(first, run("--seed 43"), "{device}");
        assert_ne!(first, run("--no-shuffle"), "{device}");
    }
}

#[test]
fn the_reports_of_validation_can_be_turned_off() {
    let stdout = Folder::new().stdout("--steps 8 --val-every 0 --samples 1");
    assert!(!stdout.contains("val loss"), "{stdout}");
}

#[test]
fn zero_temperature_and_top_1_both_take_the_most_likely() {
    let folder = Folder::new();
    let greedy = folder.stdout("--steps 30 --temperature 0");
    assert_eq!(greedy, folder.stdout("--steps 30 --top-k 1"));
    let samples: Vec<&str> = greedy.lines().filter_map(|line| line.strip_prefix("sample ")?.get(4..)).collect();
    assert_eq!(samples, vec![samples[0]; 20]);
}

#[test]
fn help_and_version_are_no_errors() {
    let help = cargo_bin_cmd!("microgpt").arg("--help").assert().success().get_output().stdout.clone();
    let help = String::from_utf8(help).unwrap();
    for flag in "steps val-every val-docs samples top-k temperature seed no-shuffle n-embd n-head n-layer block-size \
                 learning-rate beta1 beta2 eps weight-decay max-grad-norm input device init-from save"
        .split(' ')
    {
        assert!(help.contains(&format!("--{flag} ")), "--{flag} is missing in:\n{help}");
    }
    let version = predicate::str::starts_with(concat!("microgpt ", env!("CARGO_PKG_VERSION")));
    let ptx = PTX.map_or("no PTX".into(), |ptx| format!("PTX for sm_{} by {}", ptx.arch, ptx.compiler));
    cargo_bin_cmd!("microgpt").arg("--version").assert().success().stdout(version.and(predicate::str::contains(ptx)));
}

#[test]
fn values_out_of_range_are_refused() {
    let folder = Folder::new();
    let whole = "--val-docs --samples --top-k --n-embd --n-head --n-layer --block-size".split(' ');
    let mut bad: Vec<(&str, &str)> = whole.map(|flag| (flag, "0")).collect();
    for flag in
        "--steps --val-every --val-docs --samples --top-k --seed --n-embd --n-head --n-layer --block-size".split(' ')
    {
        bad.extend(["-1", "1.5", "1e3", "", "many", "18446744073709551616"].map(|value| (flag, value)));
    }
    for flag in "--temperature --learning-rate --beta1 --beta2 --eps --weight-decay --max-grad-norm".split(' ') {
        bad.extend(["-0.1", "nan", "inf", "1e39", "1e999", "", "warm"].map(|value| (flag, value)));
    }
    bad.extend([
        ("--beta1", "1"),
        ("--beta2", "1"),
        ("--beta2", "0.99999999"),
        ("--eps", "0"),
        ("--max-grad-norm", "0"),
    ]);
    for (flag, value) in bad {
        let named = format!("error: `{flag} {value}`: expected a ");
        refused(folder.run(&format!("{flag}={value}")).args(["--save", "model"]), 2, &[&named]);
    }
    // A negative number is a value without a `=` too.
    refused(&mut folder.run("--steps -5"), 2, &["error: `--steps -5`: expected a whole number"]);
    assert_eq!(folder.files(), ["names.txt"]);
}

#[test]
fn flags_that_do_not_fit_each_other_are_refused() {
    let folder = Folder::new();
    refused(&mut folder.run("--n-embd 10 --n-head 4"), 2, &["`--n-embd 10`", "`--n-head 4`", "`--n-head 2`"]);
    refused(&mut folder.run("--n-embd 1000000 --n-layer 1000"), 2, &["too large", "n_embd 1000000", "n_layer 1000"]);
    refused(&mut folder.run("--n-embd 1073741824 --n-layer 1073741824"), 2, &["too large"]);
    refused(&mut folder.run("--steps 0"), 2, &["`--steps 0`", "--init-from"]);
    refused(&mut folder.run("--top-k 19"), 1, &["`--top-k 19`", "18 tokens", "`--top-k 18`"]);
    folder.run("--steps 1 --top-k 18").assert().success();
}

#[test]
fn what_clap_does_not_know_is_refused() {
    let folder = Folder::new();
    for (args, part) in [
        ("--bogus", "'--bogus'"),
        ("names.txt", "'names.txt'"),
        ("--device gpu", "[possible values: auto, cuda, cpu, reference]"),
        ("--steps", "'--steps <N>'"),
    ] {
        folder.run(args).assert().code(2).stdout("").stderr(predicate::str::contains(part));
    }
}

#[test]
fn a_corpus_that_is_none_is_refused() {
    let folder = Folder::new();
    for (name, bytes, part) in [
        ("empty", &b""[..], "is empty"),
        ("blank", b" \n\t\n\r\n", "only white space"),
        ("latin1", b"zoe\nzo\xeb\n", "not UTF-8"),
        ("single", b"emma\n\n", "only one document"),
    ] {
        folder.write(name, bytes);
        refused(folder.on(name, "").args(["--save", "model"]), 1, &[&format!("`{name}`"), part]);
    }
    refused(&mut folder.on("missing", ""), 1, &["`missing`", "No such file"]);
    refused(&mut folder.on(".", ""), 1, &["`.`"]);
    assert!(!folder.path("model").exists());
}

#[test]
fn documents_of_one_character_and_of_a_million_are_learned_from() {
    let folder = Folder::new();
    folder.write("short", "a\na\n");
    folder.write("long", format!("{}\nb\n{}\n", "ab".repeat(500_000), "ba".repeat(500_000)));
    for device in DEVICES {
        for (input, vocab) in [("short", 2), ("long", 3)] {
            let mut command = folder.on(input, &format!("--device {device} --steps 5 --val-every 5 --samples 2"));
            let expected = predicate::str::contains(format!("vocab size: {vocab}\n"));
            command.assert().success().stdout(expected.and(predicate::str::contains("sample  2: ")));
        }
    }
}

#[test]
fn a_saved_model_samples_what_the_run_that_saved_it_did() {
    let folder = Folder::new();
    let model = "--n-embd 12 --n-head 3 --n-layer 2 --block-size 5";
    for device in DEVICES {
        let trained = folder.stdout(&format!("--device {device} {model} --steps 20 --save model.safetensors"));
        let sampled = folder.stdout(&format!("--device {device} {model} --steps 0 --init-from model.safetensors"));
        let samples = |text: &str| text.split_once("--- inference ---").unwrap().1.to_owned();
        if device == "cpu" {
            assert_eq!(samples(&sampled), samples(&trained));
        }
        assert!(!sampled.contains("step "), "{sampled}");
        // The optimiser starts anew; the weights do not.
        let first = |text: &str| text.lines().nth(3).unwrap().to_owned();
        let more = folder.stdout(&format!("--device {device} {model} --steps 20 --init-from model.safetensors"));
        assert_ne!(first(&more), first(&trained));
    }
    assert_eq!(folder.files(), ["model.safetensors", "names.txt"]);
}

#[test]
fn a_checkpoint_that_does_not_fit_is_refused() {
    let folder = Folder::new();
    folder.run("--steps 1 --save good").assert().success();
    let good = fs::read(folder.path("good")).unwrap();
    folder.write("cut", &good[..good.len() / 2]);
    folder.write("other.txt", NAMES.replace('v', "w"));
    let init = |from: &str| format!("--init-from {from} --save kept");
    folder.write("kept", "kept");
    refused(&mut folder.run(&init("missing")), 1, &["`missing`", "No such file"]);
    refused(&mut folder.run(&init(".")), 1, &["`.`", "not a regular file"]);
    refused(&mut folder.run(&init("cut")), 1, &["`cut` is truncated"]);
    refused(&mut folder.run(&init("names.txt")), 1, &["`names.txt` is not a safetensors file"]);
    refused(&mut folder.run(&(init("good") + " --n-embd 32")), 1, &["`good`", "`--n-embd 16`", "`--n-embd 32`"]);
    refused(&mut folder.on("other.txt", &init("good")), 1, &["`good` has another vocabulary", "'v'", "'w'"]);
    assert_eq!(fs::read(folder.path("good")).unwrap(), good);
    assert_eq!(fs::read(folder.path("kept")).unwrap(), b"kept");
}

#[test]
fn a_place_that_cannot_be_saved_to_is_refused_before_training() {
    let folder = Folder::new();
    folder.write("input.txt", NAMES);
    for (target, part) in [
        ("none/model", "No such file"),
        (".", "directory"),
        ("names.txt/model", "Not a directory"),
        ("names.txt", "it is the corpus"),
        ("./../", "directory"),
    ] {
        // Steps without end: it has to be found before them.
        let mut command = folder.run(&format!("--steps 1000000000 --val-every 0 --save {target}"));
        refused(&mut command, 1, &["cannot save to", &format!("`{target}`"), part]);
    }
    let mut command = cargo_bin_cmd!("microgpt");
    refused(command.current_dir(&folder.0).args(["--save", "input.txt"]), 1, &["`input.txt`", "it is the corpus"]);
    assert_eq!(folder.files(), ["input.txt", "names.txt"]);
    assert_eq!(fs::read_to_string(folder.path("names.txt")).unwrap(), NAMES);
}

#[test]
fn a_model_that_diverges_is_not_saved() {
    let folder = Folder::new();
    folder.run("--steps 1 --save model").assert().success();
    let before = fs::read(folder.path("model")).unwrap();
    let mut command = folder.run("--device cpu --learning-rate 1e30 --save model");
    let said =
        predicate::str::is_match(r"error: training diverged at step [0-9]+: .* is (NaN|inf|-inf)\nhint: ").unwrap();
    command.assert().code(1).stderr(said).stdout(predicate::str::contains("inference").not());
    assert_eq!(fs::read(folder.path("model")).unwrap(), before);
    assert_eq!(folder.files(), ["model", "names.txt"]);
}

/// Waits for the end of a program that might not end.
fn wait(mut child: std::process::Child) -> (bool, String) {
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
    let mut command = std::process::Command::new(cargo_bin!("microgpt"));
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
        // Steps without end: it has to notice.
        let (success, stderr) = head(folder.0.path(), &format!("--device {device} --steps 1000000000 --val-every 10"));
        assert!(success, "{device}: {stderr}");
        let notices = ["corpus: ", "device: ", "cut: "];
        assert!(stderr.lines().all(|line| notices.iter().any(|notice| line.starts_with(notice))), "{stderr}");
    }
    let (success, stderr) = head(folder.0.path(), "--steps 1 --samples 9007199254740992 --device cpu");
    assert!(success, "{stderr}");
}

#[test]
fn stdout_closed_early_does_not_lose_the_model() {
    let folder = Folder::new();
    let (success, stderr) = head(folder.0.path(), "--steps 300 --val-every 10 --save model");
    assert!(success && stderr.ends_with("saved: `model`\n"), "{stderr}");
    folder.run("--steps 0 --init-from model").assert().success();
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_under_stdout_is_an_error() {
    let folder = Folder::new();
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command = std::process::Command::new(cargo_bin!("microgpt"));
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
        let mut command = std::process::Command::new(cargo_bin!("microgpt"));
        command.current_dir(&folder.0).args(["--input", "names.txt"]).args(args.split_whitespace());
        command.stderr(full()).output().unwrap()
    };
    assert!(run("--steps 2").status.success());
    assert_eq!(run("--top-k 19").status.code(), Some(1));
    assert_eq!(run("--steps 0").status.code(), Some(2));
}
