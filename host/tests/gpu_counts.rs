//! The counts of the kernels on a GPU, from profiles of the emulator.
#![allow(missing_docs)]
#![cfg(cuda)]

#[path = "emulated/mod.rs"]
mod emulated;
#[path = "emulated/step_parts.rs"]
mod step_parts;

use microgpt::device::cuda::PTX;
use step_parts::StepParts;

#[test]
#[cfg_attr(debug_assertions, ignore = "the emulator takes minutes without optimisation")]
fn a_document_of_a_batch_costs_little_more_than_one_alone_and_the_tree_little_of_a_step() {
    // The limits are those of rustc's PTX.
    if PTX.is_none_or(|ptx| ptx.compiler.contains("nvvm")) {
        return;
    }
    let alone = StepParts::of_run("train", "--steps 20").document();
    let batch = StepParts::of_run("train_batch", "--batch 256 --steps 1");
    assert_eq!(batch.documents, 2, "{batch:?}");
    assert!(batch.document() <= 1.15 * alone, "{alone} cycles alone, {batch:?}");
    assert!(batch.tree_share() < 0.1, "{batch:?}");
}
