//! The flags of sampling, the completions, and the manual page.

use std::process::Command;

use assert_cmd::cargo::cargo_bin;
use microgpt::Model;
use serde_json::Value;

mod common;
use common::{Folder, NAMES, refused};

const DEVICES: [&str; 2] = ["reference", "cpu"];

/// Returns a folder with a model that has memorised most of [`NAMES`].
fn trained() -> Folder {
    let folder = Folder::new();
    folder.stdout("--steps 1500 --samples 1 --save model.safetensors");
    folder
}

fn samples(stdout: &str) -> Vec<(usize, String)> {
    let lines = stdout.lines().filter_map(|line| line.strip_prefix("sample "));
    let sample = |line: &str| line.split_once(": ").map(|(n, text)| (n.trim().parse().unwrap(), text.to_owned()));
    lines.map(|line| sample(line).unwrap()).collect()
}

#[test]
fn a_prompt_starts_each_sample() {
    let folder = trained();
    let run = |args: &str| samples(&folder.stdout(&format!("--steps 0 --init-from model.safetensors {args}")));
    let on_cpu = run("--prompt ame");
    assert!(on_cpu.len() == 20 && on_cpu.iter().all(|(_, text)| text.starts_with("ame")), "{on_cpu:?}");
    assert_eq!(run("--prompt ame --device reference"), on_cpu);
    assert_eq!(run("--temperature 0 --prompt amel")[0].1, "amelia");
}

#[test]
fn an_impossible_prompt_is_refused() {
    let folder = Folder::new();
    refused(folder.run("--prompt emX"), 1, &["`--prompt emX`", "'X' (U+0058)"]);
    refused(folder.run("--prompt isabella"), 1, &["`--prompt isabella` has 8 characters, expected at most 7"]);
}

#[test]
fn unlikely_tokens_are_left_out_on_every_device() {
    let folder = trained();
    let run =
        |args: &str| samples(&folder.stdout(&format!("--steps 0 --init-from model.safetensors --top-k 18 {args}")));
    let (all, greedy) = (run("--temperature 4"), run("--temperature 0"));
    for args in ["--min-p 0.3", "--top-p 0.5", "--min-p 0.05 --top-p 0.8"] {
        let kept = run(&format!("--temperature 4 {args}"));
        assert!(kept != all && kept != greedy, "{args}: {kept:?}");
        assert_eq!(run(&format!("--temperature 4 {args} --device reference")), kept, "{args}");
        // The commands for a saved model draw alike.
        let command = folder.program(&format!("sample model.safetensors --top-k 18 --temperature 4 {args}"));
        let stdout = { command }.assert().success().get_output().stdout.clone();
        assert_eq!(samples(&String::from_utf8(stdout).unwrap()), kept, "{args}");
    }
    for args in ["--min-p 1", "--top-p 0"] {
        assert_eq!(run(&format!("--temperature 4 {args}")), greedy, "{args}");
    }
    assert_eq!(run("--temperature 4 --min-p 0 --top-p 1"), all);
    for (args, named) in
        [("--min-p 1.1", "`--min-p 1.1`"), ("--top-p -0.1", "`--top-p -0.1`"), ("--top-p nan", "`--top-p nan`")]
    {
        refused(folder.run(args), 2, &[named, "expected a number from 0 to 1"]);
    }
}

#[test]
fn unique_leaves_out_what_stands_in_the_corpus_and_counts_it() {
    // The temperature is so high that some samples are new.
    const MORE: &str = "--steps 0 --init-from model.safetensors --temperature 2.5 --top-k 18";
    let folder = trained();
    let run = |args: &str| folder.stdout(&format!("{MORE} --samples 50 {args}"));
    let (all, unique) = (samples(&run("")), run("--unique"));
    // The model has not seen the end of a name that is longer than a block.
    let known = |text: &str| NAMES.lines().any(|name| name[..name.len().min(8)] == *text);
    let expected: Vec<_> = all.iter().filter(|(_, text)| !known(text)).cloned().collect();
    let memorised = all.len() - expected.len();
    assert!(memorised > 10 && memorised < 50, "{all:?}");
    assert_eq!(samples(&unique), expected, "the others keep their numbers");
    let last = unique.lines().last().unwrap();
    assert_eq!(last, format!("memorised: {memorised} of 50 samples stand in the corpus"));
}

