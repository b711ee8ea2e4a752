//! The commands for a saved model: `sample`, `eval` and `info`.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use safetensors::SafeTensors;
use serde_json::{Value, json};

mod common;
use common::{Folder, NAMES, python, refused};

const SHAPE: &str = "--n-embd 12 --n-head 3 --n-layer 2 --block-size 5";

/// Returns a folder with a small model, and the stdout of the run that saved it. The last two names validate.
fn trained(args: &str) -> (Folder, String) {
    let folder = Folder::new();
    let args = format!("{SHAPE} --steps 60 --val-every 20 --no-shuffle --seed 7 --save model.st {args}");
    let stdout = folder.stdout(&args);
    (folder, stdout)
}

/// Returns the stdout of a command, which must succeed.
fn stdout(folder: &Folder, args: &str) -> String {
    let output = folder.program(args).assert().success().get_output().clone();
    String::from_utf8(output.stdout).unwrap()
}

/// Returns the value of a line such as `tokens: 12`.
fn value(stdout: &str, key: &str) -> f64 {
    let line = stdout.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(": "));
    line.unwrap_or_else(|| panic!("{key} in:\n{stdout}")).parse().unwrap()
}

#[test]
fn a_saved_model_is_sampled_as_by_the_run_that_saved_it() {
    let (folder, trained) = trained("--samples 12");
    let samples = |text: &str| text.split_once("--- inference ---\n").unwrap().1.to_owned();
    // The shape, the vocabulary and the seed are those of the file.
    assert_eq!(stdout(&folder, "sample model.st --samples 12"), samples(&trained));
    assert_ne!(stdout(&folder, "sample model.st --samples 12 --seed 8"), samples(&trained));
    assert_eq!(stdout(&folder, "sample model.st --samples 0"), "");
    let flags = "--samples 3 --prompt am --temperature 1.5 --top-k 4";
    for device in ["cpu", "reference"] {
        let flags = format!("{flags} --device {device}");
        let run = folder.stdout(&format!("{SHAPE} --steps 0 --seed 7 --init-from model.st {flags}"));
        assert_eq!(stdout(&folder, &format!("sample model.st {flags}")), samples(&run));
    }
    let lines = stdout(&folder, "sample model.st --samples 2 --format jsonl");
    let objects: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(trained.contains(&format!("sample  2: {}\n", objects[1]["text"].as_str().unwrap())));
}

#[test]
fn an_evaluation_is_the_validation_of_the_run() {
    let (folder, trained) = trained("--samples 0 --val-docs all");
    let val_loss: f64 =
        trained.lines().rev().find_map(|line| line.strip_prefix("  val loss: ")).unwrap().parse().unwrap();
    folder.write("val.txt", "abigail\nemily\n");
    for device in ["cpu", "reference"] {
        let result = stdout(&folder, &format!("eval model.st val.txt --device {device}"));
        assert!((value(&result, "nats per token") - val_loss).abs() < 2e-4, "{result}");
        // Both names fill the block of 5, so that the end of neither is predicted.
        assert_eq!(
            (value(&result, "documents"), value(&result, "tokens"), value(&result, "characters")),
            (2.0, 10.0, 10.0)
        );
        assert!((value(&result, "bits per character") - val_loss / 2f64.ln()).abs() < 2e-4, "{result}");
        assert!((value(&result, "perplexity") / val_loss.exp() - 1.0).abs() < 2e-4, "{result}");
    }
}

#[test]
fn every_document_is_listed_with_its_line() {
    let (folder, _) = trained("--samples 0");
    let text = format!("\n  mia\t\r\n{NAMES}");
    folder.write("text.txt", &text);
    let result = stdout(&folder, "eval model.st text.txt --per-document each.jsonl");
    let listed = fs::read_to_string(folder.path("each.jsonl")).unwrap();
    let objects: Vec<Value> = listed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((objects.len(), &objects[0]["line"], &objects[1]["line"]), (13, &json!(2), &json!(3)));
    assert_eq!((&objects[0]["text"], &objects[0]["tokens"]), (&json!("mia"), &json!(4)));
    // The name stands in the text twice.
    assert_eq!(objects[0]["nll"], objects[7]["nll"]);
    let sum = |key: &str| objects.iter().map(|object| object[key].as_f64().unwrap()).sum::<f64>();
    assert!(result.contains(&format!("\ntokens: {}\n", sum("tokens"))), "{result}");
    assert!((sum("nll") / sum("tokens") - value(&result, "nats per token")).abs() < 1e-4, "{result}");
    // Standard input has the same documents, and standard output takes them.
    let output = folder.program("eval model.st - --per-document -").write_stdin(text).output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), listed);
    assert!(String::from_utf8(output.stderr).unwrap().ends_with(&result));
}

