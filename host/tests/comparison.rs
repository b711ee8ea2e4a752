//! The comparison of several models, which are judged on the same tokens and with standard errors.
#![allow(missing_docs)]

use std::collections::HashMap;
use std::fs;

use microgpt::corpus::EMBEDDED;
use safetensors::SafeTensors;
use safetensors::tensor::TensorView;
use serde_json::{Value, json};

mod common;
use common::Folder;

/// Returns a folder with the 5163 names that the program carries, of which the last 517 validate without a shuffle.
fn names() -> Folder {
    let folder = Folder::new();
    folder.write("names.txt", EMBEDDED);
    folder.write("val.txt", EMBEDDED.lines().skip(4646).collect::<Vec<_>>().join("\n"));
    folder
}

/// Returns the rows of a sweep's table by the value of the first column. A row has a cell for each other column.
fn table(stdout: &str) -> HashMap<String, HashMap<&str, String>> {
    let (_, rest) = stdout.split_once("--- sweep ---\n").unwrap();
    // Two columns are two spaces apart, and the words of a header one.
    let header: Vec<&str> = rest.lines().next().unwrap().split("  ").map(str::trim).filter(|h| !h.is_empty()).collect();
    let rows = rest.lines().skip(1).take_while(|line| !line.starts_with("best: "));
    let cells = |row: &str| header.iter().copied().zip(row.split_whitespace().map(str::to_owned)).collect();
    rows.map(|row| (row.split_whitespace().next().unwrap().to_owned(), cells(row))).collect()
}

/// Returns the sum of the losses and the number of the tokens of each validation document, as `eval` lists them.
fn losses(folder: &Folder, model: &str) -> Vec<(f64, f64)> {
    let command = folder.program(&format!("eval {model} val.txt --per-document -")).assert().success();
    let lines = String::from_utf8(command.get_output().stdout.clone()).unwrap();
    let objects = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    objects.map(|object| (object["nll"].as_f64().unwrap(), object["tokens"].as_f64().unwrap())).collect()
}

/// Returns the mean of values over tokens and its standard error, from documents `(value, tokens)`.
fn estimate(documents: &[(f64, f64)]) -> (f64, f64) {
    let (n, tokens) = (documents.len() as f64, documents.iter().map(|one| one.1).sum::<f64>());
    let mean = documents.iter().map(|one| one.0).sum::<f64>() / tokens;
    let variance = documents.iter().map(|one| (one.0 - mean * one.1).powi(2)).sum::<f64>() / (n - 1.0);
    (mean, (variance * n).sqrt() / tokens)
}

/// Writes the first `block_size` positions of a model as `cut.st`.
fn cut(folder: &Folder, model: &str, block_size: usize, n_embd: usize, n_head: usize) {
    let bytes = fs::read(folder.path(model)).unwrap();
    let info = folder.program(&format!("info {model} --format json")).output().unwrap().stdout;
    let info: Value = serde_json::from_slice(&info).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let tensors = tensors.tensors().into_iter().filter(|(name, _)| !name.starts_with("adamw")).map(|(name, tensor)| {
        let positions = &tensor.data()[..if name == "wpe" { block_size * n_embd * 4 } else { tensor.data().len() }];
        let shape = if name == "wpe" { vec![block_size, n_embd] } else { tensor.shape().to_vec() };
        (name, TensorView::new(tensor.dtype(), shape, positions).unwrap())
    });
    let metadata = json!({ "n_head": n_head, "vocabulary": info["vocabulary"] }).to_string();
    let metadata = HashMap::from([("microgpt".to_owned(), metadata)]);
    folder.write("cut.st", safetensors::serialize(tensors.collect::<Vec<_>>(), Some(metadata)).unwrap());
}

#[test]
fn models_of_several_block_sizes_are_judged_on_the_same_tokens() {
    let folder = names();
    let flags = "--no-shuffle --steps 2000 --samples 0";
    let command = folder.run(&format!("{flags} --sweep block-size=2,4 --save best.st")).assert().success();
    let stdout = String::from_utf8(command.get_output().stdout.clone()).unwrap();
    let stderr = String::from_utf8(command.get_output().stderr.clone()).unwrap();
    assert!(stderr.contains("compared: every val loss is that of each document's first 2 tokens"), "{stderr}");
    let rows = table(&stdout);
    for block_size in [2, 4] {
        folder.stdout(&format!("{flags} --block-size {block_size} --save {block_size}.st"));
        cut(&folder, &format!("{block_size}.st"), 2, 16, 4);
        let (loss, error) = estimate(&losses(&folder, "cut.st"));
        let row = &rows[&block_size.to_string()];
        assert_eq!((&row["val loss"], &row["std error"]), (&format!("{loss:.4}"), &format!("{error:.4}")), "{stdout}");
    }
    // On tokens of its own, each model has another loss, by which the smaller block would win.
    let own = |model: &str| estimate(&losses(&folder, model)).0;
    assert!(own("2.st") < own("4.st"), "{} {}", own("2.st"), own("4.st"));
    assert!(stdout.contains("best: seed 42, block-size 4 | val loss "), "{stdout}");
    // The loss of the comparison is not that of the saved model.
    let info = String::from_utf8(folder.program("info best.st").output().unwrap().stdout).unwrap();
    assert!(info.contains("block_size     4\n") && info.contains("val_loss       not stated\n"), "{info}");
}

