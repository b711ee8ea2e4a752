//! Runs that are not resumed, with the reason and what to do.

use std::fs;

use serde_json::{Value, json};

use super::common::{self, Folder, refused};

#[test]
fn a_checkpoint_of_another_run_is_not_resumed() {
    let folder = Folder::new();
    folder.stdout("--steps 4 --save model.safetensors");
    folder.write("other.txt", "emma\nolivia\nava\nxqz\n");
    folder.write("reversed.txt", common::NAMES.lines().rev().collect::<Vec<_>>().join("\n"));
    for (args, parts) in [
        ("--steps 3", &["`--steps 4`, not `--steps 3`", "give `--steps 4` or more"][..]),
        ("--steps 4 --seed 1", &["`--seed 42`, not `--seed 1`"]),
        ("--steps 4 --n-layer 2", &["`--n-layer 1`, not `--n-layer 2`"]),
        ("--steps 4 --learning-rate 0.02", &["`--learning-rate 0.01`, not `--learning-rate 0.02`"]),
        ("--steps 4 --no-shuffle", &["without `--no-shuffle`"]),
        (
            "--steps 4 --input reversed.txt",
            &["another corpus", "give the corpus of the run, `--input names.txt`, as it was"],
        ),
        ("--steps 4 --input other.txt", &["another corpus", "`--input names.txt`"]),
        ("--steps 4 --input none.txt", &["cannot read `none.txt`", "leave `--input` out to take the run's corpus"]),
    ] {
        let input = if args.contains("--input") { "" } else { "--input names.txt" };
        refused(folder.program(&format!("{input} {args} --resume model.safetensors")), 1, parts);
    }
    refused(folder.run("--steps 4 --resume none.safetensors"), 1, &["none.safetensors"]);
    let both = folder.run("--resume model.safetensors --init-from model.safetensors").assert().code(2);
    assert!(String::from_utf8_lossy(&both.get_output().stderr).contains("cannot be used with"));
}

#[test]
fn a_run_from_standard_input_says_that_it_needs_its_corpus_again() {
    let folder = Folder::new();
    let piped = |args: &str| {
        let mut command = folder.program(&format!("--samples 0 {args}"));
        command.write_stdin(common::NAMES);
        command
    };
    piped("--input - --steps 8 --stop-after 4 --save half.st").assert().success();
    let parts =
        ["`half.st` read its corpus from standard input", "`--input FILE`, or by `--input -` and standard input"];
    refused(folder.program("--resume half.st"), 1, &parts);
    folder.stdout("--resume half.st --samples 0 --save file.st");
    piped("--input - --resume half.st --save piped.st").assert().success();
    let bytes = |name: &str| fs::read(folder.path(name)).unwrap();
    let tensors = |name: &str| {
        let bytes = bytes(name);
        bytes[8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize..].to_vec()
    };
    assert!(tensors("file.st") == tensors("piped.st"));
    folder.write("other.txt", "emma\nolivia\nava\n");
    let hint = "give the corpus that the run read from standard input";
    refused(folder.program("--resume half.st --input other.txt"), 1, &["another corpus", hint]);
    // A configuration reads standard input as the run did.
    let config = folder.program("info half.st --as-config").assert().success().get_output().stdout.clone();
    folder.write("run.toml", config);
    piped("--config run.toml --save again.st").assert().success();
    piped("--input - --steps 8 --save whole.st").assert().success();
    assert!(bytes("again.st") == bytes("whole.st"));
}

#[test]
fn a_setting_that_makes_another_corpus_is_told_before_the_corpus() {
    let folder = Folder::new();
    folder.write("names.txt", common::NAMES.to_owned() + "anna lena\nmia \n");
    folder.stdout("--steps 4 --samples 0 --save model.st");
    refused(folder.run("--resume model.st --keep-spaces"), 1, &["belongs to a run without `--keep-spaces`"]);
    // The vocabulary differs, too.
    folder.write("names.txt", "zoe\u{301}\nrene\u{301}\n");
    folder.stdout("--steps 4 --samples 0 --save decomposed.st");
    let parts = ["belongs to a run of `--normalize none`, not `--normalize nfc`", "give `--normalize none`"];
    refused(folder.run("--resume decomposed.st --normalize nfc"), 1, &parts);
    // Read with these flags, the texts would be too short or have one document.
    folder.write("text.txt", "all on one line, and on no other ".repeat(9));
    folder.program("--input text.txt --corpus text --steps 4 --samples 0 --save text.st").assert().success();
    folder.write("copies.txt", "emma\nemma\nemma\n");
    folder.program("--input copies.txt --steps 4 --samples 0 --save copies.st").assert().success();
    for (args, named, hint) in [
        ("text.st --corpus lines", "belongs to a run of `--corpus text`, not `--corpus lines`", "give `--corpus text`"),
        ("text.st --block-size 99", "holds a model of `--block-size 8`, not `--block-size 99`", "`--block-size 8`"),
        ("copies.st --dedup", "belongs to a run without `--dedup`", "leave `--dedup` out"),
    ] {
        refused(folder.program(&format!("--resume {args}")), 1, &[named, hint]);
    }
}

