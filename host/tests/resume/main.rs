//! Checkpoints of the program, with runs that are resumed, processes that are killed, full disks, and Python.

use std::fs;
use std::io::Write;
use std::process::Command;
use std::time::Instant;

use assert_cmd::cargo::cargo_bin;
use safetensors::SafeTensors;
use serde_json::{Value, json};

mod common;
use common::{Folder, python, refused};

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
    folder.write("names.txt", include_bytes!("../../assets/names.txt"));
    folder.write("old.safetensors", include_bytes!("golden/old-program.safetensors"));
    let metrics = include_str!("golden/old-program.jsonl");
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
fn a_resumed_run_that_has_ended_keeps_its_validation_loss() {
    let folder = Folder::new();
    folder.stdout("--steps 20 --val-every 10 --samples 0 --save ended.st");
    folder.stdout("--resume ended.st --samples 0 --save again.st");
    assert!(fs::read(folder.path("again.st")).unwrap() == fs::read(folder.path("ended.st")).unwrap());
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

// A limit on the file size stands in for a full disk. A process can set this limit without privileges.
#[cfg(unix)]
#[test]
fn a_full_disk_leaves_the_old_file_and_a_clear_error() {
    let folder = Folder::new();
    folder.stdout("--steps 9 --stop-after 3 --samples 1 --save model.safetensors");
    let old = fs::read(folder.path("model.safetensors")).unwrap();
    // The limit, in blocks of 1024 bytes, is at most half of a checkpoint.
    let limit = old.len() / 2 / 1024;
    let script = format!(
        "ulimit -f {limit}; exec '{}' --input names.txt --steps 9 --resume model.safetensors \
         --save model.safetensors --save-every 2",
        cargo_bin!("microgpt").display()
    );
    let output = Command::new("bash").args(["-c", &script]).current_dir(&folder.0).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("cannot save to `model.safetensors`") && stderr.contains("hint: "), "{stderr}");
    assert_eq!(fs::read(folder.path("model.safetensors")).unwrap(), old);
    assert_eq!(folder.files(), ["model.safetensors", "names.txt"], "no part of a file is left");
}

/// Returns the arguments of `unshare` for a script that mounts file systems, or `None` where a mount is forbidden.
#[cfg(target_os = "linux")]
fn mounting() -> Option<Vec<&'static str>> {
    let ways = [vec!["--mount"], vec!["--mount", "--map-root-user"]];
    ways.into_iter().find(|way| {
        let probe = ["bash", "-c", "mount -t tmpfs -o size=64k none /mnt"];
        let output = Command::new("unshare").args(way).args(probe).output();
        output.is_ok_and(|output| output.status.success())
    })
}

// The save fills a small file system, which the test mounts where the system permits a mount.
#[cfg(target_os = "linux")]
#[test]
fn a_full_file_system_leaves_the_old_file_and_a_clear_error() {
    let Some(unshare) = mounting() else {
        // The test harness captures `eprintln!` of a passing test, so the notice goes to stderr directly.
        let text = "NOT TESTED: a full file system, since none can be mounted here (`unshare --mount`)";
        return drop(Write::write_fmt(&mut std::io::stderr(), format_args!("{text}\n")));
    };
    let folder = Folder::new();
    folder.stdout("--steps 9 --stop-after 3 --samples 1 --save model.safetensors");
    // The disk of 64 KiB has room for one checkpoint.
    let script = format!(
        "mkdir disk && mount -t tmpfs -o size=64k none disk && cp model.safetensors disk/ || exit 2
         '{}' --input names.txt --steps 9 --resume disk/model.safetensors --save disk/model.safetensors
         echo \"exit $?\"; cmp model.safetensors disk/model.safetensors && echo same; ls -A disk",
        cargo_bin!("microgpt").display()
    );
    let output = Command::new("unshare").args(unshare).args(["bash", "-c", &script]).current_dir(&folder.0).output();
    let output = output.unwrap();
    let (stdout, stderr) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(output.status.success() && stdout.ends_with("exit 1\nsame\nmodel.safetensors\n"), "{stdout}{stderr}");
    assert!(stderr.contains("No space left on device") && stderr.contains("hint: "), "{stderr}");
}

// The time of a save is compared with that of the same bytes on the same disk, since disks differ. The fastest of three
// runs counts, since other programs use the disk too.
#[test]
fn a_save_takes_little_more_time_than_its_bytes_on_the_disk() {
    let folder = Folder::new();
    let least = |run: &dyn Fn()| {
        let seconds = |_| {
            let start = Instant::now();
            run();
            start.elapsed().as_secs_f64()
        };
        (0..3).map(seconds).fold(f64::INFINITY, f64::min)
    };
    let training = |args: &str| {
        let args = format!("--steps 200 --val-every 0 --samples 1 --save model.safetensors {args}");
        least(&|| drop(folder.stdout(&args)))
    };
    let saves = training("--save-every 1") - training("");
    let bytes = fs::read(folder.path("model.safetensors")).unwrap();
    let writes = least(&|| {
        for _ in 0..199 {
            let mut file = fs::File::create(folder.path("bytes")).unwrap();
            file.write_all(&bytes).unwrap();
            file.sync_all().unwrap();
            fs::rename(folder.path("bytes"), folder.path("written")).unwrap();
        }
    });
    eprintln!("199 saves take {saves:.3} s, and the writes alone {writes:.3} s");
    assert!(saves < 4.0 * writes + 0.5 || cfg!(debug_assertions), "{saves} s and {writes} s");
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
