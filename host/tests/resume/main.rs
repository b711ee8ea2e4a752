//! Runs that go on from a checkpoint to the bit, and checkpoints that Python reads and writes.

use std::fs;
use std::process::Command;

use safetensors::SafeTensors;
use serde_json::Value;

#[path = "../common/mod.rs"]
mod common;
use common::{Folder, python, refused};

mod disk;
mod refusals;

#[test]
fn two_halves_of_a_run_have_the_bits_of_the_whole() {
    let folder = Folder::new();
    let shapes = ["", "--n-embd 20 --n-head 5 --n-layer 2 --block-size 7 --no-shuffle --learning-rate 0.02"];
    for shape in shapes {
        let whole = folder.stdout(&format!("{shape} --steps 500 --save whole.safetensors"));
        let first = folder.stdout(&format!("{shape} --steps 500 --stop-after 250 --samples 1 --save half.safetensors"));
        let second = folder.stdout(&format!("{shape} --steps 500 --resume half.safetensors --save two.safetensors"));
        let steps =
            |stdout: &str| stdout.lines().filter(|line| line.contains("loss")).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!([steps(&first), steps(&second)].concat(), steps(&whole), "{shape}");
        assert!(
            fs::read(folder.path("two.safetensors")).unwrap() == fs::read(folder.path("whole.safetensors")).unwrap()
        );
        let samples = |stdout: &str| stdout.lines().skip_while(|line| !line.starts_with("---")).collect::<String>();
        assert_eq!(samples(&second), samples(&whole));
        // Nothing is left to train, so the run only samples.
        let again = folder.stdout(&format!("{shape} --steps 500 --resume two.safetensors"));
        assert!(steps(&again).is_empty() && samples(&again) == samples(&whole));
    }
}

#[test]
fn a_run_with_nothing_to_train_says_so() {
    let folder = Folder::new();
    folder.stdout("--steps 9 --save model.safetensors");
    for (args, notice) in [
        ("--steps 9 --resume model.safetensors", "nothing to train: `model.safetensors` is at step 9\n"),
        ("--steps 9 --resume model.safetensors --plot p.svg", "no plot: `p.svg`, since no step was trained\n"),
        ("--steps 0 --init-from model.safetensors --plot p.svg", "no plot: `p.svg`, since no step was trained\n"),
    ] {
        let output = folder.run(args).assert().success().get_output().clone();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(stderr.contains(notice), "{args}: {stderr}");
    }
    assert_eq!(folder.files(), ["model.safetensors", "names.txt"]);
}

// An early build of version 0.1.0 wrote the golden files, in a run of 40 steps that stopped after 25. The hash is
// FNV-1a over the tensors that the same build saved after 40 steps in one go.
#[test]
fn checkpoints_and_metrics_of_an_earlier_version_go_on_to_the_same_bits() {
    let folder = Folder::new();
    folder.write("names.txt", include_bytes!("../../../assets/names.txt"));
    folder.write("old.safetensors", include_bytes!("../golden/old-program.safetensors"));
    let metrics = include_str!("../golden/old-program.jsonl");
    folder.write("steps.jsonl", metrics);
    let flags = "--steps 40 --val-every 0 --samples 1 --seed 7 --n-embd 4 --n-head 2 --block-size 4";
    let samples =
        folder.stdout(&format!("{flags} --resume old.safetensors --save new.safetensors --metrics steps.jsonl"));
    let bytes = fs::read(folder.path("new.safetensors")).unwrap();
    let hash = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    let tensors = &bytes[8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize..];
    assert_eq!(tensors.iter().fold(0xcbf2_9ce4_8422_2325, hash), 0x7f9a_7be3_3e19_6374);
    assert!(samples.ends_with("sample  1: kaee\n"), "{samples}");
    let appended = fs::read_to_string(folder.path("steps.jsonl")).unwrap();
    let steps = appended.strip_prefix(metrics).expect("the old lines stay").lines().map(|line| {
        let object: Value = serde_json::from_str(line).unwrap();
        object["step"].as_u64().unwrap()
    });
    assert!(steps.eq(26..=40), "{appended}");
}

