//! Continuous text (`--corpus text`), of which training and validation take windows.
#![allow(missing_docs)]

use std::fs;

use microgpt::config::{ModelConfig, OptimizerConfig, TrainConfig};
use microgpt::corpus::Dataset;
use microgpt::device::cpu::{Cpu, available};
use microgpt::device::reference::{Reference, to_model};
use microgpt::device::{Device, Executor, Executors, State, StepLog};
use microgpt::weights::Weights;
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

mod common;
use common::{Folder, refused};

/// Returns a text of 1,500 characters, with line feeds, indentation and letters beyond ASCII.
fn text() -> String {
    let words = ["the", "sea", "is", "blue", "and", "zoë", "sleeps.", "\n\n", "  Łukasz", "who", "runs,", "さくら"];
    let words = (0..).map(|i| words[(i * i + 3 * i + i / 7) % words.len()]);
    words.flat_map(|word| [word, " "]).flat_map(str::chars).take(1500).collect()
}

const MODEL: ModelConfig = ModelConfig { n_embd: 20, n_head: 2, n_layer: 2, block_size: 7 };

fn config(batch: usize) -> TrainConfig {
    TrainConfig { steps: 20, batch, optimizer: OptimizerConfig::default() }
}

fn state(dataset: &Dataset) -> State {
    State::new(Weights::init(MODEL.shape(dataset.tokenizer.vocab_size()).unwrap(), 5))
}

