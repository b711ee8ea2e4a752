//! The tiled executor against the reference, and its threads and instruction sets against each other.
#![allow(missing_docs)]
#![cfg(not(feature = "race-check"))]

#[path = "common/models.rs"]
mod models;
#[path = "common/steps.rs"]
mod steps;

use gpu_kernels::entry::CpuKernels;
use microgpt::config::{ModelConfig, OptimizerConfig, SampleConfig, TrainConfig};
use microgpt::corpus::Dataset;
use microgpt::device::cpu::{Cpu, available};
use microgpt::device::reference::Reference;
use microgpt::device::{Device, Executor, Executors, State, StepLog};
use microgpt::weights::Weights;

use models::{dataset, nonzero_weights};
use steps::assert_step_agrees;

/// Models whose heads fill a half-warp, partly fill two, and have other widths.
const MODELS: [ModelConfig; 3] = [
    ModelConfig { n_embd: 96, n_head: 3, n_layer: 2, block_size: 37 },
    ModelConfig { n_embd: 34, n_head: 2, n_layer: 1, block_size: 100 },
    ModelConfig { n_embd: 13, n_head: 1, n_layer: 3, block_size: 5 },
];

/// Returns documents from one character to more than two blocks of attention, with 300 distinct characters.
fn documents() -> Dataset {
    let wide: Vec<char> = ('\u{4e00}'..).take(300).collect();
    let text = |i: usize, len: usize| (0..len).map(|t| wide[(i * 31 + t * t * (i % 3) + t) % 300]).collect::<String>();
    let lengths = [1, 130, 7, 36, 37, 52, 97, 2, 16, 300, 48, 49, 96, 33, 12, 5, 90];
    dataset(&lengths.iter().enumerate().map(|(i, &len)| text(i, len)).collect::<Vec<_>>(), None)
}

fn config(batch: usize) -> TrainConfig {
    TrainConfig { steps: 12, batch, optimizer: OptimizerConfig::default() }
}

fn open(kernels: CpuKernels, config: TrainConfig, dataset: &Dataset, state: &State) -> Cpu {
    Cpu::with_executors(kernels, Executors::both(Executor::Tiled), config, dataset, state).unwrap()
}

/// Returns a state with nonzero weights in every tensor. Weights of wide models are smaller, so that scores and logits
/// have the size that they have in training.
fn state(model: ModelConfig, dataset: &Dataset) -> State {
    let mut weights = nonzero_weights(model.shape(dataset.tokenizer.vocab_size()).unwrap());
    let factor = (16.0 / model.n_embd as f32).min(1.0);
    weights.values.iter_mut().for_each(|w| *w *= factor);
    State::new(weights)
}

#[test]
fn steps_agree_with_the_reference() {
    let dataset = documents();
    assert_eq!(dataset.tokenizer.vocab_size(), 301);
    for model in MODELS {
        // A batch of 131 exceeds the number of shards and the corpus.
        for batch in [1, 5, 131] {
            if batch > 5 && model.n_embd > 50 {
                continue;
            }
            let mut cpu = open(available()[0], config(batch), &dataset, &state(model, &dataset));
            for step in 1..=2 {
                assert_step_agrees(
                    &format!("{model:?}, batch {batch}, step {step}"),
                    &mut cpu,
                    config(batch),
                    &dataset,
                );
            }
        }
    }
}

type Bits = (Vec<StepLog>, Vec<u32>);

/// Returns every bit of four steps and of an evaluation after them, on this many threads.
fn bits(kernels: CpuKernels, threads: usize, model: ModelConfig, dataset: &Dataset, batch: usize) -> Bits {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    pool.install(|| {
        let mut cpu = open(kernels, config(batch), dataset, &state(model, dataset));
        let log = cpu.train(4).unwrap();
        let nll = cpu.evaluate_each(usize::MAX).unwrap().into_iter().map(|e| (e.nll as f32).to_bits());
        let state = cpu.download().unwrap();
        let arrays = [&state.weights, &state.m, &state.v];
        let values = arrays.into_iter().flat_map(|w| w.values.iter().map(|x| x.to_bits()));
        (log, values.chain(nll).collect())
    })
}