// A model learns the first characters of a document that is cut, so that its samples are no longer than those.
#[test]
fn a_sample_is_compared_with_documents_as_the_model_saw_them() {
    let folder = Folder::new();
    folder.write("long.txt", "abcdefghijkl\n".repeat(100));
    // A model of this text goes on with it beyond its block.
    folder.write("same.txt", "aaaaaaaaaaaa\n".repeat(50));
    for args in [
        "--input long.txt --block-size 8",
        "--input long.txt --block-size 16",
        "--input long.txt --block-size 1",
        "--input same.txt --block-size 8 --sample-length 12",
    ] {
        let output = folder.program(&format!("{args} --temperature 0 --samples 2 --unique")).output().unwrap();
        let stdout = String::from_utf8(output.stdout).unwrap();
        let end = "--- inference ---\nmemorised: 2 of 2 samples stand in the corpus\n";
        assert!(stdout.ends_with(end), "{args}: {stdout}");
    }
}

#[test]
fn jsonl_has_every_token_with_its_log_probability_and_nothing_else() {
    let folder = trained();
    let args = "--steps 0 --init-from model.safetensors --samples 30";
    let text = samples(&folder.stdout(args));
    let run = |device: &str| {
        let output = folder.run(&format!("{args} --format jsonl --device {device}")).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(stderr.contains("num params: ") && stderr.contains("--- inference ---"), "{stderr}");
        let stdout = String::from_utf8(output.stdout).unwrap();
        stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<Value>>()
    };
    let (cpu, reference) = (run("cpu"), run("reference"));
    assert_eq!(cpu.len(), 30);
    for ((object, other), (number, text)) in cpu.iter().zip(&reference).zip(&text) {
        assert_eq!((&object["sample"], &object["text"]), (&(*number).into(), &text.as_str().into()));
        let tokens: Vec<&str> = object["tokens"].as_array().unwrap().iter().map(|t| t.as_str().unwrap()).collect();
        let mut expected: Vec<String> = text.chars().map(String::from).collect();
        expected.resize(8.min(expected.len() + 1), "<BOS>".to_owned());
        assert_eq!(tokens, expected);
        let logprobs = |object: &Value| -> Vec<f64> {
            object["logprobs"].as_array().unwrap().iter().map(|p| p.as_f64().unwrap()).collect()
        };
        assert_eq!(logprobs(object).len(), tokens.len());
        for (got, expected) in logprobs(object).iter().zip(logprobs(other)) {
            assert!(*got <= 0.0 && (got - expected).abs() < 1e-4, "{object}\n{other}");
        }
    }
}

#[test]
fn the_first_log_probability_of_untrained_weights_is_that_of_a_uniform_guess() {
    let folder = Folder::new();
    for device in DEVICES {
        let args = format!("--device {device} --steps 1 --learning-rate 0 --format jsonl --samples 1 --temperature 0");
        let output = folder.run(&args).output().unwrap();
        let object: Value = serde_json::from_slice(&output.stdout).unwrap();
        let first = object["logprobs"][0].as_f64().unwrap();
        assert!((first + 18f64.ln()).abs() < 0.2, "{device}: {object}");
    }
}

