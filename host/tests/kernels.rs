//! The kernels against the reference, and the instruction sets against each other.
#![allow(missing_docs)]

#[path = "common/models.rs"]
mod models;
#[path = "common/refusals.rs"]
mod refusals;
#[path = "common/steps.rs"]
mod steps;

use gpu_kernels::entry::{self, CpuKernels};
use gpu_kernels::shape::Shape;
use microgpt::config::{ModelConfig, OptimizerConfig, SampleConfig, TrainConfig};
use microgpt::corpus::Dataset;
use microgpt::device::cpu::{Cpu, available};
use microgpt::device::reference::Reference;
use microgpt::device::{Device, Sample, State, StepLog};
use microgpt::weights::Weights;
use simt::Isa;

use models::{ODD, names, nonzero_weights, odd};
use refusals::assert_refuses_what_kernels_do_not_check;
use steps::assert_step_agrees;

#[test]
#[cfg_attr(feature = "race-check", ignore = "too slow under the race checker")]
fn the_first_step_of_the_default_model_agrees_with_the_reference() {
    let dataset = names(42);
    let shape = ModelConfig::default().shape(dataset.tokenizer.vocab_size()).unwrap();
    let config = TrainConfig { steps: 500, batch: 1, optimizer: OptimizerConfig::default() };
    for weights in [Weights::init(shape, 42), nonzero_weights(shape)] {
        let mut cpu = Cpu::new(config, &dataset, &State::new(weights)).unwrap();
        assert_step_agrees("default model", &mut cpu, config, &dataset);
    }
}

#[test]
#[cfg_attr(feature = "race-check", ignore = "too slow under the race checker")]
fn one_step_agrees_with_the_reference() {
    let dataset = odd();
    for model in ODD {
        let shape = model.shape(dataset.tokenizer.vocab_size()).unwrap();
        let config = TrainConfig { steps: 10, batch: 1, optimizer: OptimizerConfig::default() };
        for document in 0..dataset.train.len() {
            let mut state = State::new(nonzero_weights(shape));
            // Step `s` trains on document `s`. The moments are still zero.
            state.step = document as u64;
            let mut cpu = Cpu::new(config, &dataset, &state).unwrap();
            assert_step_agrees(&format!("{model:?}, document {document}"), &mut cpu, config, &dataset);
        }
    }
}

#[test]
#[cfg_attr(feature = "race-check", ignore = "too slow under the race checker")]
fn the_loss_curve_of_500_steps_agrees_with_the_reference() {
    let dataset = names(42);
    let shape = ModelConfig::default().shape(dataset.tokenizer.vocab_size()).unwrap();
    let config = TrainConfig { steps: 500, batch: 1, optimizer: OptimizerConfig::default() };
    let state = State::new(Weights::init(shape, 42));
    let mut cpu = Cpu::new(config, &dataset, &state).unwrap();
    let mut reference = Reference::new(config, &dataset, &state).unwrap();
    let (mut worst, mut worst_val) = (0.0f64, 0.0f64);
    let mut curve = Vec::new();
    for launch in 0..5 {
        let (got, expected) = (cpu.train(100).unwrap(), reference.train(100).unwrap());
        for (i, (got, expected)) in got.iter().zip(&expected).enumerate() {
            let error = (got.loss - expected.loss).abs();
            assert!(error <= 2e-5, "step {}: {got:?}, not {expected:?}", 100 * launch + i + 1);
            worst = worst.max(error);
        }
        let (got, expected) = (cpu.evaluate(20).unwrap(), reference.evaluate(20).unwrap());
        assert_eq!(got.tokens, expected.tokens);
        let error = (got.loss() - expected.loss()).abs();
        assert!(error <= 2e-5, "validation {launch}: {got:?}, not {expected:?}");
        worst_val = worst_val.max(error);
        curve.push(format!("{:.4}", got.loss()));
    }
    println!(
        "worst difference: {worst:.1e} of 500 losses, {worst_val:.1e} of 5 validation losses ({})",
        curve.join(", ")
    );
}