#[test]
fn saving_on_the_way_changes_nothing_and_leaves_the_last_save() {
    let folder = Folder::new();
    let plain = folder.stdout("--steps 100 --val-every 40 --save plain.safetensors");
    assert_eq!(folder.stdout("--steps 100 --val-every 40 --save often.safetensors --save-every 7"), plain);
    assert_eq!(
        fs::read(folder.path("plain.safetensors")).unwrap(),
        fs::read(folder.path("often.safetensors")).unwrap()
    );
}

#[test]
fn the_reference_goes_on_from_a_checkpoint_of_the_kernels() {
    let folder = Folder::new();
    folder.stdout("--steps 40 --stop-after 20 --save half.safetensors");
    let losses = |device: &str| {
        let stdout = folder.stdout(&format!("--device {device} --steps 40 --resume half.safetensors --samples 1"));
        let losses = stdout.lines().filter_map(|line| line.split_once("| loss ")?.1.parse().ok());
        losses.collect::<Vec<f64>>()
    };
    let (reference, cpu) = (losses("reference"), losses("cpu"));
    assert_eq!((reference.len(), cpu.len()), (20, 20));
    assert!(reference.iter().zip(&cpu).all(|(a, b)| (a - b).abs() < 2e-4), "{reference:?}\n{cpu:?}");
}

#[test]
fn a_resumed_run_that_has_ended_keeps_its_validation_loss() {
    let folder = Folder::new();
    folder.stdout("--steps 20 --val-every 10 --samples 0 --save ended.st");
    folder.stdout("--resume ended.st --samples 0 --save again.st");
    assert!(fs::read(folder.path("again.st")).unwrap() == fs::read(folder.path("ended.st")).unwrap());
}

#[test]
fn the_settings_of_a_resumed_run_are_those_of_its_file() {
    let folder = Folder::new();
    let flags = "--n-embd 20 --n-head 5 --n-layer 2 --block-size 7 --no-shuffle --seed 3 --learning-rate 0.02 --batch 2 \
                 --steps 60 --eps 1e-7 --beta1 0.8 --beta2 0.99 --weight-decay 0.01 --max-grad-norm 0.5 --samples 2";
    let whole = folder.stdout(&format!("{flags} --save whole.st"));
    folder.stdout(&format!("{flags} --stop-after 30 --save half.st"));
    let resumed = folder.stdout("--resume half.st --samples 2 --save two.st");
    assert!(fs::read(folder.path("two.st")).unwrap() == fs::read(folder.path("whole.st")).unwrap());
    assert!(whole.ends_with(resumed.split_once("step   31/  60").unwrap().1));
    // A flag that is given has to be that of the file.
    refused(folder.run("--resume half.st --batch 1"), 1, &["`--batch 2`, not `--batch 1`"]);
    refused(folder.run("--resume half.st --stop-after 61"), 2, &["`--stop-after 61` is beyond `--steps 60`"]);
}

#[test]
fn a_resumed_run_can_be_longer_with_the_learning_rates_of_its_new_length() {
    let folder = Folder::new();
    folder.stdout("--steps 20 --samples 0 --save short.st");
    folder.stdout("--steps 50 --samples 0 --metrics whole.jsonl");
    let output = folder.run("--resume short.st --steps 50 --samples 0 --save long.st --metrics rest.jsonl").output();
    let stderr = String::from_utf8(output.unwrap().stderr).unwrap();
    assert!(
        stderr.contains("steps: 50 instead of 20; the learning rate continues as in a run of 50 steps\n"),
        "{stderr}"
    );
    let rates = |file: &str| {
        let text = fs::read_to_string(folder.path(file)).unwrap();
        let rate = |line: &str| serde_json::from_str::<Value>(line).unwrap()["learning_rate"].clone();
        text.lines().map(rate).collect::<Vec<_>>()
    };
    assert_eq!(rates("rest.jsonl"), rates("whole.jsonl")[20..]);
    assert_eq!(folder.metadata("long.st")["step"], 50);
    // The moments are those of the file, not zero.
    folder.stdout("--init-from short.st --steps 50 --stop-after 1 --samples 0 --save new.st");
    let second_moment = |file: &str| {
        let bytes = fs::read(folder.path(file)).unwrap();
        SafeTensors::deserialize(&bytes).unwrap().tensor("adamw.v.wpe").unwrap().data().to_vec()
    };
    folder.stdout("--resume short.st --steps 50 --stop-after 21 --samples 0 --save next.st");
    assert_ne!(second_moment("next.st"), second_moment("new.st"));
    refused(folder.run("--resume long.st --steps 49"), 1, &["`--steps 50`, not `--steps 49`"]);
}

