//! The output, the refusals and the files of the program.

use std::process::Command;

use assert_cmd::cargo::{cargo_bin, cargo_bin_cmd};
use microgpt::corpus;
use predicates::prelude::*;

#[path = "../common/mod.rs"]
mod common;
use common::{Folder, NAMES, refused, system, untimed};

mod bad_input;
mod outputs;
mod quiet;
mod streams;

/// The devices that every computer has.
const DEVICES: [&str; 2] = ["reference", "cpu"];

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
        assert!(stderr.starts_with("corpus: `names.txt`\nmemory: "), "{stderr}");
        assert!(!stderr.contains(['\x1b', '\r']), "no bar where stderr is no terminal: {stderr:?}");
    }
}

#[test]
fn the_readme_shows_what_the_program_prints() {
    let readme = include_str!("../../../README.md");
    let (_, readme) = readme.split_once("```sh\n").expect("a command");
    let (_, readme) = readme.split_once("```text\n").expect("its output");
    let shown = untimed(readme.split_once("```").expect("the end of the output").0);
    let folder = Folder::new();
    folder.write("names.txt", corpus::EMBEDDED);
    let stdout = folder.stdout("--steps 500");
    let mut rest = &*stdout;
    // The README leaves lines out at `..` and at the end.
    for part in shown.split("..\n") {
        let found = rest.split_once(part);
        rest = found.unwrap_or_else(|| panic!("the README shows, in this place:\n{part}\nof:\n{stdout}")).1;
    }
}

#[test]
fn the_first_loss_is_that_of_a_uniform_guess() {
    // Small random weights hold all 18 tokens for about equally likely, so the loss is near ln 18.
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
fn validation_can_be_turned_off() {
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
fn help_and_version_succeed() {
    let help = cargo_bin_cmd!("microgpt").arg("--help").assert().success().get_output().stdout.clone();
    let help = String::from_utf8(help).unwrap();
    for flag in "steps val-every val-docs samples top-k temperature seed no-shuffle n-embd n-head n-layer block-size \
                 learning-rate beta1 beta2 eps weight-decay max-grad-norm input device init-from save"
        .split(' ')
    {
        assert!(help.contains(&format!("--{flag} ")), "--{flag} is missing in:\n{help}");
    }
    let version = predicate::str::starts_with(concat!("microgpt ", env!("CARGO_PKG_VERSION")));
    #[cfg(not(cuda))]
    let ptx = "no PTX".to_owned();
    #[cfg(cuda)]
    let ptx = microgpt::device::cuda::PTX
        .map_or("no PTX".into(), |ptx| format!("PTX for sm_{} by {}", ptx.arch, ptx.compiler));
    cargo_bin_cmd!("microgpt").arg("--version").assert().success().stdout(version.and(predicate::str::contains(ptx)));
}

// Completions and the manual page ignore the environment. An empty variable counts as unset.
#[test]
fn variables_stand_in_for_flags() {
    let folder = Folder::new();
    for args in ["--completions bash", "--man-page"] {
        let mut command = folder.program(args);
        command.envs([("MICROGPT_DEVICE", "cpu"), ("MICROGPT_THREADS", "2")]).assert().success().stderr("");
        refused(folder.program(&format!("{args} --steps 1")), 2, &["cannot be used with"]);
    }
    let device = |value: &str| {
        let mut command = folder.run("--steps 1 --samples 1");
        let output = command.envs([("MICROGPT_DEVICE", value), ("MICROGPT_THREADS", "")]).output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stderr).unwrap().lines().find(|line| line.starts_with("device: ")).unwrap().to_owned()
    };
    assert!(device("reference").contains("reference") && !device("").contains("reference"));
}

#[test]
fn the_input_can_be_standard_input() {
    let folder = Folder::new();
    let lines = |text: &[u8]| String::from_utf8_lossy(text).lines().map(str::to_owned).collect::<Vec<_>>();
    let output = folder.program("--input - --steps 1 --samples 1").write_stdin(NAMES).output().unwrap();
    assert_eq!(lines(&output.stderr)[0], "corpus: standard input");
    assert_eq!(lines(&output.stdout)[..3], lines(folder.stdout("--steps 1 --samples 1").as_bytes())[..3]);
    assert_eq!(folder.files(), ["names.txt"]);
    let mut command = folder.program("--input -");
    command.write_stdin("");
    refused(command, 1, &["standard input is empty"]);
}

#[test]
fn the_line_ends_of_windows_give_the_same_model() {
    let folder = Folder::new();
    let run = |text: String| {
        folder.write("text", text);
        let mut command = folder.program("--input text --device cpu --steps 30 --save model");
        let stdout = command.assert().success().get_output().stdout.clone();
        (untimed(&String::from_utf8(stdout).unwrap()), std::fs::read(folder.path("model")).unwrap())
    };
    let unix = run(NAMES.to_owned());
    assert!(unix == run(NAMES.replace('\n', "\r\n")));
    assert!(unix == run(format!("\u{feff}{}", NAMES.replace('\n', "\r\n"))));
}

#[test]
fn paths_may_be_absolute_have_blanks_and_be_longer_than_260_characters() {
    let folder = Folder::new();
    let long = (0..8).fold(folder.path("a folder"), |path, i| path.join(format!("{i} {}", "x".repeat(40))));
    std::fs::create_dir_all(&long).unwrap();
    let path = |name: &str| long.join(name);
    assert!(path("names.txt").as_os_str().len() > 300);
    std::fs::write(path("names.txt"), NAMES).unwrap();
    let run = |args: &[(&str, &str)]| {
        let mut command = folder.program("--device cpu --steps 3");
        for (flag, name) in args {
            command.arg(flag).arg(path(name));
        }
        command.assert().success();
    };
    run(&[("--input", "names.txt"), ("--save", "model"), ("--metrics", "steps.jsonl"), ("--plot", "losses.svg")]);
    run(&[("--input", "names.txt"), ("--init-from", "model"), ("--save", "model")]);
    let files = std::fs::read_dir(&long).unwrap().count();
    assert_eq!(files, 4);
}

#[test]
fn documents_of_one_character_and_of_a_million_are_learned_from() {
    let folder = Folder::new();
    folder.write("short", "a\na\n");
    folder.write("long", format!("{}\nb\n{}\n", "ab".repeat(500_000), "ba".repeat(500_000)));
    for device in DEVICES {
        for (input, vocab) in [("short", 2), ("long", 3)] {
            let mut command =
                folder.program(&format!("--input {input} --device {device} --steps 5 --val-every 5 --samples 2"));
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
        // The weights are those of the checkpoint, so the first loss differs from that of new weights.
        let first = |text: &str| text.lines().nth(3).unwrap().to_owned();
        let more = folder.stdout(&format!("--device {device} {model} --steps 20 --init-from model.safetensors"));
        assert_ne!(first(&more), first(&trained));
    }
    assert_eq!(folder.files(), ["model.safetensors", "names.txt"]);
}