#[test]
fn a_file_of_another_kind_is_not_replaced_by_a_list_of_documents() {
    let (folder, _) = trained("--samples 0");
    folder.write("notes.txt", "remember the milk");
    let named = ["cannot write documents to `notes.txt`: the file exists and is no list of documents"];
    refused(folder.program("eval model.st names.txt --per-document notes.txt"), 1, &named);
    assert_eq!(fs::read_to_string(folder.path("notes.txt")).unwrap(), "remember the milk");
    // An earlier list and an empty file are replaced.
    folder.write("each.jsonl", "");
    for _ in 0..2 {
        stdout(&folder, "eval model.st names.txt --per-document each.jsonl");
    }
}

#[test]
fn a_hint_about_a_command_is_that_of_its_own_flags() {
    let folder = Folder::new();
    // The seed is by default that of the model, and not that of a training.
    let seed =
        "`--seed x`: expected a whole number from 0 to 18446744073709551615\nhint: `microgpt sample --help` describes";
    refused(folder.program("sample model.st --seed x"), 2, &[seed]);
    refused(folder.program("sample model.st --seed -1"), 2, &["`--seed -1`: expected a whole number"]);
    refused(folder.program("sample model.st --samples x"), 2, &["hint: the default is `--samples 20`"]);
    refused(folder.program("sample --seed 3"), 2, &["<MODEL>", "hint: write `microgpt sample <MODEL>`; "]);
    refused(folder.program("eval model.st"), 2, &["<FILE>", "hint: write `microgpt eval <MODEL> <FILE>`; "]);
    for command in ["sample model.st", "eval model.st names.txt", "info model.st"] {
        let (name, _) = command.split_once(' ').unwrap();
        let hint = format!("'--n-embd' found\nhint: `microgpt {name} --help` describes every flag");
        refused(folder.program(&format!("{command} --n-embd 8")), 2, &[&hint]);
        folder.program(&format!("{name} --help")).assert().success();
    }
    refused(folder.program("--zzz"), 2, &["hint: `--help` describes every flag"]);
}

#[test]
fn an_unknown_character_is_named_with_its_place_or_its_document_skipped() {
    let (folder, _) = trained("--samples 0");
    folder.write("text.txt", "mia\n \temXma\nava\n");
    let named = ["`text.txt`, line 2, column 5", "'X' (U+0058)", "--unknown skip"];
    refused(folder.program("eval model.st text.txt"), 1, &named);
    let skipped = folder.program("eval model.st text.txt --unknown skip").output().unwrap();
    folder.write("known.txt", "mia\nava\n");
    assert_eq!(String::from_utf8(skipped.stdout).unwrap(), stdout(&folder, "eval model.st known.txt"));
    assert!(String::from_utf8(skipped.stderr).unwrap().contains("skipped: 1 of 3 documents"));
    folder.write("none.txt", "X\n\n");
    refused(folder.program("eval model.st none.txt --unknown skip"), 1, &["`none.txt` has no document"]);
}

