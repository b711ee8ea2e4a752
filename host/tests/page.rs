//! The pages of `--page`, which have the trained model and its corpus in them.

use std::fs;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

mod common;
use common::{Folder, NAMES, refused};

/// Returns the trained model in a page.
fn trained(html: &str) -> Value {
    let (_, rest) = html.split_once("id=\"trained\">").unwrap();
    serde_json::from_str(rest.split_once("</script>").unwrap().0).unwrap()
}

#[test]
fn a_page_has_the_model_and_the_corpus_of_its_run() {
    let folder = Folder::new();
    let names = "</script><b>\nemma\n\n  ava \nzoë\nmia\nleo\nmax\nida\nida\n";
    folder.write("names.txt", names);
    folder.stdout(
        "--steps 30 --val-every 10 --samples 1 --seed 7 --n-embd 8 --n-head 2 --save model.safetensors --page own.html",
    );
    let html = fs::read_to_string(folder.path("own.html")).unwrap();
    let trained = trained(&html);
    assert_eq!(trained["corpus"], "</script><b>\nemma\nava\nzoë\nmia\nleo\nmax\nida\nida");
    let settings = json!({
        "steps": 30, "learning_rate": 0.01, "seed": 7, "n_embd": 8, "n_head": 2, "n_layer": 1, "block_size": 8,
    });
    assert_eq!(trained["settings"], settings);
    assert_eq!([&trained["step"], &trained["repeats"], &trained["shuffle"]], [&json!(30), &json!(true), &json!(true)]);
    assert!(trained["val_loss"].as_f64().unwrap() > 0.5);
    assert_eq!([&trained["val_docs"], &trained["initial_seed"]], [&json!(1), &json!(7)]);
    assert!(trained["vocabulary"].as_str().unwrap().starts_with("/<>"));

    // The values are those of the checkpoint, whose tensors may have another order.
    let values = STANDARD.decode(trained["values"].as_str().unwrap()).unwrap();
    let checkpoint = fs::read(folder.path("model.safetensors")).unwrap();
    let file = safetensors::SafeTensors::deserialize(&checkpoint).unwrap();
    let len: usize = file.tensors().iter().map(|(_, tensor)| tensor.data().len()).sum();
    assert_eq!(values.len(), len);
    assert!(values.starts_with(file.tensor("wte").unwrap().data()));
    assert!(values[len / 3..].starts_with(file.tensor("adamw.m.wte").unwrap().data()));
    assert!(values[len / 3 * 2..].starts_with(file.tensor("adamw.v.wte").unwrap().data()));

    // Only the place of the model differs from the page of the repository.
    let page = include_str!("../../assets/microgpt.html");
    let outside = |html: &str| {
        html.split_once("id=\"trained\">")
            .map(|(before, after)| (before.to_owned(), after.split_once("</script>").unwrap().1.to_owned()))
    };
    assert!(outside(&html) == outside(page));
}

#[test]
fn a_page_says_whether_it_can_repeat_the_run() {
    let folder = Folder::new();
    folder.stdout("--steps 3 --samples 0 --save model.safetensors");
    for (args, repeats, seed) in [
        ("--steps 5", true, json!(42)),
        ("--steps 5 --batch 3", false, json!(42)),
        ("--steps 5 --no-shuffle", false, json!(42)),
        ("--steps 5 --init-from model.safetensors", false, Value::Null),
        // JavaScript would round this seed.
        ("--steps 5 --seed 9007199254740993", false, Value::Null),
    ] {
        folder.stdout(&format!("{args} --samples 0 --val-every 0 --page own.html"));
        let html = fs::read_to_string(folder.path("own.html")).unwrap();
        assert_eq!([&trained(&html)["repeats"], &trained(&html)["initial_seed"]], [&json!(repeats), &seed], "{args}");
        assert_eq!(trained(&html)["val_loss"], Value::Null, "{args}");
    }
}

#[test]
fn a_page_that_cannot_be_is_refused_before_the_training() {
    let folder = Folder::new();
    folder.write("names.txt", format!("{NAMES} ada \n"));
    for (args, part) in [
        ("--page own.txt", "cannot write the page `own.txt`: its name does not end in .html"),
        ("--page nowhere/own.html", "nowhere"),
        ("--page own.html --corpus text", "it shows models of lines"),
        ("--page own.html --keep-spaces", "it trims the documents"),
        ("--page own.html --n-embd 512 --n-layer 2", "the model has 76 MB, expected 50 MB or less"),
        ("--page own.html --plot own.html", "own.html"),
    ] {
        refused(folder.program(&format!("--input names.txt {args}")), 1, &[part]);
    }
    assert_eq!(folder.files(), ["names.txt"]);
}