// The weights are finite, but their products exceed the largest float.
#[test]
fn a_model_without_probabilities_draws_no_sample() {
    let folder = trained();
    let mut model = Model::load(folder.path("model.safetensors")).unwrap();
    for (i, weight) in model.state.weights.values.iter_mut().enumerate() {
        *weight = if i % 2 == 0 { 3e38 } else { -3e38 };
    }
    model.save(folder.path("large.safetensors")).unwrap();
    for format in ["text", "jsonl"] {
        for choice in ["", "--temperature 0", "--top-k 1", "--prompt em"] {
            let args = format!("--steps 0 --val-every 0 --init-from large.safetensors --format {format} {choice}");
            let output = folder.run(&args).output().unwrap();
            let (stdout, stderr) =
                (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
            assert_eq!(output.status.code(), Some(1), "{args}: {stdout}{stderr}");
            let error = "error: cannot draw sample 1: the log-probability of a token is NaN\nhint: ";
            assert!(stderr.contains(error) && !stdout.contains("sample 1"), "{args}: {stdout}{stderr}");
        }
    }
}

#[test]
fn documents_that_are_cut_are_counted_once() {
    let folder = Folder::new();
    let stderr = |args: &str| String::from_utf8(folder.run(args).output().unwrap().stderr).unwrap();
    // With the final `<BOS>`, `isabella` and `charlotte` have more than 8 tokens. The names have 73 characters.
    let notice = "cut: 2 of 12 documents to their first `--block-size 8` tokens, without 1.4 % of all characters; the \
                  longest document has 9; `--block-size 10` takes 99 % of the documents whole; `--corpus text` reads the text as a whole\n";
    assert_eq!(stderr("--steps 9").matches(notice).count(), 1, "{}", stderr("--steps 9"));
    assert!(!stderr("--steps 1 --block-size 10").contains("cut"));
    assert!(stderr("--steps 1 --block-size 9").contains("cut: 1 of 12"));
}

#[test]
fn completions_and_the_manual_page_name_every_flag() {
    let folder = Folder::new();
    let help = String::from_utf8(folder.program("--help").output().unwrap().stdout).unwrap();
    let mut flags: Vec<&str> =
        help.split_whitespace().filter(|word| word.starts_with("--") && word.len() > 2).collect();
    for flag in &mut flags {
        *flag = flag.trim_end_matches([',', '.', ']', ';']);
    }
    assert!(flags.len() > 30, "{flags:?}");
    for heading in ["Input and output:", "Seeing the run:", "Model:", "Training:", "Sampling:"] {
        assert!(help.contains(&format!("\n{heading}\n")), "{heading} is missing in:\n{help}");
    }
    for document in ["--completions bash", "--completions zsh", "--completions fish", "--man-page"] {
        let output = folder.program(document).assert().success().stderr("").get_output().clone();
        let text = String::from_utf8(output.stdout).unwrap().replace("\\-", "-");
        for flag in &flags {
            let name = flag.trim_start_matches('-');
            assert!(text.contains(flag) || text.contains(&format!("-l {name}")), "{flag} is missing in {document}");
        }
    }
    let page = folder.program("--man-page").output().unwrap().stdout;
    let page = String::from_utf8(page).unwrap();
    for part in ["SIGNALS\n", "\"EXIT STATUS\"\n", "ENVIRONMENT\n", "EXAMPLES\n", "\n\\fBmicrogpt\\fR [OPTION]...\n"] {
        assert!(page.contains(part), "{part} is missing in:\n{page}");
    }
    assert!(page.lines().filter(|line| line.starts_with(".TH ")).all(|line| line.len() < 60), "a footer fits its line");
    // A script can name every flag and still have a syntax error.
    let script = folder.program("--completions bash").output().unwrap().stdout;
    folder.write("completions.bash", script);
    let checked = Command::new("bash").args(["-n", "completions.bash"]).current_dir(&folder.0).status();
    assert!(checked.is_ok_and(|status| status.success()));
    // Only paths complete to the names of files.
    let completed = |words: &str| {
        let last = words.split(' ').count() - 1;
        let script = format!(
            ". ./completions.bash; compopt() {{ :; }}; COMP_WORDS=({words} ''); COMP_CWORD={}; \
             _microgpt microgpt '' {}; echo \"${{COMPREPLY[*]}}\"",
            last + 1,
            words.split(' ').next_back().unwrap(),
        );
        let output = Command::new("bash").args(["-c", &script]).current_dir(&folder.0).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    for (words, expected) in [
        ("microgpt --save", Some("names.txt")),
        ("microgpt --prompt", None),
        ("microgpt --steps", None),
        ("microgpt --sweep", Some("learning-rate")),
        ("microgpt sample --prompt", None),
    ] {
        let text = completed(words);
        assert!(expected.map_or(text.trim().is_empty(), |part| text.contains(part)), "{words}: {text}");
    }
}

#[test]
fn the_environment_chooses_device_and_threads() {
    let folder = Folder::new();
    let stderr = |args: &str, variable: &str, value: &str| {
        let output = folder.run(&format!("--steps 1 {args}")).env(variable, value).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    assert!(stderr("", "MICROGPT_DEVICE", "reference").1.contains("device: reference"));
    assert!(stderr("--device cpu", "MICROGPT_DEVICE", "reference").1.contains("device: CPU"));
    assert_eq!(stderr("", "MICROGPT_THREADS", "3").0, Some(0));
    let (code, report) = stderr("", "MICROGPT_THREADS", "none");
    assert_eq!(code, Some(2));
    assert!(report.starts_with("error: `MICROGPT_THREADS=none`: expected a whole number from 1"), "{report}");
    assert!(stderr("--threads 0", "MICROGPT_THREADS", "3").1.starts_with("error: `--threads 0`: expected"));
    assert_eq!(stderr("", "MICROGPT_DEVICE", "toaster").0, Some(2));
}

// Errors are coloured on a terminal, which `script` provides, unless `NO_COLOR` is set.
#[cfg(target_os = "linux")]
#[test]
fn no_color_is_obeyed() {
    let folder = Folder::new();
    let on_terminal = |no_color: bool| {
        let mut command = Command::new("script");
        command.args(["-qec", &format!("'{}' --bogus", cargo_bin!("microgpt").display()), "/dev/null"]);
        command.current_dir(&folder.0).env("TERM", "xterm-256color").env_remove("NO_COLOR");
        if no_color {
            command.env("NO_COLOR", "1");
        }
        command.output().map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let Ok(colours) = on_terminal(false) else { return eprintln!("skipped: no `script` to play the terminal") };
    assert!(colours.contains("\x1b[") && colours.contains("--bogus"), "{colours:?}");
    assert!(!on_terminal(true).unwrap().contains('\x1b'));
}