#[test]
fn a_model_is_described() {
    let (folder, trained) = trained("--samples 0");
    let text = stdout(&folder, "info model.st");
    assert_eq!(text.lines().count(), 27);
    let params = trained.lines().find_map(|line| line.strip_prefix("num params: ")).unwrap();
    let letters = NAMES.chars().filter(|c| *c != '\n').collect::<BTreeSet<_>>().into_iter().collect::<String>();
    let vocabulary = format!("{} tokens, <BOS> and {letters:?}", letters.len() + 1);
    for (key, value) in [
        ("params", params),
        ("n_embd", "12"),
        ("vocabulary", &vocabulary),
        ("step", "60"),
        ("steps", "60"),
        ("warmup", "0"),
        ("moments", "yes"),
        ("learning_rate", "0.01"),
        ("seed", "7"),
        ("shuffle", "no"),
    ] {
        let line = format!("{key:<14} {value}");
        assert!(text.lines().any(|other| other == line), "{line} in:\n{text}");
    }
    let object: Value = serde_json::from_str(&stdout(&folder, "info model.st --format json")).unwrap();
    assert_eq!((&object["n_layer"], &object["moments"], &object["shuffle"]), (&json!(2), &json!(true), &json!(false)));
    let val_loss = object["val_loss"].as_f64().unwrap();
    assert!(trained.contains(&format!("val loss: {val_loss:.4}\n")), "{val_loss}");
    // A loss before the last step is not that of the model.
    folder.stdout("--steps 5 --val-every 4 --samples 0 --save early.st");
    assert!(stdout(&folder, "info early.st").contains("val_loss       not stated\n"));
}

#[test]
fn dimensions_are_those_of_the_tensors_where_the_file_does_not_state_them() {
    let (folder, _) = trained("--samples 0");
    folder.write_checkpoint("plain.st", "model.st", None);
    let text = stdout(&folder, "info plain.st");
    for line in ["n_embd         12", "n_head         not stated", "n_layer        2", "block_size     5"] {
        assert!(text.lines().any(|other| other == line), "{line} in:\n{text}");
    }
    let named = ["`plain.st` does not say its `n_head` and `vocabulary`", "docs/checkpoints.md", "--init-from"];
    refused(folder.program("sample plain.st"), 1, &named);
    refused(folder.program("eval plain.st names.txt"), 1, &named);
    // These two are all that has to be added.
    let object: Value = serde_json::from_str(&stdout(&folder, "info model.st --format json")).unwrap();
    folder.write_checkpoint("least.st", "model.st", Some(json!({ "n_head": 3, "vocabulary": object["vocabulary"] })));
    assert_eq!(stdout(&folder, "sample least.st --seed 7"), stdout(&folder, "sample model.st"));
    folder.write_checkpoint("other.st", "model.st", Some(json!({ "n_head": 3, "vocabulary": ["a"] })));
    refused(folder.program("info other.st"), 1, &["`other.st` has tensor `wte` of shape [18, 12], not [2, 12]"]);
}

#[test]
fn a_description_with_other_values_than_expected_is_shown_as_it_is() {
    let (folder, _) = trained("--samples 0");
    let metadata = json!({ "n_head": 3, "best": { "val_loss": 2.5 }, "batch": {}, "seed": [] });
    folder.write_checkpoint("odd.st", "model.st", Some(metadata));
    let text = stdout(&folder, "info odd.st");
    for line in ["best           {\"val_loss\":2.5}", "batch          {}", "seed           []"] {
        assert!(text.lines().any(|other| other == line), "{line} in:\n{text}");
    }
}