#[test]
#[cfg_attr(feature = "race-check", ignore = "too slow under the race checker")]
fn samples_agree_with_the_reference() {
    let dataset = names(42);
    let shape = ModelConfig::default().shape(dataset.tokenizer.vocab_size()).unwrap();
    let config = TrainConfig { steps: 200, batch: 1, optimizer: OptimizerConfig::default() };
    let mut cpu = Cpu::new(config, &dataset, &State::new(Weights::init(shape, 42))).unwrap();
    cpu.train(200).unwrap();
    let mut reference = Reference::new(config, &dataset, &cpu.download().unwrap()).unwrap();
    for (top_k, temperature, min_p, top_p) in [
        (5, 0.6, 0.0, 1.0),
        (1, 1.0, 0.0, 1.0),
        (27, 1.0, 0.0, 1.0),
        (27, 0.0, 0.0, 1.0),
        (3, 2.0, 0.0, 1.0),
        (27, 1.0, 0.1, 1.0),
        (27, 1.5, 0.0, 0.8),
        (9, 1.0, 0.2, 0.9),
    ] {
        for prompt in [&[][..], &[13, 1]] {
            let sample = SampleConfig { top_k, temperature, min_p, top_p, seed: 9, prompt, logprobs: true };
            let (got, expected) = (cpu.generate(&sample, 3..60).unwrap(), reference.generate(&sample, 3..60).unwrap());
            for (got, expected) in got.iter().zip(&expected) {
                assert_eq!(got.tokens, expected.tokens, "{sample:?}");
                assert!(got.tokens.starts_with(prompt), "{sample:?}: {got:?}");
                assert_eq!(got.logprobs.len(), shape.block_size().min(got.tokens.len() + 1), "{sample:?}: {got:?}");
                assert_eq!(got.logprobs.len(), expected.logprobs.len());
                for (got, expected) in got.logprobs.iter().zip(&expected.logprobs) {
                    assert!((got - expected).abs() < 1e-5, "{sample:?}: log-probability {got}, not {expected}");
                }
            }
            if top_k > 1 && temperature > 0.0 {
                assert!(got.iter().any(|other| other != &got[0]), "{sample:?}: all samples are the same");
            }
            let plain = SampleConfig { logprobs: false, ..sample };
            let without =
                |samples: Vec<Sample>| samples.into_iter().map(|s| Sample { logprobs: vec![], ..s }).collect();
            let expected: Vec<Sample> = without(got);
            assert_eq!(cpu.generate(&plain, 3..60).unwrap(), expected, "{plain:?}");
        }
    }
}

// A launch of many samples makes a table of layer 0, and a launch of few does not.
#[test]
#[cfg_attr(feature = "race-check", ignore = "too slow under the race checker")]
fn the_number_of_samples_changes_none_of_them() {
    let (names, odd) = (names(1), odd());
    for (model, dataset) in [(ModelConfig::default(), &names)].into_iter().chain(ODD.map(|model| (model, &odd))) {
        let shape = model.shape(dataset.tokenizer.vocab_size()).unwrap();
        let config = TrainConfig { steps: 30, batch: 1, optimizer: OptimizerConfig::default() };
        let mut cpu = Cpu::new(config, dataset, &State::new(Weights::init(shape, 3))).unwrap();
        cpu.train(30).unwrap();
        let (top_k, temperature) = (shape.vocab().min(9), 0.8);
        let sample = SampleConfig { top_k, temperature, min_p: 0.0, top_p: 1.0, seed: 2, prompt: &[], logprobs: true };
        let many = cpu.generate(&sample, 0..600).unwrap();
        for first in (0..600).step_by(100) {
            let few = cpu.generate(&sample, first..first + 10).unwrap();
            assert!(few == many[first as usize..][..10], "{model:?}: samples from {first} on differ");
        }
    }
}

/// Returns every bit that a run of these kernels yields.
fn bits(kernels: CpuKernels, model: ModelConfig, dataset: &Dataset) -> (Vec<StepLog>, Vec<u32>, Vec<Sample>) {
    let shape = model.shape(dataset.tokenizer.vocab_size()).unwrap();
    let config = TrainConfig { steps: 30, batch: 1, optimizer: OptimizerConfig::default() };
    let mut cpu = Cpu::with_kernels(kernels, config, dataset, &State::new(Weights::init(shape, 3))).unwrap();
    let log = cpu.train(30).unwrap();
    let evaluation = cpu.evaluate(usize::MAX).unwrap();
    let sample =
        SampleConfig { top_k: 5, temperature: 0.6, min_p: 0.0, top_p: 1.0, seed: 1, prompt: &[], logprobs: true };
    let samples = cpu.generate(&sample, 0..50).unwrap();
    let state = cpu.download().unwrap();
    let values = [&state.weights, &state.m, &state.v].into_iter().flat_map(|w| w.values.iter().map(|x| x.to_bits()));
    (log, values.chain([(evaluation.nll as f32).to_bits()]).collect(), samples)
}

#[test]
#[cfg_attr(feature = "race-check", ignore = "too slow under the race checker")]
fn instruction_sets_give_the_same_bits() {
    let (names, odd) = (names(1), odd());
    for (model, dataset) in [(ModelConfig::default(), &names)].into_iter().chain(ODD.map(|model| (model, &odd))) {
        let expected = bits(available()[0], model, dataset);
        for kernels in available().into_iter().skip(1) {
            assert!(bits(kernels, model, dataset) == expected, "{model:?}: {} differs", kernels.isa().name());
        }
    }
}

