//! The counts of the kernels on a GPU, from profiles of the emulator.
#![allow(missing_docs)]
#![cfg(cuda)]

#[path = "emulated/counts.rs"]
mod counts;
#[path = "emulated/mod.rs"]
mod emulated;
#[path = "emulated/products.rs"]
mod products;
#[path = "emulated/step_parts.rs"]
mod step_parts;

use counts::{Counts, Sampling, launches};
use microgpt::device::cuda::PTX;
use products::ProductLaunch;
use step_parts::StepParts;

/// Returns whether the kernels are those of rustc, whose PTX the limits hold for.
fn is_limited() -> bool {
    PTX.is_some_and(|ptx| !ptx.compiler.contains("nvvm"))
}

#[test]
#[cfg_attr(debug_assertions, ignore = "the emulator takes minutes without optimisation")]
fn a_step_of_the_default_model_stays_below_its_limits() {
    if !is_limited() {
        return;
    }
    let [five, one] = ["--steps 5", "--steps 1"].map(|flags| Counts::of_launches(&launches("train", flags)));
    let step = five.of_each(one, 4);
    let Counts { warp_instructions, chain_cycles, bound_cycles, conflicts } = step;
    assert!(warp_instructions <= 15_000 && conflicts <= 200, "{step:?}");
    assert!(chain_cycles <= 4_500 && bound_cycles <= 5_500, "{step:?}");
}

#[test]
#[cfg_attr(debug_assertions, ignore = "the emulator takes minutes without optimisation")]
fn an_h200_could_draw_500_million_tokens_a_second() {
    if !is_limited() {
        return;
    }
    let sampling = Sampling::of_default();
    assert!(sampling.tokens_per_second() >= 5e8, "{} tokens a second, {sampling:?}", sampling.tokens_per_second());
}

#[test]
#[cfg_attr(debug_assertions, ignore = "the emulator takes minutes without optimisation")]
fn a_document_of_a_batch_costs_little_more_than_one_alone_and_the_tree_little_of_a_step() {
    if !is_limited() {
        return;
    }
    let alone = StepParts::of_run("train", "--steps 20").document();
    let batch = StepParts::of_run("train_batch", "--batch 256 --steps 1");
    assert_eq!(batch.documents, 2, "{batch:?}");
    assert!(batch.document() <= 1.15 * alone, "{alone} cycles alone, {batch:?}");
    assert!(batch.tree_share() < 0.1, "{batch:?}");
}

#[test]
#[cfg_attr(debug_assertions, ignore = "the emulator takes minutes without optimisation")]
fn products_of_a_large_model_are_mostly_multiply_adds() {
    if !is_limited() {
        return;
    }
    for launch in ProductLaunch::of_a_step() {
        assert!(launch.blocks >= products::MULTIPROCESSORS, "{launch:?}");
        assert!(launch.multiply_adds() >= 0.7, "{} of {launch:?}", launch.multiply_adds());
        assert!(launch.conflicts() < 0.03, "{} of {launch:?}", launch.conflicts());
        assert!(launch.of_least_bytes() <= 1.5, "{} of {launch:?}", launch.of_least_bytes());
    }
}