#[test]
fn a_model_that_knows_more_characters_than_the_corpus_is_trained_on() {
    let folder = Folder::new();
    folder.stdout("--n-embd 8 --n-head 2 --steps 20 --samples 0 --save model.st");
    folder.write("few.txt", "ava\nmia\namelia\nemma\n");
    let run = |args: &str| {
        let output =
            folder.program(&format!("--input few.txt --samples 1 {args}")).assert().success().get_output().clone();
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    // The dimensions are those of the file too.
    let (stdout, stderr) = run("--init-from model.st --steps 20 --stop-after 10 --save half.st");
    assert!(stdout.contains("vocab size: 18\n"), "{stdout}");
    assert!(stderr.contains("vocabulary: 18 tokens of `model.st`, of which the corpus has 7\n"), "{stderr}");
    run("--init-from model.st --steps 20 --save whole.st");
    run("--resume half.st --save two.st");
    assert!(fs::read(folder.path("two.st")).unwrap() == fs::read(folder.path("whole.st")).unwrap());
    folder.write("other.txt", "ava\nmia\nzoe\n");
    refused(
        folder.program("--input other.txt --init-from model.st"),
        1,
        &["`model.st` has another vocabulary", "characters alone"],
    );
}

#[test]
fn python_reads_our_files_and_we_read_those_it_wrote() {
    let Some(python) = python() else {
        return eprintln!("skipped: no Python with `safetensors` and NumPy; `.ci/run` makes one in target/python");
    };
    let folder = Folder::new();
    let saved = folder.stdout("--steps 30 --save model.safetensors");
    folder.write(
        "copy.py",
        r#"
import json
from safetensors import safe_open
from safetensors.numpy import load_file, save_file
tensors = load_file("model.safetensors")
with safe_open("model.safetensors", "numpy") as file:
    run = json.loads(file.metadata()["microgpt"])
assert run["step"] == 30 and run["vocabulary"] == sorted(run["vocabulary"])
assert tensors["wte"].shape == (len(run["vocabulary"]) + 1, 16) and tensors["wte"].dtype == "float32"
assert tensors["adamw.v.layer0.mlp_fc2"].shape == (16, 64) and (tensors["adamw.v.wpe"] >= 0).all()
save_file({name: t for name, t in tensors.items() if not name.startswith("adamw.")}, "weights.safetensors")
save_file(tensors, "all.safetensors", {"microgpt": json.dumps(run)})
"#,
    );
    let output = Command::new(python).arg("copy.py").current_dir(&folder.0).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let samples = |stdout: &str| stdout.lines().skip_while(|line| !line.starts_with("---")).collect::<String>();
    for file in ["weights", "all"] {
        let stdout = folder.stdout(&format!("--steps 0 --init-from {file}.safetensors"));
        assert_eq!(samples(&stdout), samples(&saved), "{file}");
    }
    let stdout = folder.stdout("--steps 30 --resume all.safetensors --save again.safetensors");
    assert_eq!(samples(&stdout), samples(&saved));
    assert!(fs::read(folder.path("again.safetensors")).unwrap() == fs::read(folder.path("model.safetensors")).unwrap());
}