#[test]
fn a_damaged_description_is_refused() {
    let (folder, _) = trained("--samples 0");
    let mut bytes = fs::read(folder.path("model.st")).unwrap();
    let seed = bytes.windows(8).position(|text| text == br#"seed\":7"#).unwrap();
    bytes[seed + 7] = b'8';
    folder.write("damaged.st", bytes);
    for args in ["info damaged.st", "info damaged.st --as-config"] {
        refused(folder.program(args), 1, &["`damaged.st` is damaged", "remove `crc32`"]);
    }
}

#[test]
fn a_loss_that_is_not_finite_is_an_error() {
    let (folder, _) = trained("--samples 0");
    let mut bytes = fs::read(folder.path("model.st")).unwrap();
    let fc1 = SafeTensors::deserialize(&bytes).unwrap().tensor("layer0.mlp_fc1").unwrap().data().as_ptr_range();
    let start = fc1.start as usize - bytes.as_ptr() as usize;
    let len = fc1.end as usize - fc1.start as usize;
    bytes[start..start + len].as_chunks_mut().0.fill(3e38f32.to_le_bytes());
    // The checksum is of the original values. Without its name it is not found.
    let name = bytes.windows(5).position(|name| name == b"crc32").unwrap();
    bytes[name..name + 5].copy_from_slice(b"other");
    folder.write("huge.st", bytes);
    let command = folder.program("eval huge.st names.txt --device cpu --per-document each.jsonl --quiet");
    refused(command, 1, &["the loss of `huge.st` is not finite"]);
    assert_eq!(folder.files(), ["huge.st", "model.st", "names.txt"]);
}

#[test]
fn what_cannot_be_used_is_refused() {
    let (folder, _) = trained("--samples 0");
    for (args, code, parts) in [
        ("sample", 2, &["<MODEL>"][..]),
        ("eval model.st", 2, &["<FILE>"]),
        ("sample model.st --n-embd 3", 2, &["'--n-embd'", "hint: `microgpt sample --help`"]),
        ("--steps 3 sample model.st", 2, &["'sample' cannot be used with '--steps <N>'", "start with the command"]),
        ("sample model.st --temperature hot", 2, &["`--temperature hot`: expected a number"]),
        ("eval model.st names.txt --unknown keep", 2, &["`--unknown keep`: expected one of refuse, skip"]),
        ("info model.st --format xml", 2, &["`--format xml`: expected one of text, json"]),
        ("sample missing.st", 1, &["`missing.st`"]),
        ("info names.txt", 1, &["`names.txt` is not a safetensors file"]),
        ("eval model.st missing.txt", 1, &["cannot read `missing.txt`"]),
        ("sample model.st --prompt emm1", 1, &["`--prompt emm1`", "'1' (U+0031)"]),
        ("sample model.st --prompt emily", 1, &["`--prompt emily` has 5 characters, expected at most 4"]),
        ("sample model.st --top-k 19", 1, &["`--top-k 19`", "18 tokens"]),
        ("eval model.st names.txt --per-document names.txt", 1, &["`names.txt`", "it is the text"]),
        ("eval model.st names.txt --per-document model.st", 1, &["`model.st`", "it is the model"]),
    ] {
        refused(folder.program(args), code, parts);
    }
    assert_eq!(folder.files(), ["model.st", "names.txt"]);
}

/// Returns the programs in docs/checkpoints.md.
fn documented() -> [String; 2] {
    let doc = include_str!("../../docs/checkpoints.md");
    let blocks: Vec<&str> = doc.split("```python\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    [blocks[0].to_owned(), blocks[1].to_owned()]
}

#[test]
fn the_documented_programs_compute_the_losses_of_this_one() {
    let Some(python) = python() else {
        return eprintln!("skipped: no Python with `safetensors` and NumPy; `.ci/run` makes one in target/python");
    };
    let folder = Folder::new();
    let [loss, split] = documented();
    folder.write("loss.py", loss);
    folder.write("split.py", split);
    // A name of 8 letters loses its end, and 5163 names need more than one chunk of the shuffle.
    folder.write("names.txt", format!("{}éß\n 李 四 \n\n", microgpt::corpus::EMBEDDED));
    folder.stdout(
        "--n-embd 12 --n-head 3 --n-layer 2 --seed 7 --steps 300 --val-every 300 --val-docs all --samples 0 --save model.st",
    );
    let run = |args: [&str; 3]| {
        let output = Command::new(&python).args(args).current_dir(&folder.0).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let close = |got: &str, expected: f64| {
        let got: f64 = got.trim().parse().unwrap();
        assert!((got / expected - 1.0).abs() < 1e-6, "{got}, expected {expected}");
    };
    stdout(&folder, "eval model.st names.txt --per-document each.jsonl");
    let listed = fs::read_to_string(folder.path("each.jsonl")).unwrap();
    let objects: Vec<Value> = listed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let sum = |key: &str| objects.iter().map(|object| object[key].as_f64().unwrap()).sum::<f64>();
    close(&run(["loss.py", "model.st", "names.txt"]), sum("nll") / sum("tokens"));
    // The validation loss that the run has measured is that of the documents that the program chooses.
    folder.write("val.txt", run(["split.py", "names.txt", "7"]));
    let object: Value = serde_json::from_str(&stdout(&folder, "info model.st --format json")).unwrap();
    close(&run(["loss.py", "model.st", "val.txt"]), object["val_loss"].as_f64().unwrap());
}
