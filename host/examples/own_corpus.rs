//! An example that trains on the lines of a text file and continues a prompt. Run the example with
//! `cargo run --release -p host --example own_corpus -- FILE PROMPT`. Without arguments, the file is this one.

use std::env;
use std::path::Path;

use microgpt::{Config, Corpus, ModelConfig, OptimizerConfig, Result, Sampler, Sampling, Trainer};

fn main() -> Result<()> {
    let mut args = env::args().skip(1);
    let path = args.next().unwrap_or_else(|| concat!(env!("CARGO_MANIFEST_DIR"), "/examples/own_corpus.rs").to_owned());
    let corpus = Corpus::load(Some(Path::new(&path)))?;
    println!("{} documents in {path}", corpus.documents().count());

    // A line is longer than a name, so the model looks further back and is larger.
    let config = Config {
        model: ModelConfig { n_embd: 32, n_layer: 2, block_size: 32, ..ModelConfig::default() },
        optimizer: OptimizerConfig { learning_rate: 5e-3, ..OptimizerConfig::default() },
        steps: 1000,
        batch: 4,
        val_every: 0,
        ..Config::default()
    };
    let model = Trainer::new(&config, &corpus)?.finish()?;

    let prompt = args.next().unwrap_or_else(|| "let ".to_owned());
    let sampling = Sampling { samples: 5, prompt, temperature: 0.8, ..Sampling::default() };
    for sample in Sampler::new(&model, &sampling)? {
        println!("{}", sample?.text);
    }
    Ok(())
}
