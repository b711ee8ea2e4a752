//! A step of training, an evaluation and samples on the CPU, against the reference, by the kernels for each instruction
//! set.

use std::collections::HashSet;

use microgpt::config::{ModelConfig, OptimizerConfig, SampleConfig, TrainConfig};
use microgpt::corpus::Dataset;
use microgpt::device::cpu::{Cpu, available};
use microgpt::device::reference::Reference;
use microgpt::device::{Device, State};

use crate::models::{dataset, nonzero_weights};
use crate::steps::assert_step_agrees;

/// A small model in which every dimension is padded.
const MODEL: ModelConfig = ModelConfig { n_embd: 6, n_head: 2, n_layer: 1, block_size: 2 };

fn documents() -> Dataset {
    dataset(&["ab", "c", "dcba", "bd", "add"], None)
}

fn train_config(batch: usize) -> TrainConfig {
    TrainConfig { steps: 10, batch, optimizer: OptimizerConfig::default() }
}

fn state(dataset: &Dataset) -> State {
    State::new(nonzero_weights(MODEL.shape(dataset.tokenizer.vocab_size()).unwrap()))
}

#[test]
fn a_step_agrees_with_the_reference() {
    let (config, dataset) = (train_config(1), documents());
    for kernels in available() {
        let mut cpu = Cpu::with_kernels(kernels, config, &dataset, &state(&dataset)).unwrap();
        assert_step_agrees(kernels.isa().name(), &mut cpu, config, &dataset);
    }
}

#[test]
fn a_step_of_three_documents_has_the_same_bits_on_three_threads_and_on_one() {
    let (config, dataset) = (train_config(3), documents());
    for kernels in available() {
        let states = [1, 3].map(|threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let mut cpu = Cpu::with_kernels(kernels, config, &dataset, &state(&dataset)).unwrap();
                cpu.train(1).unwrap();
                cpu.download().unwrap()
            })
        });
        assert!(states[0] != state(&dataset), "{}: the step changes the weights", kernels.isa().name());
        assert!(states[0] == states[1], "{}", kernels.isa().name());
    }
}

#[test]
fn an_evaluation_agrees_with_the_reference() {
    let (config, dataset) = (train_config(1), documents());
    let mut reference = Reference::new(config, &dataset, &state(&dataset)).unwrap();
    let loss = reference.evaluate(1).unwrap().loss();
    for kernels in available() {
        let mut cpu = Cpu::with_kernels(kernels, config, &dataset, &state(&dataset)).unwrap();
        let got = cpu.evaluate(1).unwrap().loss();
        assert!((got - loss).abs() < 1e-5, "{}: {got}, expected {loss}", kernels.isa().name());
    }
}

#[test]
fn samples_agree_with_the_reference() {
    let (config, dataset) = (train_config(1), documents());
    let mut reference = Reference::new(config, &dataset, &state(&dataset)).unwrap();
    let default = SampleConfig::default();
    let sampling = SampleConfig { top_k: 4, temperature: 1.5, seed: 9, prompt: &[2], logprobs: true, ..default };
    let samples = reference.generate(&sampling, 0..3).unwrap();
    let distinct: HashSet<_> = samples.iter().map(|sample| &sample.tokens).collect();
    assert!(distinct.len() > 1, "{samples:?}");
    for kernels in available() {
        let mut cpu = Cpu::with_kernels(kernels, config, &dataset, &state(&dataset)).unwrap();
        for (got, expected) in cpu.generate(&sampling, 0..3).unwrap().iter().zip(&samples) {
            assert_eq!(got.tokens, expected.tokens, "{}", kernels.isa().name());
            let close = |(got, expected): (&f64, &f64)| (got - expected).abs() < 1e-5;
            assert!(got.logprobs.iter().zip(&expected.logprobs).all(close), "{got:?}, expected {expected:?}");
        }
    }
}

#[test]
fn a_sample_has_the_same_bits_on_three_threads_and_on_one() {
    // Miri has several threads for a small model too.
    let model = ModelConfig { n_embd: if cfg!(miri) { 8 } else { 272 }, block_size: 12, ..MODEL };
    let dataset = documents();
    let state = State::new(nonzero_weights(model.shape(dataset.tokenizer.vocab_size()).unwrap()));
    // The positions of so long a prompt are read at once.
    let prompt = &[2, 1, 3, 3, 1, 2, 4, 1, 2];
    let config = SampleConfig { seed: 9, temperature: 1.5, prompt, logprobs: true, ..SampleConfig::default() };
    for kernels in available() {
        let samples = [1, 3].map(|threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let mut cpu = Cpu::with_kernels(kernels, train_config(1), &dataset, &state).unwrap();
                cpu.generate(&config, 0..1).unwrap()
            })
        });
        assert_eq!(samples[0], samples[1], "{}", kernels.isa().name());
    }
}
