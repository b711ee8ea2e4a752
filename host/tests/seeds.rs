//! Runs of several models, by seeds and by sweeps.

use std::collections::BTreeMap;
use std::fs;

use safetensors::SafeTensors;
use serde_json::Value;

mod common;
use common::{Folder, refused};

/// Returns the objects of the metrics.
fn objects(folder: &Folder) -> Vec<Value> {
    let text = fs::read_to_string(folder.path("steps.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Returns the training and the validation losses of each model, by the `key` of its objects.
fn losses(objects: &[Value], key: impl Fn(&Value) -> String) -> BTreeMap<String, Vec<(Value, Value)>> {
    let mut losses = BTreeMap::<_, Vec<_>>::new();
    for object in objects {
        losses.entry(key(object)).or_default().push((object["loss"].clone(), object["val_loss"].clone()));
    }
    losses
}

/// Returns the tensors of a checkpoint by name.
fn tensors(folder: &Folder, name: &str) -> BTreeMap<String, Vec<u8>> {
    let bytes = fs::read(folder.path(name)).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    tensors.iter().map(|(name, tensor)| (name.to_owned(), tensor.data().to_vec())).collect()
}

#[test]
fn seeds_train_as_they_do_alone_and_the_best_is_kept() {
    let folder = Folder::new();
    for device in ["cpu", "reference"] {
        let flags = format!("--device {device} --no-shuffle --steps 25 --metrics steps.jsonl --val-docs 2");
        let stdout = folder.stdout(&format!("{flags} --val-every 10 --seeds 3 --seed 5 --save best.safetensors"));
        let together = objects(&folder);
        assert_eq!(together.len(), 75);
        let together = losses(&together, |object| object["seed"].to_string());
        let mut last = Vec::new();
        for seed in 5..8u64 {
            folder.stdout(&format!("{flags} --seed {seed} --save {seed}.safetensors --val-every 1"));
            let alone = losses(&objects(&folder), |object| object["seed"].to_string());
            let (together, alone) = (&together[&seed.to_string()], &alone[&seed.to_string()]);
            let training = |losses: &[(Value, Value)]| losses.iter().map(|(loss, _)| loss.clone()).collect::<Vec<_>>();
            assert_eq!(training(together), training(alone), "{device}, seed {seed}");
            // A run of several models also validates at the end.
            for step in [10, 20, 25] {
                assert_eq!(together[step - 1].1, alone[step - 1].1, "{device}, seed {seed}, step {step}");
            }
            last.push((alone[24].1.as_f64().unwrap(), seed));
        }
        let mean = last.iter().map(|(loss, _)| loss).sum::<f64>() / 3.0;
        let std = (last.iter().map(|(loss, _)| (loss - mean).powi(2)).sum::<f64>() / 2.0).sqrt();
        last.sort_by(|a, b| a.0.total_cmp(&b.0));
        let ((best, seed), (worst, _)) = (last[0], last[2]);
        let line = format!("  val loss: {mean:.4} (std {std:.4}, best {best:.4}, worst {worst:.4})");
        assert_eq!(stdout.lines().filter(|other| *other == line).count(), 1, "{line}\n{stdout}");
        assert!(stdout.contains(&format!("\nbest: seed {seed} | val loss {best:.4} | standard error ")), "{stdout}");
        assert_eq!(tensors(&folder, "best.safetensors"), tensors(&folder, &format!("{seed}.safetensors")));
    }
}

#[test]
fn the_earlier_name_of_the_flag_still_works() {
    let folder = Folder::new();
    assert_eq!(folder.stdout("--steps 9 --replicas 2"), folder.stdout("--steps 9 --seeds 2"));
    let help = folder.program("--help").output().unwrap().stdout;
    assert!(!String::from_utf8(help).unwrap().contains("replicas"));
}

#[test]
fn threads_change_no_line() {
    let folder = Folder::new();
    let run = |threads| folder.stdout(&format!("--steps 40 --seeds 5 --batch 30 --threads {threads}"));
    assert_eq!(run(1), run(4));
}

#[test]
fn a_sweep_trains_each_value_as_alone_and_shows_a_table_and_a_legend() {
    let folder = Folder::new();
    let flags = "--steps 20 --val-every 20 --val-docs 2 --metrics steps.jsonl --plot losses.svg --samples 3";
    let sweep = "--sweep learning-rate=0.003,0.03 --sweep n-embd=8,16 --sweep batch=1,2";
    let stdout = folder.stdout(&format!("{flags} {sweep}"));
    let together = losses(&objects(&folder), |object| object["sweep"].to_string());
    assert_eq!(together.len(), 8);
    let svg = fs::read_to_string(folder.path("losses.svg")).unwrap();
    let table: Vec<&str> = stdout.lines().skip_while(|line| *line != "--- sweep ---").skip(1).take(9).collect();
    assert_eq!(table[0].split_whitespace().take(3).collect::<Vec<_>>(), ["learning-rate", "n-embd", "batch"]);
    let mut best = (f64::INFINITY, String::new());
    for (rate, n_embd, batch) in
        ["0.003", "0.03"].iter().flat_map(|r| ["8", "16"].iter().flat_map(move |n| ["1", "2"].map(move |b| (r, n, b))))
    {
        let args = format!("--learning-rate {rate} --n-embd {n_embd} --batch {batch}");
        folder.stdout(&format!("--steps 20 --val-every 20 --val-docs 2 --metrics steps.jsonl {args}"));
        let alone = losses(&objects(&folder), |_| String::new());
        let key = format!("{{\"batch\":{batch},\"learning-rate\":{rate},\"n-embd\":{n_embd}}}");
        assert_eq!(together[&key], alone[""], "{args}");
        let loss = alone[""][19].1.as_f64().unwrap();
        let row = table.iter().find(|row| row.split_whitespace().take(3).eq([*rate, *n_embd, batch])).unwrap();
        assert_eq!(row.split_whitespace().nth(3).unwrap(), format!("{loss:.4}"), "{row}");
        let label = format!("learning-rate {rate}, n-embd {n_embd}, batch {batch}");
        assert!(svg.lines().any(|line| line.trim() == label), "{label}");
        if loss < best.0 {
            best = (loss, label);
        }
    }
    assert!(stdout.contains(&format!("best: seed 42, {} | val loss {:.4}", best.1, best.0)), "{stdout}");
    assert_eq!(stdout.lines().filter(|line| line.starts_with("sample ")).count(), 3);
}

#[test]
fn a_value_that_diverges_does_not_end_the_others() {
    let folder = Folder::new();
    let output = folder.run("--steps 60 --sweep learning-rate=0.01,1e30 --save model.safetensors").output().unwrap();
    let (stdout, stderr) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(output.status.success() && stderr.contains("diverged: seed 42, learning-rate 1e30 at step "), "{stderr}");
    let row = stdout.lines().find(|line| line.trim().starts_with("1e30")).unwrap();
    assert_eq!(row.split_whitespace().collect::<Vec<_>>(), ["1e30", "-", "-", "1"]);
    assert!(stdout.contains("best: seed 42, learning-rate 0.01 |"), "{stdout}");
    // After a single step, only the validation loss shows the divergence.
    let stdout = folder.stdout("--steps 1 --sweep learning-rate=1e30,0.1 --save other.safetensors");
    assert!(stdout.contains("best: seed 42, learning-rate 0.1 |"), "{stdout}");
    // The checkpoint states the swept values, so a run with the same values can resume it.
    let resumed = folder.run("--steps 60 --resume model.safetensors").assert().success();
    assert!(!String::from_utf8_lossy(&resumed.get_output().stdout).contains("step "));
}

#[test]
fn sweeps_and_seeds_that_make_no_sense_are_refused() {
    let folder = Folder::new();
    for (args, parts) in [
        ("--seeds 0", &["`--seeds 0`: expected a whole number from 1"][..]),
        ("--batch 0", &["`--batch 0`: expected a whole number from 1"]),
        ("--sweep learning-rate", &["`--sweep learning-rate`", "learning-rate=0.003,0.01"]),
        ("--sweep samples=1,2", &["`samples` cannot be swept", "n-layer"]),
        ("--sweep beta1=0.5,2", &["`--sweep beta1=0.5,2`: `--beta1 2`: expected a number from 0 to below 1"]),
        (
            "--sweep n-embd=8 --sweep learning-rate=0.1,,0.2",
            &["`--sweep learning-rate=0.1,,0.2`: `--learning-rate `: expected a number"],
        ),
        ("--sweep n-head=4,3", &["`--n-embd 16` is not divisible by `--n-head 3`"]),
        ("--sweep beta1=0.5 --sweep beta1=0.6", &["`beta1` is swept twice"]),
        ("--sweep n-embd=4,8,12 --seeds 4000", &["makes 12000 models"]),
        ("--sweep n-embd=8,8", &["makes two equal models, of `n-embd 8` and of `n-embd 8`"]),
        ("--sweep beta1=0.5,.5", &["makes two equal models, of `beta1 0.5` and of `beta1 .5`"]),
        ("--sweep n-embd=8,16 --n-embd 32", &["`--n-embd` has a value beside those of `--sweep n-embd=8,16`"]),
        ("--learning-rate 0.1 --sweep learning-rate=0.2", &["leave `--learning-rate` out"]),
        ("--sweep val-docs=1,2", &["`val-docs` cannot be swept"]),
        ("--sweep seed=1,2", &["`seed` cannot be swept"]),
        ("--seeds 2 --resume x", &["`--resume` goes on with one model"]),
        ("--seeds 2 --init-from x", &["`--seeds 2` would train equal models"]),
        (
            "--sweep learning-rate=0.1,0.2 --sweep n-embd=8,16 --init-from x",
            &[
                "`--init-from x` has weights of one shape",
                "`learning-rate 0.1, n-embd 8`",
                "`learning-rate 0.1, n-embd 16`",
            ],
        ),
    ] {
        refused(folder.run(args), 2, parts);
    }
    refused(folder.run("--sweep block-size=8,4 --prompt emma"), 1, &["`--prompt emma` has 4 characters", "at most 3"]);
}

#[test]
fn cut_documents_are_counted_for_every_block_size() {
    let output =
        Folder::new().run("--steps 1 --samples 1 --sweep block-size=4,8,16 --sweep n-layer=1,2").assert().success();
    let stderr = String::from_utf8_lossy(&output.get_output().stderr).into_owned();
    let cut: Vec<&str> = stderr.lines().filter(|line| line.starts_with("cut: ")).collect();
    assert_eq!(
        cut,
        [
            "cut: 10 of 12 documents to their first `--block-size 4` tokens, without 33.3 % of all characters; the longest \
             document has 9; `--block-size 10` takes 99 % of the documents whole; `--corpus text` reads the text as a whole",
            "cut: 2 of 12 documents to their first `--block-size 8` tokens, without 1.4 % of all characters; the longest \
             document has 9; `--block-size 10` takes 99 % of the documents whole; `--corpus text` reads the text as a whole"
        ]
    );
}
