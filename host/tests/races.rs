//! The test of every kernel under the race checker, with many warps in permuted order.
//!
//! Run with `cargo test -p host --features race-check --test races`.
#![cfg(feature = "race-check")]
#![allow(missing_docs)]

#[path = "common/models.rs"]
mod models;

use microgpt::config::{ModelConfig, OptimizerConfig, SampleConfig, TrainConfig};
use microgpt::device::cpu::{Cpu, available};
use microgpt::device::{Device, Executor, Executors, State};
use microgpt::weights::Weights;
use simt::race;

use models::{FEW, ODD, dataset, nonzero_weights};

/// Runs all kernels, and returns the bits of the weights after some steps.
fn run(model: ModelConfig, order: u64) -> Vec<u32> {
    // The pool has one thread, so that the warps' order and the checker's memory are those of this test.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    pool.install(|| {
        race::launch();
        race::set_warp_order(order);
        let dataset = dataset(&FEW, None);
        let shape = model.shape(dataset.tokenizer.vocab_size()).unwrap();
        let config = TrainConfig { steps: 6, batch: 1, optimizer: OptimizerConfig::default() };
        let mut cpu = Cpu::new(config, &dataset, &State::new(Weights::init(shape, 1))).unwrap();
        cpu.train(3).unwrap();
        cpu.evaluate(usize::MAX).unwrap();
        // A prompt leaves room for a token. A long one goes through the layers many positions at once.
        let prompt = &[1, 5, 2, 7, 3, 1, 4, 6, 2, 2, 5, 3][..12.min(model.block_size - 1)];
        cpu.generate(
            &SampleConfig { top_k: 5, temperature: 0.6, min_p: 0.0, top_p: 1.0, seed: 1, prompt, logprobs: true },
            0..6,
        )
        .unwrap();
        let config = TrainConfig { batch: 3, ..config };
        let mut batches = Cpu::new(config, &dataset, &cpu.download().unwrap()).unwrap();
        batches.train(2).unwrap();
        batches.download().unwrap().weights.values.iter().map(|w| w.to_bits()).collect()
    })
}

#[test]
fn kernels_have_no_races() {
    for model in ODD {
        let ascending = run(model, 0);
        for order in [1, 2] {
            assert!(run(model, order) == ascending, "{model:?}: another order of warps gives other weights");
        }
    }
}

/// Returns the bits of the weights after a step of the tiled executor on several documents, and of their evaluation.
fn run_tiled(model: ModelConfig, order: u64) -> Vec<u32> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    pool.install(|| {
        race::launch();
        race::set_warp_order(order);
        let long = "abc".repeat(20);
        let dataset = dataset(&[&FEW[..], &[&long, "zaza"]].concat(), None);
        let state = State::new(nonzero_weights(model.shape(dataset.tokenizer.vocab_size()).unwrap()));
        let config = TrainConfig { steps: 6, batch: 8, optimizer: OptimizerConfig::default() };
        let mut cpu =
            Cpu::with_executors(available()[0], Executors::both(Executor::Tiled), config, &dataset, &state).unwrap();
        cpu.train(1).unwrap();
        let nll = cpu.evaluate(usize::MAX).unwrap().nll as f32;
        let weights = cpu.download().unwrap().weights;
        weights.values.iter().chain([&nll]).map(|x| x.to_bits()).collect()
    })
}

#[test]
fn the_tiled_executor_has_no_races() {
    // The document of 60 characters has two blocks of attention.
    for model in [
        ModelConfig { n_embd: 34, n_head: 2, n_layer: 2, block_size: 60 },
        ModelConfig { n_embd: 16, n_head: 1, n_layer: 1, block_size: 7 },
    ] {
        let ascending = run_tiled(model, 0);
        for order in [1, 2] {
            assert!(run_tiled(model, order) == ascending, "{model:?}: another order of warps gives other weights");
        }
    }
}
