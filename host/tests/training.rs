//! The flags of training: schedules, the best model, early stops and numbered checkpoints.

use std::fs;

use serde_json::Value;

mod common;
use common::{Folder, refused};

/// The flags of a run whose validation becomes better and then worse.
const OVERFITS: &str = "--steps 400 --learning-rate 0.03 --n-embd 32 --val-every 10 --val-docs all --samples 0";

/// Returns what `info` says of a checkpoint.
fn info(folder: &Folder, file: &str) -> Value {
    let output = folder.program(&format!("info {file} --format json")).assert().success().get_output().clone();
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Returns the stderr of a run, which must succeed.
fn stderr(folder: &Folder, args: &str) -> String {
    String::from_utf8(folder.run(args).assert().success().get_output().stderr.clone()).unwrap()
}

/// Returns each validation in the metrics, with its step.
fn validations(folder: &Folder) -> Vec<(u64, f64)> {
    let text = fs::read_to_string(folder.path("steps.jsonl")).unwrap();
    let rows = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    rows.filter_map(|row| Some((row["step"].as_u64()?, row["val_loss"].as_f64()?))).collect()
}

fn bytes(folder: &Folder, file: &str) -> Vec<u8> {
    fs::read(folder.path(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

#[test]
fn the_best_model_is_kept_and_a_worse_end_is_said() {
    let folder = Folder::new();
    let said = stderr(&folder, &format!("{OVERFITS} --metrics steps.jsonl --save last.st --save-best best.st"));
    let validations = validations(&folder);
    let (step, least) = validations.iter().copied().min_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
    let &(end, last) = validations.last().unwrap();
    assert!(end == 400 && step < end && last > least, "it overfits: {validations:?}");
    let notice =
        format!("worse: the last val loss is {last:.4}, the best was {least:.4} at step {step}; `best.st` has");
    assert!(said.contains(&notice), "{said}");
    let best = info(&folder, "best.st");
    assert_eq!((best["step"].as_u64(), best["val_loss"].as_f64()), (Some(step), Some(least)));
    assert_eq!(best["best"], serde_json::json!({ "val_loss": least, "step": step, "validations_since": 0 }));
    let since = (end - step) / 10;
    assert_eq!(
        info(&folder, "last.st")["best"],
        serde_json::json!({ "val_loss": least, "step": step, "validations_since": since })
    );
    // Saving changes nothing, and without it the notice has the way out.
    let said = stderr(&folder, &format!("{OVERFITS} --save plain.st"));
    assert!(said.contains("`--save-best FILE` keeps the best model"), "{said}");
    assert!(bytes(&folder, "plain.st") == bytes(&folder, "last.st"));
    // The best model is the last one of a run that stops there.
    folder.stdout(&format!("{OVERFITS} --stop-after {step} --save there.st"));
    assert!(bytes(&folder, "there.st") == bytes(&folder, "best.st"));
}

#[test]
fn training_ends_after_validations_that_are_not_better() {
    let folder = Folder::new();
    let said = stderr(&folder, &format!("{OVERFITS} --stop-early 3 --metrics steps.jsonl --save early.st"));
    let validations = validations(&folder);
    let (step, _) = validations.iter().copied().min_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
    let &(end, _) = validations.last().unwrap();
    assert_eq!(end, step + 30, "{validations:?}");
    assert!(said.contains(&format!("stopped early after step {end}")), "{said}");
    folder.stdout(&format!("{OVERFITS} --stop-after {end} --stop-early 0 --save there.st"));
    let step_of = |file| info(&folder, file)["step"].as_u64();
    assert_eq!((step_of("early.st"), step_of("there.st")), (Some(end), Some(end)));
    let tensors = |file: &str| {
        let bytes = bytes(&folder, file);
        bytes[8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize..].to_vec()
    };
    assert!(tensors("early.st") == tensors("there.st"));
    // The run that stopped early stays there, unless it may have more validations.
    let said = stderr(&folder, "--resume early.st --save again.st");
    assert!(said.contains(&format!("stopped early after step {end}")), "{said}");
    assert!(tensors("again.st") == tensors("early.st"));
    folder.stdout("--resume early.st --stop-early 4 --save later.st");
    assert_eq!(step_of("later.st"), Some(end + 10));
}

#[test]
fn a_resumed_run_keeps_schedule_best_model_and_early_stop_to_the_bit() {
    let flags = format!("{OVERFITS} --warmup 20 --min-lr 0.001 --batch 3 --stop-early 4");
    let (whole, parts) = (Folder::new(), Folder::new());
    whole.stdout(&format!("{flags} --save last.st --save-best best.st"));
    let end = info(&whole, "last.st")["step"].as_u64().unwrap();
    assert!(end < 400, "it stops early");
    // The second part starts between the best validation and the end.
    for (i, stop) in [5, end - 25, 400].into_iter().enumerate() {
        let start = if i == 0 { flags.clone() } else { "--resume last.st".to_owned() };
        parts.stdout(&format!("{start} --stop-after {stop} --save last.st --save-best best.st"));
    }
    for file in ["last.st", "best.st"] {
        assert!(bytes(&whole, file) == bytes(&parts, file), "{file}");
    }
}

#[test]
fn the_schedule_is_that_of_the_flags_on_every_device() {
    let folder = Folder::new();
    for device in ["cpu", "reference"] {
        let flags = "--steps 8 --warmup 3 --learning-rate 0.04 --min-lr 0.02 --samples 0 --metrics steps.csv";
        folder.stdout(&format!("{flags} --device {device}"));
        let text = fs::read_to_string(folder.path("steps.csv")).unwrap();
        let mut rows = csv::Reader::from_reader(text.as_bytes());
        let lr = rows.headers().unwrap().iter().position(|name| name == "lr").unwrap();
        let rates: Vec<f64> = rows.records().map(|row| row.unwrap()[lr].parse().unwrap()).collect();
        assert_eq!(rates[..4], [0.01, 0.02, 0.03, 0.04]);
        assert!(rates[4..].is_sorted_by(|a, b| a > b) && rates[7] > 0.02 && rates[7] < 0.022, "{rates:?}");
    }
    // A checkpoint of another schedule is refused.
    folder.stdout("--steps 8 --warmup 3 --stop-after 4 --save half.st");
    let other = folder.run("--steps 8 --warmup 2 --resume half.st");
    refused(other, 1, &["belongs to a run of `--warmup 3`, not `--warmup 2`"]);
}

#[test]
fn numbered_checkpoints_are_those_of_runs_that_stop_there() {
    let folder = Folder::new();
    folder.stdout("--steps 25 --samples 0 --save-every 10 --save model-{step}.st");
    assert_eq!(folder.files(), ["model-10.st", "model-20.st", "model-25.st", "names.txt"]);
    folder.stdout("--steps 25 --samples 0 --stop-after 20 --save plain.st");
    assert!(bytes(&folder, "plain.st") == bytes(&folder, "model-20.st"));
    refused(folder.run("--steps 9 --save none/{step}.st"), 1, &["cannot save to `none/9.st`"]);
}

#[test]
fn a_numbered_checkpoint_replaces_no_other_file() {
    let folder = Folder::new();
    let names = folder.path("names-4.txt");
    fs::copy(folder.path("names.txt"), &names).unwrap();
    folder.write("c-4.toml", "steps = 4\n");
    for (flags, role) in [
        ("--input names-4.txt --steps 4 --save names-{step}.txt", "the corpus"),
        ("--input names-4.txt --steps 4 --val-every 2 --save-best names-{step}.txt", "the corpus"),
        ("--input names.txt --config c-4.toml --save c-{step}.toml", "what `--config` reads"),
        ("--input names.txt --steps 4 --metrics m-4.csv --save m-{step}.csv", "what `--save` writes"),
        ("--input names.txt --steps 4 --plot p-4.svg --save ./p-{step}.svg", "what `--save` writes"),
    ] {
        refused(folder.program(&format!("{flags} --samples 0")), 1, &["it is ", role]);
    }
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(&names, folder.path("link-7.st")).unwrap();
        refused(folder.program("--input names-4.txt --save link-{step}.st"), 1, &["it is the corpus"]);
    }
    folder.stdout("--steps 4 --samples 0 --save names-{step}.st");
}

#[test]
fn several_models_share_the_best_of_all() {
    let folder = Folder::new();
    let flags = format!("{OVERFITS} --sweep beta1=0.5,0.9 --sweep n-layer=1,2 --seeds 2 --metrics steps.jsonl");
    let said = stderr(&folder, &format!("{flags} --save-best best-{{step}}.st"));
    let (step, least) = validations(&folder).into_iter().min_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
    let best = info(&folder, &format!("best-{step}.st"));
    assert_eq!((best["step"].as_u64(), best["val_loss"].as_f64()), (Some(step), Some(least)));
    let notice = format!("the best was {least:.4} at step {step}; `best-{step}.st` has the best model");
    assert!(said.contains(&notice), "{said}");
}

#[test]
fn flags_that_contradict_each_other_are_refused() {
    let folder = Folder::new();
    for (args, parts) in [
        ("--steps 5 --warmup 6", &["`--warmup 6` is beyond `--steps 5`"][..]),
        ("--min-lr 0.5", &["`--min-lr 0.5` is above `--learning-rate 0.01`"]),
        ("--min-lr 0.005 --sweep learning-rate=0.01,0.001", &["`--min-lr 0.005` is above `--learning-rate 0.001`"]),
        ("--val-every 0 --save-best best.st", &["`--save-best` has no validations in 500 steps with `--val-every 0`"]),
        ("--steps 99 --save-best best.st", &["`--save-best` has no validations in 99 steps with `--val-every 100`"]),
        ("--val-every 0 --stop-early 2", &["`--stop-early 2` has no validations", "give `--val-every N`"]),
        (
            "--steps 99 --stop-early 2",
            &["`--stop-early 2` has no validations in 99 steps with `--val-every 100`", "give `--val-every N`"],
        ),
        ("--stop-early 2 --seeds 2", &["`--stop-early 2` would compare models", "`--save-best`"]),
        ("--stop-early 2 --sweep eps=1e-8,1e-7", &["`--stop-early 2` would compare models"]),
        ("--stop-early -1", &["`--stop-early -1`: expected a whole number"]),
    ] {
        refused(folder.run(args), 2, parts);
    }
    refused(folder.run("--save same.st --save-best same.st"), 1, &["cannot save to `same.st`", "`--save` writes"]);
    assert_eq!(folder.files(), ["names.txt"]);
    // Several models are validated at the end.
    folder.stdout("--steps 9 --seeds 2 --samples 0 --save-best best.st");
    assert!(folder.path("best.st").exists());
}

#[test]
fn progress_is_a_line_every_so_many_steps_where_stderr_is_no_terminal() {
    let folder = Folder::new();
    let said = stderr(&folder, "--steps 300 --val-every 100 --samples 0");
    let lines: Vec<&str> = said.lines().filter(|line| line.starts_with("progress: ")).collect();
    assert_eq!(lines.len(), 3, "{said}");
    assert!(lines[0].starts_with("progress: step 100/300 | "), "{said}");
    for part in [" tokens/s | ", " elapsed | ", " left | val loss ", " | best "] {
        assert!(lines.iter().all(|line| line.contains(part)), "{part} in {said}");
    }
    assert!(lines[2].contains(" 0:00:00 left "), "{said}");
    assert!(stderr(&folder, "--steps 300 --samples 0 --quiet").is_empty());
}
