//! Steps of several documents agree with the reference, and have the same bits on any number of threads.
#![allow(missing_docs)]
#![cfg(not(feature = "race-check"))]

#[path = "common/models.rs"]
mod models;
#[path = "common/steps.rs"]
mod steps;

use gpu_kernels::entry::CpuKernels;
use microgpt::config::{ModelConfig, OptimizerConfig, TrainConfig};
use microgpt::corpus::{self, Dataset};
use microgpt::device::cpu::{Cpu, available};
use microgpt::device::reference::Reference;
use microgpt::device::{Device, State, StepLog};
use microgpt::weights::Weights;

use models::{ODD, dataset, nonzero_weights};
use steps::assert_step_agrees;

/// Returns names of many lengths, with more distinct characters than the 32 lanes of two half-warps.
fn documents() -> Vec<String> {
    let wide: String = ('a'..='z').chain('A'..='M').collect();
    let names = (0..40).map(|i: usize| wide.chars().cycle().skip(7 * i).step_by(i % 5 + 1).take(1 + i % 11).collect());
    names.collect()
}

fn config(batch: usize) -> TrainConfig {
    TrainConfig { steps: 12, batch, optimizer: OptimizerConfig::default() }
}

fn state(model: ModelConfig, dataset: &Dataset) -> State {
    State::new(nonzero_weights(model.shape(dataset.tokenizer.vocab_size()).unwrap()))
}

#[test]
fn steps_agree_with_the_reference() {
    let dataset = dataset(&documents(), None);
    for &model in &ODD[..3] {
        // A batch of 5 has a shard for each document. A batch of 131 exceeds the number of shards and the corpus.
        for batch in [5, 131] {
            let mut cpu = Cpu::new(config(batch), &dataset, &state(model, &dataset)).unwrap();
            for step in 1..=2 {
                let what = format!("{model:?}, batch {batch}, step {step}");
                assert_step_agrees(&what, &mut cpu, config(batch), &dataset);
            }
        }
    }
}

type Bits = (Vec<StepLog>, Vec<u32>);

/// Returns every bit of 12 steps in launches of these lengths.
fn bits(kernels: CpuKernels, model: ModelConfig, dataset: &Dataset, batch: usize, launches: &[usize]) -> Bits {
    let mut cpu = Cpu::with_kernels(kernels, config(batch), dataset, &state(model, dataset)).unwrap();
    let log = launches.iter().flat_map(|&steps| cpu.train(steps).unwrap()).collect();
    let state = cpu.download().unwrap();
    let values = [&state.weights, &state.m, &state.v].into_iter().flat_map(|w| w.values.iter().map(|x| x.to_bits()));
    (log, values.collect())
}

#[test]
fn threads_and_launches_change_no_bit() {
    let dataset = dataset(&documents(), None);
    for &model in &ODD[..3] {
        for batch in [2, 100, 300] {
            let on = |threads: usize, kernels: CpuKernels, launches: &[usize]| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| bits(kernels, model, &dataset, batch, launches))
            };
            let fastest = available()[0];
            let expected = on(1, fastest, &[12]);
            assert!(expected.0.iter().all(|log| log.loss.is_finite()));
            for threads in [2, 3, 7] {
                assert!(on(threads, fastest, &[5, 1, 6]) == expected, "{model:?}, batch {batch}: {threads} threads");
            }
        }
    }
}

#[test]
fn two_equal_documents_have_the_bits_of_one() {
    // The sum of two equal values is exact, and so is half of the sum.
    let dataset = dataset(&["gabcdef"; 20], None);
    for &model in &ODD[..3] {
        let one = bits(available()[0], model, &dataset, 1, &[12]);
        assert!(bits(available()[0], model, &dataset, 2, &[12]) == one, "{model:?}");
    }
}

#[test]
fn instruction_sets_change_no_bit() {
    let dataset = dataset(&documents(), None);
    for &model in &ODD[..3] {
        let expected = bits(available()[0], model, &dataset, 150, &[2]);
        for kernels in available().into_iter().skip(1) {
            assert!(bits(kernels, model, &dataset, 150, &[2]) == expected, "{model:?}: {}", kernels.isa().name());
        }
    }
}

#[test]
#[cfg_attr(debug_assertions, ignore = "the reference takes minutes without optimisation")]
fn a_larger_model_agrees_with_the_reference_and_beats_unigrams() {
    let text = include_str!("../../LICENSE-APACHE");
    let dataset = dataset(&corpus::documents(text).collect::<Vec<_>>(), Some(42));
    let model = ModelConfig { n_embd: 64, n_head: 4, n_layer: 4, block_size: 64 };
    let start = State::new(Weights::init(model.shape(dataset.tokenizer.vocab_size()).unwrap(), 42));
    let config = TrainConfig {
        steps: 1000,
        batch: 1,
        optimizer: OptimizerConfig { learning_rate: 0.003, ..Default::default() },
    };
    let mut cpu = Cpu::new(config, &dataset, &start).unwrap();
    let mut reference = Reference::new(config, &dataset, &start).unwrap();
    let mut worst = 0.0f64;
    for step in 1..=50 {
        let (got, expected) = (cpu.train(1).unwrap()[0].loss, reference.train(1).unwrap()[0].loss);
        assert!((got - expected).abs() <= 1e-4, "step {step}: {got}, not {expected}");
        worst = worst.max((got - expected).abs());
    }
    cpu.train(950).unwrap();
    let loss = cpu.evaluate(usize::MAX).unwrap().loss();
    // The baseline is the cross-entropy of a unigram model with add-one smoothing on the validation tokens.
    let mut counts = vec![1.0f64; dataset.tokenizer.vocab_size()];
    for i in 0..dataset.train.len() {
        dataset.train.get(i)[1..].iter().for_each(|&token| counts[token as usize] += 1.0);
    }
    let total: f64 = counts.iter().sum();
    let (mut nll, mut tokens) = (0.0, 0.0);
    for i in 0..dataset.val.len() {
        for &token in dataset.val.get(i)[1..].iter().take(64) {
            nll -= (counts[token as usize] / total).ln();
            tokens += 1.0;
        }
    }
    eprintln!("worst distance of 50 losses {worst:e}; validation loss {loss:.4}, of unigrams {:.4}", nll / tokens);
    assert!(loss < nll / tokens);
}

#[test]
fn a_trial_step_reports_the_next_step_and_does_not_take_it() {
    let dataset = dataset(&documents(), None);
    for model in ODD {
        for batch in [1, 5] {
            let start = state(model, &dataset);
            let machines = || -> [Box<dyn Device>; 2] {
                let cpu = Cpu::new(config(batch), &dataset, &start).unwrap();
                [Box::new(cpu), Box::new(Reference::new(config(batch), &dataset, &start).unwrap())]
            };
            for (mut probed, mut plain) in machines().into_iter().zip(machines()) {
                let what = format!("{}, {model:?}, batch {batch}", plain.description());
                // The last step is beyond the end of the schedule, where the learning rate is zero.
                for _ in 0..13 {
                    let now = probed.download().unwrap();
                    let next = probed.trial_step(&now).unwrap();
                    assert_eq!([next], probed.train(1).unwrap()[..], "{what}");
                    assert_eq!([next], plain.train(1).unwrap()[..], "{what}");
                }
                assert_eq!(probed.download().unwrap(), plain.download().unwrap(), "{what}");
            }
        }
    }
}
