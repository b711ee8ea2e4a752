//! The JSON objects of `--metrics`, one for each step, with the keys that `docs/usage.md` lists.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

mod common;
use common::{Folder, refused};

fn objects(folder: &Folder) -> Vec<Value> {
    let text = fs::read_to_string(folder.path("steps.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn every_step_is_an_object_with_the_losses_of_stdout() {
    let folder = Folder::new();
    for device in ["cpu", "reference"] {
        let stdout = folder.stdout(&format!("--device {device} --steps 20 --val-every 7 --metrics steps.jsonl"));
        let objects = objects(&folder);
        assert_eq!(objects.len(), 20);
        let mut lines = stdout.lines().skip(3);
        for (object, step) in objects.iter().zip(1u64..) {
            let number = |key: &str| object[key].as_f64().unwrap_or_else(|| panic!("{key} in {object}"));
            assert_eq!((object["seed"].as_u64(), object["step"].as_u64()), (Some(42), Some(step)));
            assert_eq!(lines.next().unwrap(), format!("step {step:>4}/  20 | loss {:.4}", number("loss")));
            assert!(number("grad_norm") > 0.0 && number("seconds") > 0.0 && number("tokens") >= 2.0 * step as f64);
            let expected = 0.005 * (1.0 + (std::f64::consts::PI * (step - 1) as f64 / 20.0).cos());
            assert!((number("lr") - expected).abs() < 1e-12, "{object}");
            let mut keys = BTreeSet::from(["grad_norm", "loss", "lr", "seconds", "seed", "step", "tokens"]);
            if step.is_multiple_of(7) {
                assert_eq!(lines.next().unwrap(), format!("  val loss: {:.4}", number("val_loss")));
                keys.insert("val_loss");
            }
            if step == 1 {
                keys.insert("settings");
                assert_eq!(object["settings"]["steps"], 20);
            }
            assert_eq!(object.as_object().unwrap().keys().map(String::as_str).collect::<BTreeSet<_>>(), keys);
        }
    }
}

#[test]
fn a_resumed_run_adds_to_the_file_and_a_new_one_replaces_it() {
    let folder = Folder::new();
    folder.stdout("--steps 20 --metrics steps.jsonl");
    let timeless = |objects: Vec<Value>| {
        // The first object of each run has its settings.
        let strip = |mut object: Value| {
            let entries = object.as_object_mut().unwrap();
            entries.remove("settings");
            entries.remove("seconds").map(|_| object)
        };
        objects.into_iter().map(|object| strip(object).unwrap()).collect::<Vec<_>>()
    };
    let whole = timeless(objects(&folder));
    folder.stdout("--steps 20 --stop-after 9 --metrics steps.jsonl --save half.safetensors");
    assert_eq!(timeless(objects(&folder)), whole[..9]);
    folder.stdout("--steps 20 --resume half.safetensors --metrics steps.jsonl");
    assert_eq!(timeless(objects(&folder)), whole);
}

#[test]
fn a_file_of_something_else_is_refused_and_kept() {
    let folder = Folder::new();
    folder.stdout("--steps 20 --stop-after 9 --save half.safetensors");
    folder.write("notes.txt", "remember the milk");
    let kept = || ["half.safetensors", "notes.txt"].map(|name| fs::read(folder.path(name)).unwrap());
    let before = kept();
    for args in ["--steps 1000000000", "--steps 20 --resume half.safetensors"] {
        let command = folder.run(&format!("{args} --metrics notes.txt --quiet"));
        refused(command, 1, &["metrics to `notes.txt`", "something else than metrics", "a new file"]);
    }
    refused(
        folder.run("--metrics half.safetensors --quiet"),
        1,
        &["metrics to `half.safetensors`", "else than metrics"],
    );
    assert_eq!(kept(), before);
}

#[cfg(target_os = "linux")]
#[test]
fn a_run_that_fails_before_its_first_step_keeps_the_file() {
    let folder = Folder::new();
    folder.stdout("--steps 3 --metrics steps.jsonl");
    let before = objects(&folder);
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command = std::process::Command::new(assert_cmd::cargo::cargo_bin!("microgpt"));
    command.current_dir(&folder.0).args(["--input", "names.txt", "--metrics", "steps.jsonl"]).stdout(full);
    assert_eq!(command.output().unwrap().status.code(), Some(1));
    assert_eq!(objects(&folder), before);
}

// A run that is killed at any moment leaves metrics of at least the steps up to its checkpoint. The resumed run drops
// an incomplete last line before it appends.
#[cfg(unix)]
#[test]
fn a_killed_run_that_is_resumed_leaves_every_step() {
    let folder = Folder::new();
    let mut last = 0;
    for kill in 1..=20u64 {
        let resume = if last > 0 { "--resume model.safetensors" } else { "" };
        let args = "--input names.txt --steps 1000000000 --val-every 0 --metrics steps.jsonl --save model.safetensors";
        let mut child = std::process::Command::new(assert_cmd::cargo::cargo_bin!("microgpt"))
            .current_dir(&folder.0)
            .args(format!("{args} --save-every 50 {resume}").split_whitespace())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        // The first run may take long to start, under a sanitizer for example.
        let start = std::time::Instant::now();
        while !folder.path("model.safetensors").exists() && start.elapsed().as_secs() < 10 {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        // Multiples of the golden ratio, modulo 1, are spread evenly and without a pattern.
        let moment = (kill as f64 * 0.618_034).fract();
        std::thread::sleep(std::time::Duration::from_micros((30_000.0 + 60_000.0 * moment) as u64));
        child.kill().unwrap();
        child.wait().unwrap();
        if folder.path("model.safetensors").exists() {
            let text = fs::read_to_string(folder.path("steps.jsonl")).unwrap();
            // Only the last line may be incomplete.
            let whole = &text[..=text.rfind('\n').unwrap()];
            let steps =
                whole.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["step"].as_u64().unwrap());
            let steps: BTreeSet<u64> = steps.collect();
            last = saved_step(&folder);
            assert!(steps.range(..=last).copied().eq(1..=last), "steps up to {last} after kill {kill}");
            // A kill in the middle of a line is rare, so the test appends half a line.
            fs::write(folder.path("steps.jsonl"), format!("{whole}{{\"seed\":4")).unwrap();
        }
    }
    assert!(last > 0, "no run came to its first save");
}

/// Returns the step of the checkpoint.
fn saved_step(folder: &Folder) -> u64 {
    let bytes = fs::read(folder.path("model.safetensors")).unwrap();
    let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    let run: Value = serde_json::from_str(&header.metadata().as_ref().unwrap()["microgpt"]).unwrap();
    run["step"].as_u64().unwrap()
}

#[test]
fn a_file_that_cannot_be_written_is_refused_before_training() {
    let folder = Folder::new();
    for (file, part) in [("none/steps.jsonl", "No such file"), (".", "directory"), ("names.txt", "it is the corpus")] {
        refused(folder.run(&format!("--steps 1000000000 --metrics {file} --quiet")), 1, &["metrics to", file, part]);
    }
    let same = "--steps 1000000000 --save out --metrics out";
    refused(folder.run(same), 1, &["cannot write metrics to `out`", "what `--save` writes"]);
    let same = "--steps 1000000000 --resume in --save in --metrics in";
    refused(folder.run(same), 1, &["cannot write metrics to `in`", "what `--save` writes"]);
    let same = "--steps 1000000000 --init-from in --plot in.svg --metrics in";
    refused(folder.run(same), 1, &["cannot write metrics to `in`", "what `--init-from` reads"]);
    assert_eq!(folder.files(), ["names.txt"]);
    assert_eq!(fs::read_to_string(folder.path("names.txt")).unwrap(), common::NAMES);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_ends_the_run_with_a_clear_error() {
    let output = Folder::new().run("--steps 1000000000 --metrics /dev/full").assert().code(1).get_output().clone();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("cannot write the metrics to `/dev/full`") && stderr.contains("hint: "), "{stderr}");
}

// The training is a single launch, so the failure shows when the model is complete.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_at_the_end_does_not_lose_the_model() {
    let folder = Folder::new();
    let flags = "--steps 5 --val-every 0 --plot losses.svg";
    folder.stdout(&format!("{flags} --save expected.safetensors"));
    folder.write("losses.svg", "");
    let output = folder.run(&format!("{flags} --metrics /dev/full --save model.safetensors")).assert().code(1);
    let stderr = String::from_utf8_lossy(&output.get_output().stderr).into_owned();
    assert!(stderr.contains("cannot write the metrics to `/dev/full`") && stderr.contains("hint: "), "{stderr}");
    assert!(stderr.contains("saved: `model.safetensors`") && stderr.contains("plotted: `losses.svg`"), "{stderr}");
    let read = |name: &str| fs::read(folder.path(name)).unwrap();
    assert!(read("model.safetensors") == read("expected.safetensors") && !read("losses.svg").is_empty());
}

// The curve shows how the model diverged.
#[test]
fn a_run_that_diverges_leaves_its_metrics_and_its_plot() {
    let folder = Folder::new();
    let flags = "--steps 50 --val-every 0 --learning-rate 1e37 --metrics steps.jsonl --plot losses.svg";
    let output = folder.run(&format!("{flags} --save model.safetensors")).assert().code(1);
    let stderr = String::from_utf8_lossy(&output.get_output().stderr).into_owned();
    assert!(stderr.contains("training diverged at step ") && stderr.contains("plotted: `losses.svg`"), "{stderr}");
    assert_eq!(folder.files(), ["losses.svg", "names.txt", "steps.jsonl"]);
    assert_eq!(objects(&folder).len(), 50);
}
