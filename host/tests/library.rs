//! The tests that the library trains, saves and samples as the program does.

use microgpt::{
    Config, Corpus, DeviceKind, Error, Event, Model, OptimizerConfig, Sampler, Sampling, StopHandle, Trainer,
};

mod common;
use common::{Folder, NAMES};

fn config(seed: u64) -> Config {
    Config { steps: 30, val_every: 10, seed, device: DeviceKind::Cpu, ..Config::default() }
}

/// Returns the lines that the program prints for the samples of a model.
fn samples(model: &Model) -> Vec<String> {
    let samples = Sampler::new(model, &Sampling::default()).unwrap().map(Result::unwrap);
    samples.map(|sample| format!("sample {:>2}: {}", sample.number, sample.text)).collect()
}

fn printed_samples(stdout: &str) -> Vec<&str> {
    stdout.lines().filter(|line| line.starts_with("sample ")).collect()
}

#[test]
fn a_model_has_the_bits_of_the_program_and_can_be_exchanged_with_it() {
    let folder = Folder::new();
    let stdout = folder.stdout("--device cpu --steps 30 --val-every 10 --save program.safetensors");
    let corpus = Corpus::from_text(NAMES).unwrap();
    let model = Trainer::new(&config(42), &corpus).unwrap().finish().unwrap();
    assert!(Model::load(folder.path("program.safetensors")).unwrap() == model);
    assert_eq!(samples(&model), printed_samples(&stdout));
    model.save(folder.path("library.safetensors")).unwrap();
    let stdout = folder.stdout("--device cpu --steps 0 --init-from library.safetensors");
    assert_eq!(samples(&model), printed_samples(&stdout));
}

#[test]
fn of_several_models_the_best_is_that_of_the_program() {
    let folder = Folder::new();
    folder.stdout("--device cpu --steps 30 --val-every 10 --seeds 3 --save program.safetensors");
    let corpus = Corpus::from_text(NAMES).unwrap();
    let mut trainer = Trainer::side_by_side(&[42, 43, 44].map(config), &corpus).unwrap();
    let mut val_losses = Vec::new();
    for event in &mut trainer {
        if let Event::Validation(validation) = event.unwrap() {
            val_losses.push(validation.losses);
        }
    }
    assert_eq!((val_losses.len(), val_losses[2].len()), (3, 3));
    assert!(Model::load(folder.path("program.safetensors")).unwrap() == trainer.into_model().unwrap());
}

#[test]
fn a_training_that_is_stopped_leaves_its_model() {
    let corpus = Corpus::from_text(NAMES).unwrap();
    let stop = StopHandle::default();
    let trainer = Trainer::new(&Config { steps: 1_000_000_000, ..config(42) }, &corpus).unwrap();
    let mut trainer = trainer.stopped_by(stop.clone());
    let mut events = Vec::new();
    for event in &mut trainer {
        stop.stop();
        events.push(event.unwrap());
    }
    // The stop comes before the validation of the first launch.
    assert!(matches!(events[1..], [Event::Validation(_), Event::Stopped { step: 10 }, Event::Finished(_)]));
    assert_eq!(trainer.into_model().unwrap().state.step, 10);
}

#[test]
fn a_training_that_diverges_is_an_error_and_leaves_no_model() {
    let corpus = Corpus::from_text(NAMES).unwrap();
    let optimizer = OptimizerConfig { learning_rate: 1e30, ..OptimizerConfig::default() };
    let mut trainer = Trainer::new(&Config { optimizer, ..config(42) }, &corpus).unwrap();
    let errors: Vec<Error> = trainer.by_ref().filter_map(Result::err).collect();
    assert_eq!(errors.len(), 1);
    assert!(errors[0].to_string().starts_with("training diverged at step 2: "), "{}", errors[0]);
    assert_eq!(trainer.into_model().unwrap_err().to_string(), "every model diverged");
}

#[test]
fn a_step_of_no_document_is_refused_on_every_device() {
    let corpus = Corpus::from_text(NAMES).unwrap();
    for device in [DeviceKind::Cpu, DeviceKind::Reference] {
        let refused = Trainer::new(&Config { batch: 0, device, ..config(42) }, &corpus);
        assert!(matches!(refused.err(), Some(Error::Argument { name: "a batch", .. })), "{device:?}");
    }
}

#[test]
fn a_training_without_validation_documents_validates_on_one() {
    let corpus = Corpus::from_text(NAMES).unwrap();
    let of = |val_docs| Trainer::new(&Config { val_docs, ..config(42) }, &corpus).unwrap().finish().unwrap();
    assert!(of(0) == of(1));
}