/// Returns the windows of a step as the documentation says how to draw them.
fn windows(tokens: &[u32], seed: u64, step: u64, batch: u64, block_size: usize) -> Vec<&[u32]> {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    rng.long_jump();
    let first = rng.next_u64();
    let window = |n: u64| {
        let seed = first.wrapping_add(n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let random = u128::from(Xoshiro256PlusPlus::seed_from_u64(seed).next_u64());
        let offset = ((random * (tokens.len() - block_size) as u128) >> 64) as usize;
        &tokens[offset..=offset + block_size]
    };
    (step * batch..(step + 1) * batch).map(window).collect()
}

#[test]
fn a_step_trains_on_the_windows_that_its_number_and_the_seed_say() {
    let (text, batch) = (text(), 3);
    let dataset = Dataset::continuous(&text, 42, None, MODEL.block_size).unwrap();
    let tokens = dataset.tokenizer.encode_text(&text).unwrap();
    assert_eq!(dataset.train.tokens(), &tokens[..1350]);
    let state = state(&dataset);
    let mut reference = Reference::new(config(batch), &dataset, &state).unwrap();
    for step in 0..4 {
        let mut model = to_model(&reference.download().unwrap());
        let windows = windows(&tokens[..1350], 42, step, batch as u64, MODEL.block_size);
        let mean = windows.iter().map(|window| model.loss_and_gradients(window).0).sum::<f64>() / batch as f64;
        let got = reference.train(1).unwrap()[0].loss;
        // The state that is downloaded is rounded to single precision.
        assert!((got - mean).abs() < 1e-6, "step {step}: {got}, expected {mean}");
    }
}

#[test]
fn every_device_sees_the_same_windows_in_launches_of_any_length() {
    let dataset = Dataset::continuous(&text(), 7, None, MODEL.block_size).unwrap();
    let state = state(&dataset);
    let train = |device: &mut dyn Device, launches: &[usize]| -> Vec<StepLog> {
        launches.iter().flat_map(|&steps| device.train(steps).unwrap()).collect()
    };
    for batch in [1, 5] {
        let mut reference = Reference::new(config(batch), &dataset, &state).unwrap();
        let expected = train(&mut reference, &[8]);
        for executor in [Executor::Fused, Executor::Tiled] {
            let cpu = || {
                Cpu::with_executors(available()[0], Executors::both(executor), config(batch), &dataset, &state).unwrap()
            };
            let (mut whole, mut parts) = (cpu(), cpu());
            let log = train(&mut whole, &[8]);
            assert_eq!(log, train(&mut parts, &[1, 4, 3]), "{executor:?}, batch {batch}");
            assert_eq!(whole.download().unwrap(), parts.download().unwrap());
            for (got, expected) in log.iter().zip(&expected) {
                assert!((got.loss - expected.loss).abs() < 1e-4, "{executor:?}, batch {batch}: {got:?}, {expected:?}");
            }
            let (got, expected) = (whole.evaluate(9).unwrap(), reference.evaluate(9).unwrap());
            assert!(got.tokens == 63 && (got.loss() - expected.loss()).abs() < 1e-4);
        }
    }
}

#[test]
fn a_resumed_run_has_the_bits_of_the_whole_with_any_number_of_threads() {
    let folder = Folder::new();
    folder.write("names.txt", text());
    for device in ["cpu", "reference"] {
        let flags = format!("--device {device} --n-head 1 --sample-length 30 --samples 2");
        let whole = folder.stdout(&format!("{flags} --corpus text --steps 9 --batch 4 --threads 1 --save whole.st"));
        assert!(whole.starts_with("num tokens: 1500 (train: 1350, val: 150)\nvocab size: "), "{whole}");
        folder.stdout(&format!("{flags} --corpus text --steps 9 --batch 4 --threads 2 --stop-after 4 --save half.st"));
        let rest = folder.stdout(&format!("--resume half.st {flags} --save two.st"));
        let bits = |name: &str| fs::read(folder.path(name)).unwrap();
        // The reference rounds the state in a checkpoint.
        assert!(device == "reference" || bits("whole.st") == bits("two.st"), "{device}");
        let samples = |stdout: &str| stdout.split("--- inference ---\n").nth(1).unwrap().to_owned();
        assert_eq!(samples(&rest), samples(&whole), "{device}");
    }
}

#[test]
fn a_checkpoint_of_one_mode_is_not_resumed_in_the_other() {
    let folder = Folder::new();
    folder.stdout("--corpus text --steps 3 --samples 0 --save text.st");
    folder.stdout("--steps 3 --samples 0 --save lines.st");
    let to_lines = ["`text.st` belongs to a run of `--corpus text`, not `--corpus lines`", "give `--corpus text`"];
    refused(folder.run("--resume text.st --corpus lines"), 1, &to_lines);
    let to_text = ["`lines.st` belongs to a run of `--corpus lines`, not `--corpus text`", "give `--corpus lines`"];
    refused(folder.run("--resume lines.st --corpus text"), 1, &to_text);
    // The mode of the file is the default.
    assert!(folder.stdout("--resume text.st --steps 4 --samples 0").starts_with("num tokens: "));
    assert!(folder.stdout("--init-from text.st --steps 1 --samples 0").starts_with("num tokens: "));
    assert!(folder.stdout("--init-from text.st --corpus lines --steps 1 --samples 0").starts_with("num docs: "));
    assert!(folder.stdout("--resume lines.st --steps 4 --samples 0").starts_with("num docs: "));
    let config = folder.program("info text.st --as-config").output().unwrap().stdout;
    assert!(String::from_utf8_lossy(&config).contains("corpus = \"text\"\n"));
    folder.write("run.toml", config);
    assert!(folder.stdout("--config run.toml --samples 0").starts_with("num tokens: "));
    let info = String::from_utf8(folder.program("info text.st").output().unwrap().stdout).unwrap();
    assert!(info.contains("corpus_mode    text\n"), "{info}");
}

#[test]
fn a_saved_model_is_evaluated_on_windows_side_by_side() {
    let folder = Folder::new();
    let text = text();
    // The lines of this text end as on Windows.
    folder.write("names.txt", text.replace('\n', "\r\n"));
    let stdout = folder.stdout("--corpus text --steps 20 --val-every 20 --block-size 6 --samples 0 --save model.st");
    let val_loss = stdout.lines().find_map(|line| line.trim().strip_prefix("val loss: ")).unwrap();
    let val: String = text.chars().skip(1350).collect();
    folder.write("val.txt", &val);
    let eval = |args: &str| {
        let output = folder.program(&format!("eval model.st {args}")).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let all = eval("val.txt");
    assert!(all.starts_with("windows: 25\ntokens: 149\ncharacters: 149\n"), "{all}");
    assert!(all.contains(&format!("nats per token: {val_loss}\n")), "{all}, {val_loss}");
    // Each record has the characters that are predicted in a window.
    let records: Vec<serde_json::Value> =
        eval("val.txt --per-document -").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let texts: String = records.iter().map(|record| record["text"].as_str().unwrap()).collect();
    assert_eq!(texts, val.chars().skip(1).collect::<String>());
    for record in &records {
        let before: String = texts.split(record["text"].as_str().unwrap()).next().unwrap().to_owned();
        let is_unique = texts.matches(record["text"].as_str().unwrap()).count() == 1;
        let line = val.chars().take(1 + before.chars().count()).filter(|&c| c == '\n').count() + 1;
        assert!(!is_unique || record["line"] == line, "{record}");
    }
    folder.write("unknown.txt", "the sea\nis bluX");
    refused(
        folder.program("eval model.st unknown.txt"),
        1,
        &["line 2, column 7", "'X' (U+0058)", "remove the character"],
    );
    refused(folder.program("eval model.st val.txt --unknown skip"), 1, &["`--unknown skip`", "--corpus text"]);
    folder.write("short.txt", "t");
    refused(folder.program("eval model.st short.txt"), 1, &["`short.txt` is too short", "at least 2"]);
}

#[test]
fn texts_without_a_window_are_refused() {
    let folder = Folder::new();
    for (text, args, parts) in [
        ("", "", ["it has 0 characters, expected at least 81", "give a longer text"]),
        ("a", "", ["it has 1 character, expected at least 81", "give a longer text"]),
        ("abcdefghij\n", "", ["it has 11 characters, expected at least 81", "at most 1, or give a longer text"]),
        (&"ab".repeat(40), "--block-size 8", ["it has 80 characters, expected at least 81", "at most 7"]),
        (&"ab".repeat(40), "--sweep block-size=4,8", ["80 characters, expected at least 81", "at most 7"]),
    ] {
        folder.write("names.txt", text);
        let args = format!("--corpus text {args} --save model.st");
        refused(folder.run(&args), 1, &[&["`names.txt` is too short"], &parts[..]].concat());
    }
    assert_eq!(folder.files(), ["names.txt"]);
    // The largest block size that the hint names is taken, and the length that the message names is enough.
    folder.write("names.txt", "ab".repeat(40) + "a");
    folder.stdout("--corpus text --block-size 8 --steps 1");
    folder.write("names.txt", "ab".repeat(40));
    folder.stdout("--corpus text --block-size 7 --steps 1");
    // One line is a text.
    assert!(folder.stdout("--corpus text --block-size 1 --steps 1").starts_with("num tokens: 80 "));
}

#[test]
fn a_text_in_one_line_is_told_of_the_mode() {
    let folder = Folder::new();
    folder.write("names.txt", "to be or not to be ".repeat(9));
    refused(folder.run("--steps 1"), 1, &["`names.txt` has only one document", "give `--corpus text`"]);
}

#[test]
fn models_of_several_block_sizes_are_judged_on_all_tokens() {
    let folder = Folder::new();
    folder.write("names.txt", text());
    let stdout = folder.stdout("--corpus text --steps 5 --sweep block-size=2,6 --samples 0 --save best.st");
    let best = stdout.lines().find(|line| line.starts_with("best: ")).unwrap();
    // The model is saved with its loss, whatever its block size is.
    let loss = best.split("val loss ").nth(1).unwrap().split(' ').next().unwrap();
    let text: String = text().chars().skip(1350).collect();
    folder.write("val.txt", text);
    let eval = String::from_utf8(folder.program("eval best.st val.txt").output().unwrap().stdout).unwrap();
    assert!(eval.contains("tokens: 149\n") && eval.contains(&format!("nats per token: {loss}\n")), "{eval}{best}");
}

#[test]
fn samples_go_on_past_the_block_with_the_last_block_of_tokens() {
    let folder = Folder::new();
    folder.write("names.txt", text());
    folder.stdout("--corpus text --steps 30 --block-size 5 --learning-rate 0.03 --samples 0 --save model.st");
    let sample = |args: &str| {
        let output = folder.program(&format!("sample model.st {args}")).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    // Each greedy token is the likeliest after the five tokens before it, by the reference.
    let greedy = sample("--samples 1 --temperature 0 --sample-length 23 --prompt the");
    let greedy = greedy.strip_prefix("sample  1: ").unwrap().strip_suffix('\n').unwrap();
    let model = microgpt::Model::load(folder.path("model.st")).unwrap();
    let mut reference = to_model(&model.state);
    let tokens = model.tokenizer.encode_text(&format!("\n{greedy}")).unwrap();
    assert_eq!(tokens.len(), 24);
    for at in 4..24usize {
        let context = &tokens[at.saturating_sub(5)..at];
        let mut nll = |token: u32| *reference.document_nll(&[context, &[token]].concat()).last().unwrap();
        let drawn = nll(tokens[at]);
        let best = (0..model.tokenizer.vocab_size() as u32).map(&mut nll).fold(f64::INFINITY, f64::min);
        assert!(drawn <= best + 1e-4, "token {at} of {greedy:?}: {drawn}, best {best}");
    }
    // The text comes in pieces or as objects, and a sample is the same whatever is drawn beside it.
    let (text, objects) =
        (sample("--samples 3 --sample-length 40"), sample("--samples 3 --sample-length 40 --format jsonl"));
    let expected = objects.lines().zip(1..).map(|(line, number)| {
        let object: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(object["logprobs"].as_array().unwrap().len(), object["tokens"].as_array().unwrap().len());
        format!("sample  {number}: {}\n", object["text"].as_str().unwrap())
    });
    assert_eq!(text, expected.collect::<String>());
    assert!(text.starts_with(sample("--samples 1 --sample-length 40").trim_end()));
    // Samples of a text have 500 characters, unless the length is given.
    assert_eq!(sample("--samples 1").chars().count(), "sample  1: \n".len() + 500);
}

#[test]
fn samples_of_documents_also_go_on_and_end_with_the_document() {
    let folder = Folder::new();
    let lines = |args: &str| {
        let stdout = folder.stdout(&format!("--steps 60 --block-size 4 --samples 9 {args}"));
        stdout
            .split("--- inference ---\n")
            .nth(1)
            .unwrap()
            .lines()
            .map(|line| line[11..].to_owned())
            .collect::<Vec<_>>()
    };
    let (short, long) = (lines(""), lines("--sample-length 12"));
    assert!(long.iter().zip(&short).all(|(long, short)| long.starts_with(short.as_str())), "{long:?}, {short:?}");
    assert!(short.iter().all(|text| text.len() <= 4) && long.iter().all(|text| text.len() <= 12));
    assert!(long.iter().any(|text| text.len() > 4) && long.iter().any(|text| text.len() < 12), "{long:?}");
    // A sample may be shorter than a block, too.
    let cut: Vec<String> = short.iter().map(|text| text.chars().take(2).collect()).collect();
    assert_eq!(lines("--sample-length 2"), cut);
}
