//! Every kernel under the race checker, with many warps in permuted order; and races planted to be caught.
//!
//! Run with `cargo test -p host --features race-check --test races`.
#![cfg(feature = "race-check")]
#![allow(missing_docs)]

#[path = "common/models.rs"]
mod models;

use std::panic::{AssertUnwindSafe, catch_unwind};

use microgpt::config::{ModelConfig, OptimizerConfig, SampleConfig, TrainConfig};
use microgpt::device::cpu::Cpu;
use microgpt::device::{Device, State};
use microgpt::weights::Weights;
use simt::{AnyCpu, Block, F32x16, Grid, View, race};

use models::{FEW, ODD, dataset};

/// Runs all three kernels; returns the bits of the weights after some steps.
fn run(model: ModelConfig, order: u64) -> Vec<u32> {
    // One thread, so that the warps' order and the checker's memory are those of this test.
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
        // Behind a prompt there is room for a token.
        let prompt = &[1][..usize::from(model.block_size > 1)];
        cpu.generate(&SampleConfig { top_k: 5, temperature: 0.6, seed: 1, prompt, logprobs: true }, 0..6).unwrap();
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

/// Runs `work` on one block with a tile of 64 elements and returns what the checker said.
fn caught(work: impl Fn(&Block<AnyCpu>, View)) -> Option<String> {
    let mut memory = [0.0f32; 64];
    race::launch();
    race::set_warp_order(0);
    let result = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: the memory outlives the launch.
        let tile = unsafe { View::new(memory.as_mut_ptr(), 64) };
        Grid::new(0..1, 1, AnyCpu).each_block(|block| work(block, tile));
    }));
    result.err().map(|panic| *panic.downcast::<String>().expect("the checker panics with a message"))
}

#[test]
fn a_read_of_what_another_warp_wrote_is_caught() {
    let race = caught(|block, tile| {
        block.each_warp(|warp| {
            if warp.index == 1 {
                tile.store(16, F32x16::splat(1.0));
            }
            if warp.index == 2 {
                tile.load(16);
            }
        });
    });
    let race = race.expect("the race is caught");
    assert!(race.contains("warp 1") && race.contains("warp 2") && race.contains("block barrier"), "{race}");
    assert_eq!(race.matches("tests/races.rs:").count(), 2, "both places are named: {race}");
}

#[test]
fn a_write_over_what_another_warp_read_is_caught() {
    let race = caught(|block, tile| {
        block.each_warp(|warp| {
            tile.load_scalar(3);
            if warp.index == 7 {
                tile.store_scalar(3, 1.0);
            }
        });
    });
    assert!(race.expect("the race is caught").contains("block barrier"));
}

#[test]
fn a_read_of_tokens_that_another_warp_copied_is_caught() {
    let race = caught(|block, tile| {
        let (from, to) = (tile.as_u32(), tile.at(32).as_u32());
        block.each_warp(|warp| {
            if warp.index == 1 {
                to.copy_from(from, 3);
            }
            if warp.index == 2 {
                to.load_scalar(2);
            }
        });
    });
    assert!(race.expect("the race is caught").contains("block barrier"));
}

#[test]
fn a_read_of_another_lane_s_write_without_a_sync_is_caught() {
    let race = caught(|block, tile| {
        block.each_warp(|warp| {
            if warp.index == 0 {
                tile.store(0, F32x16::splat(1.0));
                tile.load_scalar(5);
            }
        });
    });
    assert!(race.expect("the race is caught").contains("warp.sync()"));
}

#[test]
fn a_write_over_what_the_other_half_warp_reads_is_caught() {
    let race = caught(|block, tile| {
        block.each_warp(|warp| {
            if warp.index == 0 {
                tile.store(0, tile.load(0));
            }
        });
    });
    assert!(race.expect("the race is caught").contains("warp.sync()"));
}

#[test]
fn barriers_and_syncs_mend_these_races() {
    let race = caught(|block, tile| {
        block.each_warp(|warp| {
            if warp.index == 1 {
                let x = tile.load(0);
                warp.sync();
                tile.store(0, x);
                warp.sync();
                tile.load_scalar(5);
            }
        });
        block.each_warp(|_| {
            tile.load_scalar(0);
        });
        block.each_warp(|warp| {
            if warp.index == 9 {
                tile.store_scalar(0, 1.0);
            }
        });
    });
    assert_eq!(race, None);
}

#[test]
fn an_access_beyond_the_array_is_caught() {
    let race = caught(|block, tile| {
        block.each_warp(|warp| {
            if warp.index == 0 {
                tile.load(49);
            }
        });
    });
    assert!(race.expect("the access is caught").contains("leaves the array"));
}
