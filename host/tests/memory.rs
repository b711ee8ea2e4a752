//! The memory that a run says it needs, and the refusal of a run that needs more than there is.
#![allow(missing_docs)]

mod common;
use common::{Folder, refused};

/// Returns the lines of stderr about memory.
fn said(folder: &Folder, args: &str) -> Vec<String> {
    let output = folder.run(args).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{args}: {stderr}");
    stderr.lines().filter(|line| line.starts_with("memory: ")).map(str::to_owned).collect()
}

/// Returns the bytes of a part that a line names, such as `1.5 MB optimiser`.
fn bytes(line: &str, part: &str) -> f64 {
    let words: Vec<&str> = line.split([' ', ',']).filter(|word| !word.is_empty()).collect();
    let at = words.iter().position(|&word| word == part).unwrap();
    let unit = match words[at - 1] {
        "KB" => 1e3,
        "MB" => 1e6,
        unit => panic!("{unit}"),
    };
    words[at - 2].parse::<f64>().unwrap() * unit
}

#[test]
fn a_run_says_once_what_memory_its_parts_need() {
    let folder = Folder::new();
    for device in ["cpu", "reference"] {
        let args = format!("--device {device} --n-head 1 --steps 2 --batch 3 --save model.st");
        let lines = said(&folder, &args);
        assert_eq!(lines.len(), 1, "{lines:?}");
        let parts = ["parameters", "optimiser", "activations"].map(|part| bytes(&lines[0], part));
        // The model has 3,600 parameters or so, which are there at least twice, as are gradients and moments.
        assert!(parts[0] > 2.0 * 4.0 * 3400.0 && parts[1] > parts[0] && parts[2] > 1e3, "{lines:?}");
        let larger = said(&folder, &format!("{args} --n-embd 32 --n-layer 2"));
        assert!(bytes(&larger[0], "parameters") > 4.0 * parts[0], "{larger:?}");
        assert!(said(&folder, &format!("{args} --quiet")).is_empty());
    }
    // A saved model says it, too.
    for args in ["sample model.st", "eval model.st names.txt"] {
        let stderr = folder.program(args).output().unwrap().stderr;
        assert_eq!(String::from_utf8(stderr).unwrap().matches("\nmemory: ").count(), 1, "{args}");
    }
    // So does each shape of a sweep.
    assert_eq!(said(&folder, "--steps 1 --sweep n-embd=8,16 --samples 0").len(), 2);
}

#[test]
fn models_beyond_all_bounds_are_refused() {
    let folder = Folder::new();
    let parts = ["a model of 1200000", "too large", "n_embd 1000000, n_layer 100000", "lower --n-embd"];
    refused(folder.run("--n-embd 1000000 --n-layer 100000 --save model.st"), 2, &parts);
    // No index of a step's tokens fits 32 bits.
    folder.write("names.txt", "ab".repeat(6000));
    for device in ["cpu", "reference", "auto"] {
        let args = format!("--corpus text --batch 16777216 --block-size 1000 --n-head 1 --device {device}");
        refused(folder.run(&args), 1, &["must be at most 4294967295, got 16793993216", "lower --batch"]);
    }
    folder.write("names.txt", ["ab\n"; 60].concat() + &"ab".repeat(600));
    let args = "--batch 16777216 --block-size 1000 --n-head 1 --n-embd 64 --device cpu";
    refused(folder.run(args), 1, &["must be at most 4294967295, got 16777216000", "lower --batch"]);
}

/// Returns a command for the program with these arguments, for which a shell limits the address space to this many
/// kilobytes.
#[cfg(target_os = "linux")]
fn limited(folder: &Folder, kilobytes: u64, args: &str) -> assert_cmd::Command {
    let program = assert_cmd::cargo::cargo_bin!("microgpt").display().to_string();
    let mut command = assert_cmd::Command::new("sh");
    command
        .current_dir(&folder.0)
        .args(["-c", &format!("ulimit -v {kilobytes}; exec {program} --input names.txt {args}")]);
    command
}

#[cfg(target_os = "linux")]
#[test]
fn a_model_beyond_the_limit_of_the_shell_is_refused_with_the_sum() {
    let folder = Folder::new();
    for device in ["auto", "cpu"] {
        // The model has 50 million parameters, which take 200 MB in every copy.
        let args =
            format!("--device {device} --n-embd 1024 --n-layer 4 --n-head 16 --batch 4 --samples 0 --save model.st");
        let parts = [" of memory needed (", " GB optimiser, ", "`ulimit -v` leaves ", "lower `--n-embd`", "`--batch`"];
        refused(limited(&folder, 1_500_000, &format!("{args} --steps 1")), 1, &parts);
        // A sweep is refused before it trains the first model.
        refused(
            limited(&folder, 1_500_000, "--device cpu --sweep n-embd=8,2048 --n-layer 4 --save model.st"),
            1,
            &parts,
        );
    }
    assert_eq!(folder.files(), ["names.txt"]);
}