#[test]
fn models_are_compared_on_all_validation_documents_unless_a_flag_says_fewer() {
    let folder = names();
    let flags = "--no-shuffle --steps 100 --samples 0";
    let loss = |stdout: &str| table(stdout)["0.9"]["val loss"].clone();
    folder.stdout(&format!("{flags} --beta1 0.9 --save alone.st"));
    let each = losses(&folder, "alone.st");
    assert_eq!(each.len(), 517);
    let sweep = folder.stdout(&format!("{flags} --sweep beta1=0.9,0.5"));
    assert_eq!(loss(&sweep), format!("{:.4}", estimate(&each).0));
    let sweep = folder.stdout(&format!("{flags} --sweep beta1=0.9,0.5 --val-docs 20"));
    assert_eq!(loss(&sweep), format!("{:.4}", estimate(&each[..20]).0));
}

#[test]
fn two_models_whose_difference_may_be_chance_are_not_told_apart() {
    let folder = names();
    for (sweep, values, is_close) in
        [("learning-rate", ["0.001", "0.01"], false), ("learning-rate", ["0.01", "0.012"], true)]
    {
        let flags = "--no-shuffle --steps 300 --samples 0";
        for value in values {
            folder.stdout(&format!("{flags} --{sweep} {value} --save {value}.st"));
        }
        let [one, other] = values.map(|value| losses(&folder, &format!("{value}.st")));
        let differences: Vec<(f64, f64)> = one.iter().zip(&other).map(|(a, b)| (b.0 - a.0, a.1)).collect();
        let (mean, error) = estimate(&differences);
        let (best, second) = if mean < 0.0 { (values[1], values[0]) } else { (values[0], values[1]) };
        let stdout = folder.stdout(&format!("{flags} --sweep {sweep}={},{}", values[0], values[1]));
        assert_eq!(mean.abs() < 2.0 * error, is_close, "{sweep}: {mean} {error}");
        assert!(stdout.contains(&format!("best: seed 42, {sweep} {best} | val loss ")), "{stdout}");
        let line = format!(
            "not told apart: seed 42, {sweep} {second} | {:.4} behind, standard error {error:.4}\n",
            mean.abs()
        );
        assert_eq!(stdout.contains(&line), is_close, "{line}{stdout}");
        assert_eq!(stdout.contains("not told apart"), is_close, "{stdout}");
    }
}

#[test]
fn a_sweep_labels_its_lines_where_the_steps_have_none() {
    let folder = Folder::new();
    let stdout =
        folder.stdout("--steps 4 --val-every 2 --samples 0 --log-every 0 --sweep n-embd=8,16 --sweep beta1=0.5,0.9");
    let lines: Vec<&str> = stdout.lines().take_while(|line| !line.starts_with("---")).collect();
    let begins = [
        "num docs",
        "vocab size",
        "num params: 976 (n-embd 8)",
        "  val loss: ",
        "  val loss: ",
        "num params: 3488 (n-embd 16)",
        "  val loss: ",
        "  val loss: ",
    ];
    assert_eq!(lines.len(), begins.len(), "{stdout}");
    assert!(lines.iter().zip(begins).all(|(line, begin)| line.starts_with(begin)), "{stdout}");
    assert!(lines[3].contains(" at step 2 (std ") && lines[7].contains(" at step 4 (std "), "{stdout}");
}

// The settings of a run state every flag, also those that a sweep on the command line replaces.
#[test]
fn a_sweep_replaces_a_value_of_the_configuration_file() {
    let folder = Folder::new();
    folder.write("run.toml", "n-embd = 32\nsteps = 1\n");
    let stdout = folder.stdout("--config run.toml --sweep n-embd=8,16 --samples 0");
    assert!(table(&stdout).contains_key("8") && table(&stdout).contains_key("16"), "{stdout}");
    folder.write("run.toml", "sweep = [\"n-embd=8,16\"]\n");
    let refused = folder.run("--config run.toml --n-embd 32").assert().code(2);
    let stderr = String::from_utf8_lossy(&refused.get_output().stderr).into_owned();
    assert!(stderr.contains("`--n-embd` has a value beside those of `--sweep n-embd=8,16`"), "{stderr}");
}