#[test]
fn what_kernels_do_not_check_is_refused() {
    assert_refuses_what_kernels_do_not_check(&|config, dataset, state| Ok(Box::new(Cpu::new(config, dataset, state)?)));
}

#[test]
fn kernels_that_the_processor_does_not_have_are_refused() {
    let dataset = odd();
    let shape = ModelConfig::default().shape(dataset.tokenizer.vocab_size()).unwrap();
    let config = TrainConfig { steps: 1, batch: 1, optimizer: OptimizerConfig::default() };
    let state = State::new(Weights::init(shape, 3));
    let open = |kernels| Cpu::with_kernels(kernels, config, &dataset, &state).map(|cpu| cpu.description());
    let has = |isa: Isa| available().iter().any(|kernels| kernels.isa() == isa);
    for kernels in entry::ALL {
        let (isa, name) = (kernels.isa(), kernels.isa().name());
        match open(kernels) {
            Ok(description) => assert!(has(isa) && description.contains(name), "{description}"),
            Err(error) => assert!(!has(isa) && error.report().contains(name), "{}", error.report()),
        }
    }
}

/// Returns the FNV-1a hash of the bits of a run.
fn hash(values: &[u32]) -> u64 {
    values.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &x| (hash ^ u64::from(x)).wrapping_mul(0x0100_0000_01b3))
}

// The bits are the same on every computer and for every division of work among warps. The race checker's build, with 16
// warps of one token each, gives the same bits. If the kernels' arithmetic changes on purpose, update the record.
#[test]
fn runs_give_the_bits_of_record() {
    let odd = odd();
    let got: Vec<String> =
        ODD.iter().map(|&model| format!("{:016x}", hash(&bits(available()[0], model, &odd).1))).collect();
    let expected: Vec<&str> = include_str!("golden/bits.txt").lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(got, expected);
}

#[test]
#[cfg_attr(feature = "race-check", ignore = "too slow under the race checker")]
fn the_number_of_threads_changes_nothing() {
    let dataset = names(1);
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let shape = ModelConfig::default().shape(dataset.tokenizer.vocab_size()).unwrap();
            let config = TrainConfig { steps: 9, batch: 1, optimizer: OptimizerConfig::default() };
            let mut cpu = Cpu::new(config, &dataset, &State::new(Weights::init(shape, 3))).unwrap();
            cpu.train(9).unwrap();
            let sample = SampleConfig {
                top_k: 5,
                temperature: 0.6,
                min_p: 0.0,
                top_p: 1.0,
                seed: 1,
                prompt: &[],
                logprobs: false,
            };
            (cpu.evaluate(100).unwrap(), cpu.generate(&sample, 0..3000).unwrap())
        })
    };
    let one = run(1);
    assert!(run(2) == one && run(5) == one);
}

// Denormals would slow a long run. So moments must stay normal even where the gradient has vanished.
#[test]
#[cfg_attr(feature = "race-check", ignore = "too slow under the race checker")]
fn moments_stay_normal_numbers() {
    let dataset = names(42);
    let shape = ModelConfig::default().shape(dataset.tokenizer.vocab_size()).unwrap();
    let config = TrainConfig { steps: 20_000, batch: 1, optimizer: OptimizerConfig::default() };
    let mut cpu = Cpu::new(config, &dataset, &State::new(Weights::init(shape, 42))).unwrap();
    cpu.train(20_000).unwrap();
    let state = cpu.download().unwrap();
    for (name, moment) in [("m", &state.m), ("v", &state.v)] {
        let denormal = moment.values.iter().filter(|x| x.is_subnormal()).count();
        assert_eq!(denormal, 0, "{name} has denormal numbers");
    }
}

#[test]
#[cfg_attr(feature = "race-check", ignore = "too slow under the race checker")]
fn a_long_run_of_launches_equals_one_launch() {
    let dataset = names(42);
    let shape = ModelConfig::default().shape(dataset.tokenizer.vocab_size()).unwrap();
    let config = TrainConfig { steps: 50, batch: 1, optimizer: OptimizerConfig::default() };
    let state = State::new(Weights::init(shape, 42));
    let mut whole = Cpu::new(config, &dataset, &state).unwrap();
    let mut parts = Cpu::new(config, &dataset, &state).unwrap();
    let log = whole.train(50).unwrap();
    let mut part_log = parts.train(1).unwrap();
    part_log.extend(parts.train(30).unwrap());
    // A download and an upload in between lose nothing.
    let middle = parts.download().unwrap();
    parts.upload(&middle).unwrap();
    part_log.extend(parts.train(19).unwrap());
    assert_eq!(part_log, log);
    assert!(parts.download().unwrap() == whole.download().unwrap());
}
