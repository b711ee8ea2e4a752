//! An example that trains models of several learning rates and seeds side by side, and keeps the best. Run the example
//! with `cargo run --release -p host --example sweep`.

use microgpt::{Config, Corpus, Event, OptimizerConfig, Result, Sampler, Sampling, Trainer, corpus};

fn main() -> Result<()> {
    let corpus = Corpus::from_text(corpus::EMBEDDED)?;
    let config = |learning_rate, seed| {
        let optimizer = OptimizerConfig { learning_rate, ..OptimizerConfig::default() };
        Config { optimizer, seed, val_docs: 200, ..Config::default() }
    };
    // The last learning rate is too high. A model that diverges does not end the others.
    let configs = [1e-3, 1e-2, 1e-1, 1e30].map(|rate| [1, 2].map(|seed| config(rate, seed))).concat();
    let mut trainer = Trainer::side_by_side(&configs, &corpus)?;
    for event in &mut trainer {
        match event? {
            Event::Diverged { run, step, .. } => println!("{run} diverged at step {step}"),
            Event::Finished(finished) => {
                for (config, loss) in configs.iter().zip(&finished.val_losses) {
                    println!("{:>4e}, seed {}: {loss:.4}", config.optimizer.learning_rate, config.seed);
                }
            }
            _ => {}
        }
    }
    let model = trainer.into_model()?;
    for sample in Sampler::new(&model, &Sampling::default())?.take(5) {
        println!("{}", sample?.text);
    }
    Ok(())
}
