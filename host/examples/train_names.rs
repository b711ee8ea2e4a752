//! An example that trains a model on names, samples from it, saves it and loads it. Run the example with
//! `cargo run --release -p host --example train_names`.

use microgpt::{Config, Corpus, Event, Model, Result, Sampler, Sampling, Trainer, corpus};

fn main() -> Result<()> {
    let corpus = Corpus::from_text(corpus::EMBEDDED)?;
    let mut trainer = Trainer::new(&Config::default(), &corpus)?;
    println!("device: {}", trainer.description());
    for event in &mut trainer {
        match event? {
            Event::Steps(steps) => {
                let (step, loss) = steps.losses().last().expect("a launch has steps");
                println!("step {step}: loss {loss:.4}, {:.3} ms a step", steps.ms);
            }
            Event::Validation(validation) => println!("validation loss {:.4}", validation.loss()),
            _ => {}
        }
    }
    let model = trainer.into_model()?;
    for sample in Sampler::new(&model, &Sampling::default())?.take(10) {
        println!("{}", sample?.text);
    }

    let path = std::env::temp_dir().join("names.safetensors");
    model.save(&path)?;
    assert_eq!(Model::load(&path)?, model);
    println!("saved: {}", path.display());
    Ok(())
}