#[test]
fn a_resumed_run_validates_on_the_documents_of_its_best_validation() {
    let folder = Folder::new();
    for (args, stored) in [("--val-docs 2", "2"), ("--seeds 2", "all")] {
        folder.stdout(&format!("--steps 20 --val-every 10 --samples 0 {args} --save model.st"));
        let parts = [&format!("`--val-docs 1` is not the run's `--val-docs {stored}`"), "leave `--val-docs` out"];
        refused(folder.run("--resume model.st --steps 30 --val-docs 1"), 2, &parts);
        let losses = |args: &str| folder.stdout(args).lines().last().unwrap().to_owned();
        let (own, same) = ("--resume model.st --steps 30 --samples 0", format!("--val-docs {stored}"));
        assert_eq!(losses(own), losses(&format!("{own} {same}")));
    }
}

#[test]
fn a_resumed_run_takes_no_other_corpus_than_its_own() {
    let folder = Folder::new();
    folder.stdout("--steps 4 --samples 0 --save model.st");
    fs::rename(folder.path("names.txt"), folder.path("input.txt")).unwrap();
    let parts = ["cannot read `names.txt`, the corpus of the resumed run", "`--input FILE`, if it has moved"];
    refused(folder.program("--resume model.st --steps 5"), 1, &parts);
    folder.program("--resume model.st --steps 5 --input input.txt").assert().success();
}

#[test]
fn a_stored_setting_that_its_flag_no_longer_takes_is_named_with_what_to_do() {
    let folder = Folder::new();
    folder.stdout("--steps 8 --stop-after 4 --samples 0 --save new.st");
    let store = |key: &str, value: Value| {
        let mut metadata = folder.metadata("new.st");
        metadata["settings"][key.replace('_', "-")] = value.clone();
        if !metadata[key].is_null() {
            metadata[key] = value;
        }
        folder.write_checkpoint("old.st", "new.st", Some(metadata));
    };
    for (key, value, other, said) in [
        ("eps", json!(1e30), "--eps 0.5", "`--eps 1e+30`: expected a number from 1e-37 to 1.0"),
        (
            "max_grad_norm",
            json!(1e-30),
            "--max-grad-norm 2",
            "`--max-grad-norm 1e-30`: expected a number from 1e-6 to ",
        ),
        ("batch", json!(0), "--batch 3", "`--batch 0`: expected a whole number from 1 to "),
    ] {
        store(key, value);
        // Another value would be another run.
        for args in ["", other] {
            let parts = [
                &*format!("error: the checkpoint `old.st` belongs to a run of {said}"),
                "hint: start a new run from its weights by `--init-from old.st`, or ",
            ];
            refused(folder.program(&format!("--resume old.st {args}")), 2, &parts);
        }
        folder.stdout("--init-from old.st --steps 2 --samples 0");
    }
    store("val_every", json!(-3));
    let parts = ["`old.st` belongs to a run of `--val-every -3`: expected a whole", "hint: give another `--val-every`"];
    refused(folder.program("--resume old.st"), 2, &parts);
    folder.stdout("--resume old.st --val-every 3 --samples 0");
    store("corpus_mode", json!("pages"));
    let parts = ["`old.st` belongs to a run of `--corpus pages`: expected one of lines, text", "hint: give another "];
    refused(folder.run("--init-from old.st"), 2, &parts);
    folder.stdout("--init-from old.st --corpus lines --steps 2 --samples 0");
    for (key, value) in [("dropout", json!(0.5)), ("save", json!("stored.st"))] {
        store(key, value);
        let output = folder.program("--resume old.st --samples 0").assert().success().get_output().clone();
        let notice = format!("settings: `old.st` has `--{key}`, which is left out, since it is no setting here\n");
        assert!(String::from_utf8(output.stderr).unwrap().contains(&notice));
    }
    assert!(!folder.path("stored.st").exists());
}

#[test]
fn a_checkpoint_with_the_tensors_of_another_model_is_told_before_its_settings() {
    let folder = Folder::new();
    folder.stdout("--steps 8 --learning-rate 0.02 --samples 0 --save good.st");
    let mut metadata = folder.metadata("good.st");
    metadata["n_embd"] = json!(12);
    folder.write_checkpoint("bad.st", "good.st", Some(metadata));
    refused(folder.program("--resume bad.st"), 1, &["`bad.st` has tensor `", "of shape "]);
}