#[test]
fn threads_and_instruction_sets_change_no_bit() {
    let dataset = documents();
    for model in MODELS {
        for batch in [1, 6, 150] {
            let expected = bits(available()[0], 1, model, &dataset, batch);
            assert!(expected.0.iter().all(|log| log.loss.is_finite()));
            for threads in [2, 3, 7] {
                assert!(
                    bits(available()[0], threads, model, &dataset, batch) == expected,
                    "{model:?}, {threads} threads"
                );
            }
            for kernels in available().into_iter().skip(1).filter(|_| batch < 100 || model.n_embd < 50) {
                let name = kernels.isa().name();
                assert!(bits(kernels, 2, model, &dataset, batch) == expected, "{model:?}, batch {batch}: {name}");
            }
        }
    }
}

#[test]
fn losses_and_evaluations_agree_with_those_of_the_fused_executor() {
    let dataset = documents();
    for model in MODELS {
        let start = state(model, &dataset);
        let mut tiled = open(available()[0], config(7), &dataset, &start);
        let mut fused = Cpu::new(config(7), &dataset, &start).unwrap();
        for step in 1..=4 {
            let (got, expected) = (tiled.train(1).unwrap()[0].loss, fused.train(1).unwrap()[0].loss);
            assert!(
                (got - expected).abs() <= 2e-5 * expected,
                "{model:?}, step {step}: expected {expected}, got {got}"
            );
        }
        tiled.upload(&fused.download().unwrap()).unwrap();
        let (got, expected) = (tiled.evaluate_each(usize::MAX).unwrap(), fused.evaluate_each(usize::MAX).unwrap());
        for (got, expected) in got.iter().zip(&expected) {
            assert_eq!(got.tokens, expected.tokens);
            assert!((got.nll - expected.nll).abs() <= 2e-6 * expected.nll, "{model:?}: {got:?}, not {expected:?}");
        }
    }
}

#[test]
fn samples_between_steps_are_those_of_the_weights() {
    let dataset = documents();
    let start = state(MODELS[2], &dataset);
    let (mut tiled, mut fused) =
        (open(available()[0], config(3), &dataset, &start), Cpu::new(config(3), &dataset, &start).unwrap());
    let sampling =
        SampleConfig { top_k: 50, temperature: 1.0, min_p: 0.0, top_p: 1.0, seed: 5, prompt: &[], logprobs: true };
    for _ in 0..3 {
        let (got, expected) = (tiled.generate(&sampling, 0..9).unwrap(), fused.generate(&sampling, 0..9).unwrap());
        assert!(got == expected, "{got:?}, not {expected:?}");
        tiled.train(1).unwrap();
        fused.upload(&tiled.download().unwrap()).unwrap();
    }
}

#[test]
fn the_loss_curve_of_200_steps_agrees_with_the_reference() {
    let dataset = models::names(42);
    let model = ModelConfig { n_embd: 32, n_head: 2, n_layer: 2, block_size: 16 };
    let config =
        TrainConfig { steps: 200, batch: 2, optimizer: OptimizerConfig { learning_rate: 0.003, ..Default::default() } };
    let start = State::new(Weights::init(model.shape(dataset.tokenizer.vocab_size()).unwrap(), 42));
    let mut cpu = open(available()[0], config, &dataset, &start);
    let mut reference = Reference::new(config, &dataset, &start).unwrap();
    let mut worst = 0.0f64;
    for (step, (got, expected)) in cpu.train(200).unwrap().iter().zip(&reference.train(200).unwrap()).enumerate() {
        let error = (got.loss - expected.loss).abs();
        assert!(error <= 2e-5, "step {}: {got:?}, not {expected:?}", step + 1);
        worst = worst.max(error);
    }
    let (got, expected) = (cpu.evaluate(20).unwrap(), reference.evaluate(20).unwrap());
    assert_eq!(got.tokens, expected.tokens);
    assert!((got.loss() - expected.loss()).abs() <= 2e-5, "{got:?}, not {expected:?}");
    println!("worst difference of 200 losses: {worst:.1e}");
}
